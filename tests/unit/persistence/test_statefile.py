# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state file: a round trip gives the same state, and everything else is refused with a remedy."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence.statefile import (
    FORMAT,
    Saved,
    changed_at,
    dumps,
    load,
    loads,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import (
    Address,
    Chain,
    ChainSet,
    Link,
    NodeState,
    Ownership,
    Route,
    Rule,
    Sysctl,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.kinds import SAVED, plurals
from tests.unit.persistence.states import saved_states

ALL_KINDS = Saved(
    NodeState(
        links=frozenset({Link("eth0.100", "vlan", "eth0", 100)}),
        addresses=frozenset({Address("eth0.100", "1.2.3.251/32")}),
        sysctls=frozenset({Sysctl("net/ipv4/conf/eth0.100/rp_filter", "1")}),
        routes=frozenset({Route("ipv4", 7701, "0.0.0.0/0", gateway="1.2.3.1", interface="eth0.100")}),
        chains=frozenset(
            {ChainSet("nft", "ipv4", frozenset({Chain("ipv4", "raw", "HOMEWARD-ü", ("-j DROP",), "OUTPUT")}))}
        ),
        rules=frozenset({Rule("ipv4", 2000, "goto", goto=2999, fwmask=0x1F00)}),
    ),
    Ownership(),
    "nft",
    ({"pool": "external", "interface": "eth0.100", "case": "policy_routing", "reason": "so"},),
    nodes={"node2": ("192.168.1.12", "fd00::12")},
)
TEXT = dumps(ALL_KINDS)
WRONG: tuple[Any, ...] = (None, True, 1.5, "text", 7, [], [7], {}, {"a": 1})


@given(saved_states())
def test_the_round_trip_gives_the_same_state(saved: Saved) -> None:
    assert loads(dumps(saved)) == saved


@given(saved_states())
def test_equal_states_have_equal_files(saved: Saved) -> None:
    assert dumps(loads(dumps(saved))) == dumps(saved)


def test_every_object_has_its_own_line() -> None:
    for kind in plurals(SAVED):
        (item,) = json.loads(TEXT)[kind]
        assert f"    {json.dumps(item)}" in TEXT.splitlines()


def test_a_file_truncated_at_any_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    whole = TEXT.encode()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        path.chmod(0o600)
        with pytest.raises(NodeError, match=r"state\.json.*Run the playbook homeward\.metallb_routing\.apply"):
            load(str(path))


@pytest.mark.parametrize("version", [FORMAT + 1, FORMAT - 1, -1, True, None, "1", [1], 1.0])
def test_another_format_is_refused_and_both_are_named(version: object) -> None:
    text = TEXT.replace(f'"format": {FORMAT}', f'"format": {json.dumps(version)}')
    with pytest.raises(NodeError) as refused:
        loads(text)
    assert f"has format {version}," in str(refused.value)
    assert f"supports {FORMAT}" in str(refused.value)


def _paths(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything in a document."""
    if path:
        yield path
    entries = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in entries:
        yield from _paths(value, (*path, key))


def _at(content: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        content = content[key]
    return content


# The comment is not read, and the texts of the cases are only shown.
PATHS = [path for path in _paths(json.loads(TEXT)) if path[0] not in ("comment", "cases") or path == ("cases",)]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: "-".join(map(str, path)))
def test_a_value_of_another_type_is_refused(path: tuple[Any, ...]) -> None:
    right = type(_at(json.loads(TEXT), path))
    for value in WRONG:
        if type(value) is not right:
            content = json.loads(TEXT)
            _at(content, path[:-1])[path[-1]] = value
            with pytest.raises(NodeError, match=r"state\.json (is damaged|has format)"):
                loads(json.dumps(content))


@pytest.mark.parametrize(
    "name", [name for name in json.loads(TEXT) if name not in ("comment", "nodes", "program_directories")]
)
def test_a_missing_key_is_refused(name: str) -> None:
    content = json.loads(TEXT)
    del content[name]
    with pytest.raises(NodeError, match="damaged"):
        loads(json.dumps(content))


def test_a_file_of_a_version_without_nodes_is_read() -> None:
    content = json.loads(TEXT)
    del content["nodes"]
    assert loads(json.dumps(content)) == replace(ALL_KINDS, nodes={})


@pytest.mark.parametrize("kind", sorted(plurals(SAVED)))
def test_an_unknown_field_is_refused(kind: str) -> None:
    content = json.loads(TEXT)
    content[kind][0]["unknown"] = 1
    with pytest.raises(NodeError, match="unknown"):
        loads(json.dumps(content))


@pytest.mark.parametrize(("field", "value"), [("multipath", True), ("extra", []), ("extra", [["tos", 16]])])
def test_a_field_that_no_declaration_has_is_refused(field: str, value: object) -> None:
    content = json.loads(TEXT)
    content["routes"][0][field] = value
    with pytest.raises(NodeError, match=f"Route has no field {field}"):
        loads(json.dumps(content))


@pytest.mark.parametrize("text", ["", "null", "[]", "7", '"x"', "{}", "{", "\0", "NaN"])
def test_another_document_is_refused(text: str) -> None:
    with pytest.raises(NodeError, match="is damaged or incomplete"):
        loads(text)


@given(st.binary(max_size=40))
def test_any_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(NodeError):
        load(str(path))


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A complete state file with the right mode."""
    path = tmp_path / "state.json"
    path.write_text(TEXT)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o602, 0o700, 0o400, 0o4600, 0o1600])
def test_another_mode_is_refused_and_named(good: Path, mode: int) -> None:
    good.chmod(mode)
    with pytest.raises(NodeError, match=f"and has mode {mode:04o}. It must belong to root"):
        load(str(good))


def test_a_link_a_directory_a_pipe_and_a_missing_file_are_refused(good: Path, tmp_path: Path) -> None:
    link, folder, pipe = tmp_path / "link", tmp_path / "folder", tmp_path / "pipe"
    link.symlink_to(good)
    folder.mkdir()
    os.mkfifo(pipe, 0o600)
    for path, words in ((link, "symbolic link"), (folder, "not a regular file"), (pipe, "not a regular file")):
        with pytest.raises(NodeError, match=words):
            load(str(path))
    with pytest.raises(NodeError, match="No such file"):
        load(str(tmp_path / "nothing"))


def test_a_rewritten_file_is_noticed(good: Path, tmp_path: Path) -> None:
    before = changed_at(str(good))
    other = tmp_path / "other"
    other.write_text(TEXT)
    other.replace(good)
    second = changed_at(str(good))
    assert second != before
    good.chmod(0o600)
    good.chmod(0o644)
    assert changed_at(str(good)) != second, "the owner and the mode count, too"
    good.unlink()
    assert changed_at(str(good)) == (0, 0)
