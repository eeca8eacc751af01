# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests as files, folders and text: the objects in them, each with its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.values import printable
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError

_SUFFIXES = (".yaml", ".yml", ".json")
#: The parser in C is ten times as fast. kubectl's JSON is YAML, too.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RENDERED = "Give manifests as kubectl accepts them, such as the output of helm template or kustomize build."


@dataclass(frozen=True)
class Document:
    """One object of Kubernetes.

    :param place: where it stands, as the user wrote it: ``manifests/pools.yaml document 2``.
    """

    place: str
    content: Mapping[str, Any]


def read_manifests(path: str, entries: Iterable[str], folders: Sequence[Path]) -> Iterator[Document]:
    """Yield the objects in files and folders, in the order of the names.

    :param path: of the option, for messages.
    :param folders: in which a relative path is looked for.
    :raises InputError: a file is missing, cannot be read, or is not YAML.
    """
    for index, entry in enumerate(entries):
        for name, file in _files(f"{path}[{index}]", entry, folders):
            try:
                text = file.read_text(encoding="utf-8-sig")
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
                raise InputError(name, f"it cannot be read: {reason}", "Correct the file, or name another.") from error
            yield from documents(name, text)


def _files(path: str, entry: str, folders: Sequence[Path]) -> list[tuple[str, Path]]:
    """Return the files that an entry stands for, each with its name as a user would write it."""
    candidates = [folder / Path(entry).expanduser() for folder in folders]
    found = next((one for one in candidates if one.exists()), None)
    if found is None:
        where = " nor ".join(dict.fromkeys(str(one) for one in candidates))
        problem = f"there is neither {where}" if " nor " in where else f"there is no {where}"
        remedy = "Give a path on the controller, absolute or relative to the inventory or to the current directory."
        raise InputError(path, problem, remedy)
    if found.is_file():
        return [(entry, found)]
    if not found.is_dir():
        raise InputError(path, f"{entry} is neither a file nor a folder", "Give a file or a folder with manifests.")
    inside = sorted(
        file
        for file in found.rglob("*")
        if file.suffix in _SUFFIXES
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(found).parts)
    )
    if not inside:
        raise InputError(path, f"the folder {entry} contains no *.yaml, *.yml or *.json", _RENDERED)
    return [(f"{entry.rstrip('/')}/{file.relative_to(found)}", file) for file in inside]


def documents(name: str, text: str) -> Iterator[Document]:
    """Yield the objects in a text of one or more YAML documents, and the items of lists; other documents are left out.

    :raises InputError: it is not YAML.
    """
    loaded = []
    try:
        loaded = list(yaml.load_all(text, Loader=_LOADER))
    except (yaml.YAMLError, ValueError) as error:
        raise _unreadable(name, text, error) from error
    for number, content in enumerate(loaded, start=1):
        place = f"{name} document {number}" if len(loaded) > 1 else name
        yield from objects(place, content)


def objects(place: str, content: Any) -> Iterator[Document]:
    """Yield an object, or the items of a list of objects; everything else is left out."""
    for where, item in _items(place, content):
        if isinstance(item, Mapping) and str(item.get("kind", "")).endswith("List") and "items" in item:
            inside = list(_items(f"{where} items", item["items"]))
        else:
            inside = [(where, item)]
        yield from (Document(name, one) for name, one in inside if isinstance(one, Mapping) and "kind" in one)


def _items(place: str, content: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(content, (list, tuple)):
        yield from ((f"{place}[{index}]", item) for index, item in enumerate(content))
    else:
        yield place, content


def _unreadable(name: str, text: str, error: Exception) -> InputError:
    mark = getattr(error, "problem_mark", None)
    line = f"line {mark.line + 1}: " if mark else ""
    reason = getattr(error, "problem", None) or str(error).partition("\n")[0]
    remedy = "Correct it."
    if text.startswith("$ANSIBLE_VAULT"):
        remedy = "It is encrypted with Ansible Vault; give a manifest in plain text."
    elif "{{" in text:
        remedy = f"It contains {{{{, so it is a template. {_RENDERED}"
    return InputError(name, f"it is not YAML: {line}{printable(reason)}", remedy)
