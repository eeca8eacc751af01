# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of all nodes, from all sources, and which nodes have to be asked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_addresses import (
    ClusterAddresses,
    Reader,
    collect,
    loads,
)
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.host_variables import silent_nodes
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.reported_addresses import (
    ANSWER,
    NoAnswer,
    read_answer,
)

CLUSTER = "metallb_routing_cluster"
V4 = {"metallb_routing_pools": [{"networks": ["1.2.3.0/24"]}]}
V46 = {"policy_routing_pools": [{"networks": ["1.2.3.0/24", "fd00::/64"]}]}


class HostVars:
    """Variables of hosts as Ansible has them; counts how often they are combined and how often templates are evaluated."""

    def __init__(self, hosts: Mapping[str, Mapping[str, Any]]) -> None:
        self.hosts = hosts
        self.combined: Counter[str] = Counter()
        self.evaluated: Counter[tuple[str, str]] = Counter()

    def raw_get(self, host: str) -> Mapping[str, Any]:
        self.combined[host] += 1
        return self.hosts[host]

    def __getitem__(self, host: str) -> Mapping[str, Any]:
        hostvars = self

        class Evaluated(dict[str, Any]):
            def __getitem__(self, name: str) -> Any:
                hostvars.evaluated[host, name] += 1
                value = super().__getitem__(name)
                if value == "{{ missing }}":
                    raise ValueError("'missing' is undefined")
                return value.replace("{{ number }}", host[1:]) if isinstance(value, str) else value

        return Evaluated(self.hosts[host])


def found(hosts: Mapping[str, Mapping[str, Any]], played: tuple[str, ...] = ()) -> ClusterAddresses:
    return collect(list(hosts), Reader(HostVars(hosts)), set(played))


def link(name: str, *addresses: str, **flags: Any) -> dict[str, Any]:
    items = []
    for address in addresses:
        local, _slash, length = address.partition("/")
        family = "inet6" if ":" in local else "inet"
        scope = "link" if local.startswith("fe80") else "host" if name == "lo" else "global"
        items.append({"family": family, "local": local, "prefixlen": int(length), "scope": scope, **flags})
    return {"ifname": name, "addr_info": items}


def answer(links: list[Any], *routes: Any, connection: str = "") -> dict[str, Any]:
    routes4, routes6 = (*routes, [], [])[:2]
    return {"stdout": ";\n".join(f"{json.dumps(part)}\n" for part in (links, routes4, routes6)) + f";\n{connection}\n"}


ETH0 = link("eth0", "192.168.1.11/24", "fd00::11/64", "fe80::11/64")
DEFAULT = [{"dst": "default", "gateway": "192.168.1.1", "dev": "eth0"}]


