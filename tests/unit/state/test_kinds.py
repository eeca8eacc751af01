# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry of kinds, and that what must know every kind does."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink import events
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.reader import READERS
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.writer import WRITERS
from ansible_collections.homeward.metallb_routing.plugins.module_utils.planning.commands import RENDERERS
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Chain, ChainSet, NodeState, Rule
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.kinds import (
    BY_NAME,
    CHAINS,
    KINDS,
    SAVED,
    Kind,
    plurals,
)
from tests.unit.persistence.states import saved_states


def test_the_fields_of_a_state_are_the_registry() -> None:
    declared = [(part.name, str(part.type)) for part in fields(NodeState)]
    assert declared == [(kind.plural, f"frozenset[{kind.value.__name__}]") for kind in KINDS]


def test_no_two_kinds_share_a_name() -> None:
    assert len(BY_NAME) == len(plurals(KINDS)) == len(KINDS)


def test_what_users_see_of_the_names_stays() -> None:
    """Names are labels of metrics, plurals are keys of the diff, the state file, ``status --json`` and routing_info."""
    released = {
        *(("file", "files"), ("link", "links"), ("sysctl", "sysctls"), ("address", "addresses")),
        *(("route", "routes"), ("chains", "chains"), ("rule", "rules"), ("unit", "units")),
    }
    assert {(kind.name, kind.plural) for kind in KINDS} >= released


@pytest.mark.parametrize("table", [RENDERERS, WRITERS], ids=["commands", "writers"])
def test_no_table_by_kind_leaves_one_out(table: dict[str, Any]) -> None:
    assert set(table) == set(BY_NAME)


def test_each_kind_has_a_reader() -> None:
    assert set(READERS) == plurals(KINDS)


def test_the_agent_looks_at_all_that_is_saved() -> None:
    assert plurals(SAVED) == events.EVERYTHING == events.NETLINK | events.CHAINS
    assert not events.NETLINK & events.CHAINS


def test_routing_info_documents_each_kind() -> None:
    page = Path(__file__).parents[3] / "plugins/modules/routing_info.py"
    (text,) = re.findall(r'RETURN = r"""(.*?)"""', page.read_text(encoding="utf-8"), re.DOTALL)
    assert plurals(SAVED) <= set(yaml.safe_load(text))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_objects_of_a_kind_are_frozen_and_have_a_key(kind: Kind) -> None:
    names = [part.name for part in fields(kind.value)]
    item = kind.value(*("x" for _name in names))
    with pytest.raises(FrozenInstanceError):
        setattr(item, names[0], "y")
    assert {item, item.key}


@given(saved_states())
def test_parts_of_a_state_add_up(saved: Any) -> None:
    state = saved.state
    assert NodeState.union(state.only({kind.plural}) for kind in KINDS) == state
    assert state.without(frozenset(item for kind in KINDS for item in state.of(kind))) == NodeState()
    assert state.is_empty == (not any(state.parts_of(kind) for kind in KINDS))


def test_a_set_of_chains_counts_by_its_chains() -> None:
    chains = frozenset({Chain("ipv4", "raw", "HOMEWARD-A"), Chain("ipv4", "raw", "HOMEWARD-B")})
    state = NodeState(chains=frozenset({ChainSet("nft", "ipv4", chains)}))
    assert set(state.parts_of(CHAINS)) == chains
    assert NodeState(chains=frozenset({ChainSet("nft", "ipv4")})).is_empty
    assert not NodeState(rules=frozenset({Rule("ipv4", 2000)})).is_empty
