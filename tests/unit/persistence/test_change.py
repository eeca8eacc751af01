# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done at once, what is left to the commit, and which files another process accepts as a change."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.reader import Scope
from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import STATE_FILE, UNIT_NAME
from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence.change import (
    Change,
    load_change,
    split,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import File, Node, NodeState, Rule, Unit
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import Step

RUNNING = Unit(UNIT_NAME, "one")
STOPPED = replace(RUNNING, running=False)
NODE = Node(managed=NodeState(units=frozenset({RUNNING})))
RULE = Step("rule", None, Rule("ipv4", 2000, table=7701))
FILE = Step("file", File(STATE_FILE, "old"), File(STATE_FILE, "new"))
CHANGE = Change(NodeState(), Scope(), (RULE,))


def test_the_agent_is_stopped_until_the_commit() -> None:
    """It would reconcile the node to the former state."""
    now, later = split((FILE, RULE), NODE)
    assert now == (Step("unit", RUNNING, STOPPED), RULE)
    assert later == (FILE, Step("unit", STOPPED, RUNNING))


def test_a_new_version_of_the_agent_is_started_by_the_commit() -> None:
    update = Step("unit", RUNNING, replace(RUNNING, version="two"))
    assert split((FILE, RULE, update), NODE)[1] == (FILE, Step("unit", STOPPED, update.after))


def test_a_removal_stops_the_agent_first_and_removes_it_with_the_commit() -> None:
    lost, gone = replace(FILE, after=None), Step("unit", RUNNING, None)
    now, later = split((gone, RULE, lost), NODE)
    assert now == (Step("unit", RUNNING, STOPPED), RULE)
    assert later == (Step("unit", STOPPED, None), lost)


def test_a_change_that_the_boot_does_not_read_has_no_commit() -> None:
    assert split((RULE,), NODE) == ((RULE,), ())


def test_a_change_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "change").write_bytes(pickle.dumps(CHANGE))
    assert load_change(tmp_path) == CHANGE


def test_a_change_of_another_user_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "change").write_bytes(pickle.dumps(CHANGE))
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    with pytest.raises(NodeError, match="does not belong to this user"):
        load_change(tmp_path)


@pytest.mark.parametrize("content", [b"", b"nonsense", pickle.dumps("a text")])
def test_what_is_no_change_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "change").write_bytes(content)
    with pytest.raises(NodeError):
        load_change(tmp_path)
