# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules for one kind of object, and routing_info: add, change, again, absent, purge, all or none, their examples."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.kernel.engine.convergence import converge, writes_nothing
from tests.lab import kernel_features
from tests.lab.snapshot import Snapshot, assert_same
from tests.support.modules import MODULES
from tests.support.node import Node
from tests.support.pools import ABSENT, EXTERNAL, SECOND, declared
from tests.support.snapshots import unchanged

COLLECTION = "ansible_collections.homeward.metallb_routing.plugins.modules"
NAMES = {"ip_links": "links", "ip_routes": "routes", "ip_rules": "rules", "iptables_chains": "chains"}
MORE: dict[str, dict[str, Any]] = {"iptables_chains": {"prefix": "SITE-", "iptables_variant": "nft"}}

#: One object, the same changed, and another.
OBJECTS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "ip_links": (
        {"name": "mv0", "kind": "macvlan", "parent": "eth1", "mtu": 1400},
        {"name": "mv0", "kind": "macvlan", "parent": "eth1", "mtu": 1300, "up": False},
        {"name": "mv1", "kind": "macvlan", "parent": "eth2"},
    ),
    "ip_routes": (
        {"destination": "5.6.7.0/24", "interface": "eth1", "table": "100"},
        {"destination": "5.6.7.0/24", "gateway": "172.16.0.1", "interface": "eth2", "table": "100"},
        {"destination": "fd56::/64", "type": "blackhole", "metric": 7},
    ),
    "ip_rules": (
        {"priority": 5000, "fwmark": "0x100/0x1f00", "table": "100"},
        {"priority": 5000, "fwmark": "0x200/0x1f00", "table": "100"},
        {"priority": 5001, "source": "fd56::/64", "action": "unreachable"},
    ),
    "iptables_chains": (
        {"name": "SITE-A", "table": "raw", "hook": "PREROUTING", "rules": ["-s 5.6.7.8 -j DROP"]},
        {"name": "SITE-A", "table": "raw", "hook": "OUTPUT", "rules": ["-d 5.6.7.0/24 -j DROP", "-j RETURN"]},
        {"name": "SITE-B", "table": "mangle", "family": "ipv6", "rules": ["-j MARK --set-mark 2"]},
    ),
}
#: Foreign objects that look like the above.
FOREIGN = (
    "ip link add mv9 link eth1 type macvlan mode bridge; ip link set mv9 alias foreign; ip route add 5.6.9.0/24 dev eth1;"
    " ip rule add priority 5000 fwmark 0x10000/0x30000 lookup 100 protocol 79; ip rule add priority 5000 lookup 101;"
    " iptables-nft -t raw -N SITTING; iptables-nft -t raw -A PREROUTING -j SITTING"
)


@pytest.fixture
def node() -> Iterator[Node]:
    """A node with foreign objects of each kind."""
    with Node() as made:
        made.host.run(FOREIGN)
        yield made


