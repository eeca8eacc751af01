# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state file: the desired state of a node, from which it is restored without network or controller."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import StateUnusable
from ..paths import MANAGED_BY, STATE_FILE
from ..state import NodeState, Ownership
from ..state.chain import VARIANTS, chain_sets
from ..state.extra_attributes import desired_fields
from ..state.kinds import CHAINS, SAVED

FORMAT = 1
MODE = 0o600
_REMEDY = "Run the playbook homeward.metallb_routing.apply to rewrite it."


@dataclass(frozen=True)
class Saved:
    """The content of the state file.

    :param state: kernel objects only; files and units persist on disk.
    :param variant: of iptables, with which the chains are written.
    :param cases: for each pool, for ``status``: ``{"pool": ..., "interface": ..., "case": ..., "reason": ...}``.
    :param pyroute2_path: file with the tables of pyroute2; a directory with a copy of it in version 0.1.0.
    :param program_directories: where the run has found iptables, if that is an unusual place.
    :param metrics_directory: of node_exporter's textfile collector; ``""`` for the directory of the report.
    :param nodes: the node addresses by node, for runs that cannot find out all of them; under ``""`` if they were declared.
    """

    state: NodeState
    ownership: Ownership
    variant: str
    cases: tuple[Mapping[str, Any], ...] = ()
    pyroute2_path: str = ""
    metrics_directory: str = ""
    nodes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    program_directories: tuple[str, ...] = ()
    format: int = field(default=FORMAT, init=False)


def dumps(saved: Saved) -> str:
    """Return the text of the file: JSON, sorted, one line per object; equal states have equal texts."""
    state = {kind.plural: [_plain(item) for item in sorted(saved.state.parts_of(kind))] for kind in SAVED}
    head = {
        "format": saved.format,
        "comment": MANAGED_BY,
        "ownership": asdict(saved.ownership),
        "variant": saved.variant,
        "pyroute2_path": saved.pyroute2_path,
        "metrics_directory": saved.metrics_directory,
        "program_directories": list(saved.program_directories),
    }
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    nodes = [{"node": node, "addresses": sorted(addresses)} for node, addresses in sorted(saved.nodes.items())]
    lists: dict[str, list[Any]] = {"cases": list(saved.cases), "nodes": nodes, **state}
    for name, items in lists.items():
        listed = ",\n".join(f"    {json.dumps(item)}" for item in items)
        lines.append(f"  {json.dumps(name)}: [" + (f"\n{listed}\n  ]" if listed else "]"))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _plain(item: Any) -> dict[str, Any]:
    """Return the fields of the object that differ from their defaults."""
    return {
        part.name: getattr(item, part.name) for part in desired_fields(item) if getattr(item, part.name) != part.default
    }


