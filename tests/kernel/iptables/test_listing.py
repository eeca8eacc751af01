# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading on nodes with very many chains; the witness is what is read on others, of all tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.iptables import programs, tables
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.iptables.tables import IptablesState
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.nf_tables import (
    nft_chain_count,
    nft_has_chain,
    nft_rules,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.chain import POOL_TABLES
from tests.kernel.iptables.world import OWNERSHIP, chain, chains, load, load_kube_proxy, write
from tests.support.namespace import Namespace

FOREIGN = """\
*mangle
:cali-PREROUTING - [0:0]
:EMPTY - [0:0]
-A PREROUTING -j cali-PREROUTING
-A PREROUTING -m comment --comment "-N PREROUTING \\"quoted\\"" -j ACCEPT
-A cali-PREROUTING -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -j HOMEWARD-INPUT
COMMIT
*raw
:PREROUTING_direct - [0:0]
-A PREROUTING -j PREROUTING_direct
-A PREROUTING_direct -p tcp -m tcp --dport 22 -j CT --notrack
COMMIT
"""


def _read(only: Sequence[str] | None, variant: str = "auto") -> tuple[IptablesState, list[str]]:
    """Read as on a node with very many chains; return the commands, too."""
    commands: list[str] = []
    run = programs.run

    def recorded(command: Sequence[str], text: str = "") -> Any:
        commands.append(command[-1] if "save" in command[-1] else " ".join(command))
        return run(command, text)

    programs.run = recorded  # this process ends with the call
    tables.MANY_CHAINS = 0
    return tables.read(variant, OWNERSHIP, only), commands


@pytest.fixture
def crowded(namespace: Namespace) -> Namespace:
    """Return a namespace with kube-proxy's chains, managed ones, and others in the same tables."""
    load_kube_proxy(namespace, "nft")
    for family in ("ipv4", "ipv6"):
        own = (
            chain(
                "PREROUTING", "-m mark --mark 0x100/0x1f00 -j RETURN", "-j HOMEWARD-A", hook="PREROUTING", family=family
            ),
            chain(
                "A", "-m connmark ! --mark 0x0/0x1f00 -j RETURN", '-m comment --comment "a b" -j DROP', family=family
            ),
            chain("INPUT", "-j RETURN", family=family),
            chain("PREROUTING", "-j RETURN", table="raw", hook="PREROUTING", family=family),
        )
        write(namespace, chains("nft", family=family), chains("nft", *own, family=family))
        load(namespace, "nft", family, FOREIGN)
    return namespace


def _generation(namespace: Namespace) -> str:
    return namespace.run(["nft", "-j", "list", "tables"]) + namespace.run(["nft", "--handle", "list", "ruleset"])


def test_the_tables_of_pools_are_read_as_iptables_save_prints_them(crowded: Namespace) -> None:
    before = _generation(crowded)
    everything, _commands = crowded.call(_read, None)
    few, commands = crowded.call(_read, POOL_TABLES)
    assert few.chain_sets == everything.chain_sets
    assert any(one.stray_jumps for one in few.chain_sets), "the jump in INPUT is not the first rule's"
    listed, saved = few.cluster_chains, everything.cluster_chains
    assert (listed.hints, listed.services, listed.accepting) == (saved.hints, saved.services, saved.accepting)
    assert listed.accepting
    assert listed.services == {"iptables"}
    unread = {"cluster_chains": saved, "reason": everything.reason}
    assert replace(few, **unread) == everything
    assert len(commands) == 2, "one program for each family"
    assert not any("save" in command for command in commands)
    assert _generation(crowded) == before


def test_all_tables_are_read_if_asked_for(crowded: Namespace) -> None:
    _state, commands = crowded.call(_read, None)
    assert all("save" in command for command in commands)


def test_what_iptables_cannot_print_is_reported(crowded: Namespace) -> None:
    crowded.run(["nft", "add chain ip raw mine; add rule ip raw mine fib daddr type local accept"])
    few, _commands = crowded.call(_read, POOL_TABLES)
    assert few.incompatible == {("ipv4", "raw")}
    assert few.hidden == {("ipv4", "raw")}


def test_a_node_without_rules_has_empty_sets(namespace: Namespace) -> None:
    few, _commands = namespace.call(_read, POOL_TABLES)
    assert few.chain_sets == {chains("nft"), chains("nft", family="ipv6")}
    assert namespace.run(["nft", "list", "ruleset"]) == ""


def test_chains_are_counted_and_found_by_single_questions(namespace: Namespace) -> None:
    assert namespace.call(nft_chain_count, "ipv4") == 0
    load_kube_proxy(namespace, "nft")
    listed = namespace.run(["iptables-nft-save"]).splitlines()
    assert namespace.call(nft_chain_count, "ipv4") == sum(line.startswith(":") for line in listed)
    assert namespace.call(nft_has_chain, "ipv4", "nat", "KUBE-SERVICES")
    assert not namespace.call(nft_has_chain, "ipv4", "nat", "KUBE-SERVICE")
    assert not namespace.call(nft_has_chain, "ipv4", "missing", "KUBE-SERVICES")
    rules = namespace.call(nft_rules, "ipv4", "nat", "KUBE-SERVICES")
    assert len(rules) == sum(line.startswith("-A KUBE-SERVICES ") for line in listed)
    assert namespace.call(nft_rules, "ipv4", "missing") == []