def arguments(module: str, *objects: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {NAMES[module]: [dict(item) for item in objects], **MORE.get(module, {}), **more}


def settle(node: Node, module: str, parameters: dict[str, Any], *, changes: bool = True) -> Snapshot:
    """Converge, and return a snapshot of the node afterwards."""
    answer, after = converge(node, module, parameters)
    assert answer["changed"] == changes
    return after


@pytest.mark.parametrize("module", NAMES)
def test_objects_are_added_changed_and_removed(node: Node, module: str) -> None:
    start = node.snapshot()
    first, changed, other = OBJECTS[module]
    settle(node, module, arguments(module, first, other))
    both = settle(node, module, arguments(module, changed))
    assert_same(both, settle(node, module, arguments(module, changed, other), changes=False))
    settle(node, module, arguments(module, other, state="absent"))
    # The whole rule is its key, so the changed one exists beside the first.
    settle(node, module, arguments(module, *((first, changed) if module == "ip_rules" else (first,)), state="absent"))
    assert_same(start, node.snapshot())
    settle(node, module, arguments(module, first, other, state="absent"), changes=False)


@pytest.mark.parametrize("module", NAMES)
def test_purge_deletes_only_managed_objects(node: Node, module: str) -> None:
    with unchanged(node):
        first, _changed, other = OBJECTS[module]
        others = {
            "ip_links": {"owner": "another.play"},
            "ip_routes": {"protocol": 200},
            "ip_rules": {"protocol": 200},
            "iptables_chains": {"prefix": "SITX-", "comment": "another play"},
        }[module]
        renamed = copy.deepcopy(other)
        if module == "iptables_chains":
            renamed["name"] = "SITX-B"
        node.change(module, arguments(module, renamed, **others))
        with_others = node.snapshot()
        settle(node, module, arguments(module, first))
        settle(node, module, arguments(module, purge=True))
        assert_same(with_others, node.snapshot())
        settle(node, module, arguments(module, **others, purge=True))


@pytest.mark.parametrize("module", ["ip_routes", "ip_rules"])
def test_500_objects_are_added_in_one_run(node: Node, module: str) -> None:
    with unchanged(node):
        made = {
            "ip_routes": lambda n: {
                "destination": f"20.{n >> 8}.{n & 255}.0/24",
                "interface": "eth1",
                "table": f"{1 + n % 7}",
            },
            "ip_rules": lambda n: {"priority": 6000 + n // 3, "source": f"20.0.{n & 255}.0/24", "table": str(1000 + n)},
        }[module]
        many = [made(number) for number in range(500)]
        node.change(module, arguments(module, *many))
        count = {
            "ip_routes": "ip route show table all proto 78 | wc -l",
            "ip_rules": "ip -N rule show | grep -c 'proto 78'",
        }
        assert node.host.output(count[module]) == "500"
        assert not node.change(module, arguments(module, *many[::-1]))["changed"], (
            "the order of the list does not matter"
        )
        answer = node.change(module, arguments(module, *many[:250], purge=True))
        assert len(answer["commands"]) == 250
        node.change(module, arguments(module, purge=True))


@pytest.mark.parametrize(
    ("module", "bad"),
    [
        ("ip_links", {"name": "mv2", "kind": "macvlan", "parent": "nowhere"}),
        ("ip_routes", {"destination": "default", "gateway": "9.9.9.9", "interface": "eth1", "table": "100"}),
        ("iptables_chains", {"name": "SITE-C", "table": "nat", "rules": ["-j REJECT"]}),
    ],
)
def test_an_invalid_object_prevents_the_whole_change(node: Node, module: str, bad: dict[str, Any]) -> None:
    first, changed, other = OBJECTS[module]
    node.change(module, arguments(module, first))
    with unchanged(node):
        answer = node.module(module, arguments(module, changed, bad, other))
        assert answer.get("failed"), answer


def test_a_rule_may_be_spelled_in_any_way(node: Node) -> None:
    rules = [
        "--source 5.6.7.8,9.9.9.9 --jump DROP",
        "-p tcp --dport 80 -j MARK --set-mark 2",
        "-i eth1 -m comment --comment 'a b'",
    ]
    chain = {"name": "SITE-A", "table": "mangle", "hook": "PREROUTING"}
    with_quotes = [*rules[:2], '-i eth1 -m comment --comment "a b"']
    settle(node, "iptables_chains", arguments("iptables_chains", {**chain, "rules": with_quotes}))
    answer = node.refuse("iptables_chains", arguments("iptables_chains", {**chain, "rules": rules}))
    assert "double quotes" in answer["msg"]


@pytest.mark.parametrize("module", ["ip_links", "ip_routes", "iptables_chains"])
def test_contradicting_declarations_of_one_object_are_refused(node: Node, module: str) -> None:
    first, changed, other = OBJECTS[module]
    answer = node.refuse(module, arguments(module, first, other, changed))
    assert f"{NAMES[module]}[2]" in answer["msg"]
    assert f"contradicts {NAMES[module]}[0]" in answer["msg"]
    assert "(family=" not in answer["msg"], "not the representation of an object"


def test_a_conflicting_foreign_object_is_refused(node: Node) -> None:
    answer = node.refuse("ip_links", arguments("ip_links", {"name": "mv9", "kind": "macvlan", "parent": "eth1"}))
    assert "mv9" in answer["msg"]
    answer = node.refuse("ip_routes", arguments("ip_routes", {"destination": "5.6.9.0/24", "interface": "eth2"}))
    assert "5.6.9.0/24 dev eth1" in answer["msg"]


def test_a_macvlan_on_a_macvlan_is_refused(node: Node) -> None:
    """The kernel would put it on eth1, and every run would create it again."""
    for parent in ("mv9", "mv0"):
        links = [OBJECTS["ip_links"][0], {"name": "mv2", "kind": "macvlan", "parent": parent}]
        answer = node.refuse("ip_links", arguments("ip_links", *links))
        assert answer["errors"][0]["path"] == "links[1].parent"
        assert answer["msg"].endswith("Use eth1.")


def test_chains_of_the_other_variant_stay(node: Node) -> None:
    parameters = {"prefix": "SITE-", "chains": [{"name": "SITE-C", "table": "mangle", "rules": ["-j ACCEPT"]}]}
    node.change("iptables_chains", {**parameters, "iptables_variant": "legacy"})
    before = node.snapshot()
    node.change("iptables_chains", {**parameters, "iptables_variant": "nft"})
    node.change("iptables_chains", {**parameters, "state": "absent", "iptables_variant": "nft"})
    assert_same(before, node.snapshot())
    assert "SITE-C" in node.host.output("iptables-legacy-save -t mangle")


@pytest.mark.parametrize("module", ["iptables_chains", "pool_routing"])
def test_a_table_that_iptables_cannot_print_is_refused(node: Node, module: str) -> None:
    native = "fib daddr type local accept"
    node.host.run(f"nft 'add table ip raw; add chain ip raw own; add rule ip raw own {native}'")
    chain = {"name": "SITE-IN", "table": "raw", "hook": "PREROUTING", "rules": ["-i eth9 -j DROP"]}
    parameters = {"iptables_chains": {"prefix": "SITE-", "chains": [chain]}, "pool_routing": declared(EXTERNAL)}
    answer = node.refuse(module, {**parameters[module], "iptables_variant": "nft"})
    assert '"nft -a list table ip raw" shows them' in answer["msg"]
    node.host.run("nft delete table ip raw")


def test_routing_info_returns_the_managed_objects(node: Node) -> None:
    empty = node.change("routing_info", {})
    assert all(empty[name] == [] for name in ("links", "addresses", "sysctls", "routes", "rules", "chains"))
    node.change("pool_routing", declared(EXTERNAL, SECOND))
    before = node.snapshot()
    with writes_nothing(node, before):
        answer = node.change("routing_info", {})
    assert not answer["changed"]
    assert answer["addresses"] == [{"interface": "eth0.200", "address": "1.2.5.201/32"}]
    for kind in ("routes", "rules"):
        assert len(answer[kind]) == (before[f"{kind}4"] + before[f"{kind}6"]).count('"protocol": "77"')
    saved = before["iptables-nft-save"] + before["ip6tables-nft-save"]
    assert len(answer["chains"]) == saved.count("\n:HOMEWARD-")
    assert {"name": "net/ipv4/conf/eth0.100/rp_filter", "value": "1", "original": "0"} in answer["sysctls"]
    assert answer["iptables_variant"] == "nft"
    assert answer["hidden_chains"] == []
    node.host.run("nft add rule ip mangle PREROUTING ct state established meta mark set ct mark")
    answer = node.change("routing_info", {})
    tables = {(item["family"], item["table"]) for item in answer["chains"]}
    assert tables == {("ipv4", "raw"), ("ipv6", "mangle"), ("ipv6", "raw")}
    (why,) = answer["hidden_chains"]
    assert "the ipv4 table mangle of iptables-nft holds rules that iptables cannot print" in why
    node.host.run("nft flush chain ip mangle PREROUTING")
    node.change("pool_routing", ABSENT)


# --- what the documentation shows


def examples(module: str) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = yaml.safe_load(importlib.import_module(f"{COLLECTION}.{module}").EXAMPLES)
    return tasks


@pytest.mark.parametrize(
    ("module", "task"),
    [(module, task) for module in MODULES for task in examples(module) if f"homeward.metallb_routing.{module}" in task],
    ids=lambda value: value["name"] if isinstance(value, dict) else value,
)
def test_examples_run(node: Node, module: str, task: dict[str, Any]) -> None:
    parameters = task[f"homeward.metallb_routing.{module}"] or {}
    vlan = any(link.get("kind", "vlan") == "vlan" for link in parameters.get("links", []))
    if vlan and not kernel_features.supports("vlan"):
        pytest.skip("needs 8021q in the kernel (tests/vm has it)")
    with unchanged(node):
        answer = node.change(module, parameters)
        assert node.change(module, parameters)["changed"] is False
        assert (
            answer["changed"]
            or module == "routing_info"
            or "purge" in parameters
            or parameters.get("state") == "absent"
        )
        reverts = {"pool_routing": ABSENT, "iptables_chains": {"chains": [], "purge": True, "prefix": "SITE-"}}
        if module != "routing_info":
            node.change(module, reverts.get(module, {NAMES.get(module, ""): [], "purge": True}))


def test_every_module_has_an_example() -> None:
    for module in MODULES:
        assert any(f"homeward.metallb_routing.{module}" in task for task in examples(module)), module