def loads(text: str, path: str = STATE_FILE) -> Saved:
    """Return the content of the text.

    :raises StateUnusable: it is damaged, or of another format.
    """
    try:
        content = json.loads(text)
        version = content["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise StateUnusable(f"{path} is damaged or incomplete ({error}). {_REMEDY}") from error
    if isinstance(version, bool) or not isinstance(version, int) or version != FORMAT:  # True == 1
        raise StateUnusable(
            f"{path} has format {version}, and this version of the collection supports {FORMAT}. {_REMEDY}"
        )
    try:
        return _saved(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StateUnusable(f"{path} is damaged: {type(error).__name__}: {error}. {_REMEDY}") from error


def _saved(content: Mapping[str, Any]) -> Saved:
    objects = {
        kind.plural: frozenset(_object(kind.part or kind.value, item) for item in _list(content, kind.plural))
        for kind in SAVED
    }
    variant = _text(content, "variant")
    if variant not in VARIANTS:
        raise ValueError(f"variant {variant} is none of {', '.join(VARIANTS)}")
    objects[CHAINS.plural] = chain_sets(variant, objects[CHAINS.plural])
    return Saved(
        state=NodeState(**objects),
        ownership=_object(Ownership, content["ownership"]),
        variant=variant,
        cases=tuple(_case(item) for item in _list(content, "cases")),
        pyroute2_path=_text(content, "pyroute2_path"),
        metrics_directory=_text(content, "metrics_directory"),
        program_directories=tuple(
            map(_only_text, _list({"program_directories": [], **content}, "program_directories"))
        ),
        nodes=dict(
            _node(item) for item in _list({"nodes": [], **content}, "nodes")
        ),  # earlier versions did not write it
    )


def _text(content: Mapping[str, Any], name: str) -> str:
    value = content[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is not of type str")
    return value


def _list(content: Mapping[str, Any], name: str) -> list[Any]:
    value = content[name]
    if not isinstance(value, list):
        raise TypeError(f"{name} is not of type list")  # an empty mapping would mean that nothing is desired
    return value


def _case(item: Any) -> Mapping[str, Any]:
    if not isinstance(item, dict) or not {"pool", "interface", "case", "reason"} <= item.keys():
        raise TypeError(f"{item!r} of cases lacks pool, interface, case or reason")
    return item


def _node(item: Any) -> tuple[str, tuple[str, ...]]:
    if not isinstance(item, dict) or item.keys() != {"node", "addresses"}:
        raise TypeError(f"{item!r} of nodes is not a node with addresses")
    return _only_text(item["node"]), tuple(map(_only_text, _list(item, "addresses")))


def _object(kind: Any, item: Any) -> Any:
    if not isinstance(item, dict):
        raise TypeError(f"{item!r} is not of type dict")
    values = dict(item)
    known = desired_fields(kind)
    unknown = values.keys() - {part.name for part in known}
    if unknown:
        raise TypeError(f"{kind.__name__} has no field {min(unknown)}")
    for part in known:
        expected = {"str": str, "int": int, "bool": bool, "tuple[str, ...]": list}[str(part.type)]
        if part.name in values and type(values[part.name]) is not expected:  # pylint: disable=unidiomatic-typecheck
            raise ValueError(f"{part.name} of {item} is not of type {expected.__name__}")
        if part.name in values and expected is list:
            values[part.name] = tuple(map(_only_text, values[part.name]))
    return kind(**values)


def _only_text(item: Any) -> str:
    if not isinstance(item, str):
        raise TypeError(f"{item!r} in a list is not of type str")
    return item


def load(path: str = STATE_FILE) -> Saved:
    """Read the file, if only root can have written it.

    :raises StateUnusable: it is missing, damaged, of another format, or has the wrong owner or mode.
    """
    try:
        # Non-blocking, as opening a pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise StateUnusable(
                f"{path} is a symbolic link, which any user may have created. Remove it. {_REMEDY}"
            ) from error
        remedy = "Run this as root." if error.errno == errno.EACCES else _REMEDY
        raise StateUnusable(f"{path} cannot be read: {error.strerror}. {remedy}") from error
    try:
        _refuse_tampering(path, os.fstat(descriptor))
        with os.fdopen(descriptor, encoding="utf-8", closefd=False) as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise StateUnusable(f"{path} cannot be read: {error}. {_REMEDY}") from error
    finally:
        os.close(descriptor)
    return loads(text, path)


def _refuse_tampering(path: str, status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        raise StateUnusable(f"{path} is not a regular file. Remove it. {_REMEDY}")
    if status.st_uid != 0 or mode != MODE:
        raise StateUnusable(
            f"{path} belongs to user {status.st_uid} and has mode {mode:04o}. It must belong to root and have mode {MODE:04o},"
            f" because it determines the routing of this node. {_REMEDY}"
        )


def changed_at(path: str = STATE_FILE) -> tuple[int, int]:
    """Return a value that changes with the content, owner or mode of the file; (0, 0) if it is missing."""
    try:
        status = Path(path).lstat()
    except OSError:
        return (0, 0)
    return (status.st_ino, status.st_ctime_ns)