@pytest.mark.parametrize(
    ("given", "ipv4", "ipv6"),
    [
        (answer([ETH0], DEFAULT), ["192.168.1.11"], ["fd00::11"]),
        (
            answer([ETH0, link("cni0", "10.42.0.1/24"), link("lo", "127.0.0.1/8")], DEFAULT),
            ["192.168.1.11"],
            ["fd00::11"],
        ),
        (answer([ETH0], [], DEFAULT), ["192.168.1.11"], ["fd00::11"]),
        (answer([ETH0], connection="192.168.1.7 50000 192.168.1.11 22"), ["192.168.1.11"], ["fd00::11"]),
        (answer([ETH0], [{"dst": "default", "nexthops": [{"dev": "eth0"}]}]), ["192.168.1.11"], ["fd00::11"]),
        (answer([link("eth0", "192.168.1.11/24", "192.168.1.10/32")], DEFAULT), ["192.168.1.11"], []),
        (answer([link("eth0", "192.168.1.11/32")], DEFAULT), ["192.168.1.11"], []),
        (answer([link("eth0", "fd00::11/64", temporary=True)], DEFAULT), [], []),
        (answer([link("eth0", "fd00::11/64", deprecated=True)], DEFAULT), [], []),
        (answer([link("eth0", "192.168.1.11/24", secondary=True)], DEFAULT), [], []),
        (answer([{}, ETH0, {"ifname": "eth1", "addr_info": []}], DEFAULT), ["192.168.1.11"], ["fd00::11"]),
        ({"stdout": "Welcome\n" + answer([ETH0], DEFAULT)["stdout"]}, ["192.168.1.11"], ["fd00::11"]),
    ],
)
def test_the_answer_of_a_node(given: dict[str, Any], ipv4: list[str], ipv6: list[str]) -> None:
    assert read_answer(given) == {"ipv4": ipv4, "ipv6": ipv6}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"unreachable": True, "msg": "x"}, "unreachable"),
        ({"failed": True, "msg": "ip: not found"}, "ip: not found"),
        ({"stdout": "", "stderr": "ip: not found"}, "ip: not found"),
        (answer([ETH0]), "no default route"),
        ({"stdout": "[{]\n;\n[]\n;\n[]\n;\n\n"}, "unexpected output"),
    ],
)
def test_no_answer_has_a_reason(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(NoAnswer, match=reason):
        read_answer(given)


def test_the_first_source_of_each_family_counts() -> None:
    facts = {"default_ipv4": {"address": "10.0.0.3"}, "default_ipv6": {"address": "fd01::3", "scope": "global"}}
    hosts = {
        "n1": {"ip": "10.0.0.1", "ip6": "fd01::1", ANSWER: answer([ETH0], DEFAULT)},
        "n2": {"ip": "10.0.0.2", ANSWER: answer([ETH0], DEFAULT), "ansible_facts": facts},
        "n3": {"ansible_facts": facts},
        "n4": {"ansible_facts": {"default_ipv4": {"address": "10.0.0.4"}, "default_ipv6": {}}},
        "n5": {ANSWER: {"unreachable": True}, "ansible_facts": facts},
    }
    result = found(hosts, ("n2", "n3", "n4", "n5"))
    assert result.sources == {
        "n1": {"10.0.0.1": "ip", "fd01::1": "ip6"},
        "n2": {"10.0.0.2": "ip", "fd00::11": "the node"},
        "n3": {"10.0.0.3": "gathered facts", "fd01::3": "gathered facts"},
        "n4": {"10.0.0.4": "gathered facts"},
        "n5": {},
    }
    assert result.unknown == {"ipv4": {"n5": "the node is unreachable"}, "ipv6": {"n5": "the node is unreachable"}}


def test_facts_of_hosts_outside_of_the_play_do_not_count() -> None:
    result = found({"n1": {"ansible_facts": {"default_ipv4": {"address": "10.0.0.1"}}}})
    assert result.sources == {"n1": {}}
    assert result.unknown["ipv4"] == {"n1": "the node was not asked"}


def test_an_address_that_hosts_share_belongs_to_none_of_them() -> None:
    result = found({"n1": {"ansible_host": "10.0.0.1"}, "n2": {"access_ip": "10.0.0.1", "ip": "10.0.0.2"}})
    assert result.sources == {"n1": {}, "n2": {"10.0.0.2": "ip"}}
    (warning,) = result.warnings
    assert warning.startswith("n1, n2: ansible_host: 10.0.0.1 is the address of 2 hosts")


def test_equal_problems_are_one_warning_and_there_are_not_too_many() -> None:
    result = found({f"n{number}": {"ip": "{{ missing }}"} for number in range(6)})
    assert len(result.warnings) == 1
    assert result.warnings[0].startswith("n0, n1, n2, n3 and 2 more: ip: cannot be evaluated: 'missing' is undefined.")
    many = found({f"n{number}": {"ip": f"10.0.0.{number}/24"} for number in range(100)})
    assert len(many.warnings) == 21
    assert many.warnings[-1].startswith("80 more")


def test_the_text_of_all_addresses_gives_the_same() -> None:
    result = found({"n1": {"ip": "10.0.0.1"}, "n2": {}})
    assert loads(result.dumps()) == result
    assert json.loads(result.for_module())["addresses"] == {"n1": ["10.0.0.1"], "n2": []}


@pytest.mark.parametrize("count", [5, 50])
def test_every_host_is_read_once(count: int) -> None:
    """The number of evaluations is that of the hosts, not of its square."""
    hostvars = HostVars(
        {f"n{number}": {"ansible_host": "10.0.0.{{ number }}", "ip": "fd00::1"} for number in range(count)}
    )
    collect(list(hostvars.hosts), Reader(hostvars), set())
    assert set(hostvars.combined.values()) == {1}
    assert hostvars.evaluated == {(f"n{number}", "ansible_host"): 1 for number in range(count)}


@pytest.mark.parametrize(
    ("hosts", "asked"),
    [
        ({"n1": {"ip": "10.0.0.1", **V4}, "n2": {**V4}}, ["n2"]),
        ({"n1": {"ip": "10.0.0.1", **V46}, "n2": {"ip": "10.0.0.2", "ip6": "fd00::2", **V46}}, ["n1"]),
        ({"n1": {"ip": "10.0.0.1", **V4}, "n2": {"ip": "10.0.0.2", **V46}}, ["n1", "n2"]),
        ({"n1": {"ip": "10.0.0.1", **V4}, "n2": {"ip": "10.0.0.1", **V4}}, ["n1", "n2"]),  # shared
        ({"n1": {"ip": "10.0.0.1"}}, []),
        ({"n1": {"ip": "{{ missing }}", **V4}}, ["n1"]),
        ({"n1": {"ip": "10.0.0.1", "metallb_routing_pools": [{"networks": "1.2.3.0/24,fd00::/64"}]}}, ["n1"]),
        ({"n1": {"ip": "10.0.0.1", "metallb_routing_pools": "{{ missing }}"}}, []),
        ({"n1": {"ip": "10.0.0.1", "metallb_routing_pools": {"networks": None}}}, []),
        ({"n1": {CLUSTER: {"node_addresses": ["10.0.0.1"]}}, "n2": {CLUSTER: {"node_addresses": []}}}, []),
        ({"n1": {CLUSTER: {"node_addresses": ["10.0.0.1"]}}, "n2": {CLUSTER: {"node_addresses": None}}}, ["n1", "n2"]),
        ({"n1": {CLUSTER: None}}, ["n1"]),
    ],
)
def test_which_nodes_are_asked(hosts: Mapping[str, Mapping[str, Any]], asked: list[str]) -> None:
    assert silent_nodes(list(hosts), Reader(HostVars(hosts)), {}) == asked


def test_variables_of_the_play_count() -> None:
    hosts = {"n1": {"ip": "10.0.0.1"}}
    reader = Reader(HostVars(hosts))
    assert silent_nodes(["n1"], reader, {"metallb_routing_pools": V46["policy_routing_pools"]}) == ["n1"]
    assert silent_nodes(["n1"], reader, {**V46, CLUSTER: {"node_addresses": ["10.0.0.1"]}}) == []


@pytest.mark.parametrize("count", [5, 50])
def test_pools_that_hosts_share_are_evaluated_once(count: int) -> None:
    pools = [{"networks": ["{{ number }}.2.3.0/24"]}]
    hostvars = HostVars(
        {f"n{number}": {"ip": f"10.0.0.{number}", "metallb_routing_pools": pools} for number in range(count)}
    )
    silent_nodes(list(hostvars.hosts), Reader(hostvars), {})
    assert sum(hostvars.evaluated.values()) == 1
    assert set(hostvars.combined.values()) == {1}
