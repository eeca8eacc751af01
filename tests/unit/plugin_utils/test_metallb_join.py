# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declared pools joined with MetalLB's resources."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration import parse_declaration
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputErrors
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_addresses import Reader
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_announced import (
    Announced,
    AnnouncedPool,
    evaluate,
    loads,
)
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_join import Joined, join
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_nodes import (
    Nodes,
    from_cluster,
    from_inventory,
)
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_selectors import Labels
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_sources import Sources, collect

SAMPLES = Path(__file__).parent / "metallb"


class HostVars(dict[str, dict[str, Any]]):
    """Variables of hosts without templates."""

    def raw_get(self, host: str) -> dict[str, Any]:
        return self[host]


def inventory(hosts: Mapping[str, Mapping[str, Any]], **groups: list[str]) -> Nodes:
    return from_inventory(list(hosts), Reader(HostVars({host: dict(told) for host, told in hosts.items()})), groups)


def hostnames(*hosts: str) -> dict[str, Labels]:
    return {host: Labels({"kubernetes.io/hostname": host}) for host in hosts}


def announced(sample: str, hosts: Mapping[str, Labels], outside: Mapping[str, Labels] | None = None) -> Announced:
    resources, names = collect(Sources(manifests=(sample,)), {}, None, [SAMPLES])
    found = evaluate(resources, names, hosts, outside)
    assert loads(found.dumps()) == found
    return found


def problems(pools: list[Any], found: Announced, host: str = "node") -> list[str]:
    with pytest.raises(InputErrors) as caught:
        join(pools, found, host)
    return [str(error) for error in caught.value.errors]


def about(joined: Joined, *words: str) -> list[str]:
    return [warning for warning in joined.warnings if all(word in warning for word in words)]


def test_networks_interface_and_nodes_come_from_metallb() -> None:
    found = announced("nodes.yaml", hostnames("node-a", "node-b", "node-c"))
    pools = [
        {"name": "first-pool", "gateways": ["192.168.10.1"], "vlan": {"parent": "eth0", "id": 100}},
        {"name": "second-pool", "onlink_networks": ["192.168.20.0/24"]},
    ]
    joined = join(pools, found, "node-b")
    assert joined.pools == [{**pools[0], "networks": ["192.168.10.0/24"], "interface": "eth1"}]
    assert (joined.not_selected, joined.warnings) == (("second-pool",), ())
    joined = join(pools, found, "node-c")
    assert joined.pools == [{**pools[1], "networks": ["192.168.20.10-192.168.20.20"], "interface": "eth2"}]
    parse_declaration({"pools": joined.pools})


def test_what_is_declared_counts() -> None:
    found = announced("nodes.yaml", hostnames("node-a"))
    pool = {"name": "first-pool", "networks": ["192.168.10.0/25", "192.168.10.128/25"], "interface": "eth1"}
    joined = join([pool], found, "node-a", ["second-pool"])
    assert (joined.pools, joined.warnings) == ([pool], ())


def test_differences_between_declaration_and_metallb_are_warnings() -> None:
    found = announced("nodes.yaml", hostnames("node-a"), {"node-b": hostnames("node-b")["node-b"], "node-c": Labels()})
    joined = join([{"name": "first-pool", "networks": ["192.168.10.0/25"], "interface": "eth5"}], found, "node-a")
    assert about(joined, "declared on eth5", "announces it on eth1", "L2Advertisement subnet-a (nodes.yaml document 3)")
    assert about(joined, "lack 192.168.10.0/24", "nodes.yaml document 1")
    assert about(joined, "can announce it from node-b, nodes of the cluster that are not hosts")
    assert about(joined, "second-pool", "no link is known", "ignored_pools")
    assert len(joined.warnings) == 4


@pytest.mark.parametrize(("host", "words"), [("hostb", "on ens18, too"), ("other", "")])
def test_the_interfaces_of_all_advertisements_add_up(host: str, words: str) -> None:
    found = announced("union.yaml", hostnames("hostb", "other"))
    declared = {"name": "pool1", "interface": "eno1"}
    assert list(join([declared], found, host).warnings) == about(join([declared], found, host), words)
    assert bool(about(join([declared], found, host), "too")) == bool(words)
    if words:
        assert "announces pool1 on eno1 and ens18" in problems([{"name": "pool1"}], found, host)[0]
    else:
        assert join([{"name": "pool1"}], found, host).pools[0]["interface"] == "eno1"


def test_advertisements_for_different_services_add_up() -> None:
    (problem,) = problems([{"name": "first-pool"}], announced("services.json", {"node": Labels()}))
    assert problem.startswith("pools[0].interface: ")
    assert "announces first-pool on eth0 and eth1" in problem


def test_without_interfaces_the_interface_must_be_given() -> None:
    found = announced("simple.yaml", {"node": Labels()})
    (problem,) = problems([{"name": "example", "vlan": {"parent": "eth3", "id": 7}}], found)
    assert "L2Advertisement empty (simple.yaml document 2) names no interfaces" in problem
    assert "for example eth3.7" in problem
    assert join([{"name": "example", "interface": "eth3.7"}], found, "node").warnings == ()


def test_a_pool_that_is_announced_with_bgp_is_for_all_nodes() -> None:
    found = announced("bgp.yaml", {"first": Labels({"first": "true"}), "second": Labels({"second": "true"})})
    pools = [{"name": "pool1", "interface": "eth0"}, {"name": "pool2", "interface": "eth1"}]
    for host in ("first", "second"):
        assert [pool["name"] for pool in join(pools, found, host).pools] == ["pool1", "pool2"]
        assert join(pools, found, host).warnings == ()
    (problem,) = problems([{"name": "pool2"}], found, "first")
    assert "no L2Advertisement is for pool2 (bgp.yaml document 2)" in problem


def test_an_unknown_name_is_an_error_with_names_that_are_near() -> None:
    found = announced("nodes.yaml", hostnames("node-a"))
    first, second = problems([{"name": "frist-pool"}, {"name": "edge"}], found, "node-a")
    assert first.startswith(
        "pools[0].name: networks are not given, and no IPAddressPool has the name frist-pool in nodes.yaml."
    )
    assert "Did you mean first-pool" in first
    assert "There are first-pool, second-pool. Correct the name" in second


def test_an_unknown_name_with_networks_is_a_warning() -> None:
    pool = {"name": "frist-pool", "networks": ["1.2.3.0/24"], "interface": "eth0"}
    joined = join([pool], announced("nodes.yaml", hostnames("node-a")), "node-a")
    assert joined.pools == [pool]
    assert about(joined, "pool frist-pool", "Did you mean first-pool?")


def test_errors_of_the_engine_tell_the_manifest() -> None:
    """The paths of the joined list, also in the text of a message, become the paths that the user knows."""
    found = Announced(
        sources=("m.yaml",),
        pools=(
            AnnouncedPool("a", ("1.2.3.0/24",), ("m.yaml (IPAddressPool a) spec.addresses[0]",), "m.yaml"),
            AnnouncedPool("b", ("1.2.3.0/25", "127.0.0.0/24"), ("B0", "B1"), "m.yaml"),
        ),
    )
    pools = [
        {"name": "c", "networks": ["192.0.2.0/24"], "interface": "eth9"},
        {"name": "a", "interface": "eth1"},
        {"name": "b", "interface": "eth1"},
    ]
    joined = join(pools, found, "node")
    with pytest.raises(InputErrors) as caught:
        parse_declaration({"pools": joined.pools})
    texts = [str(error) for error in joined.translated(caught.value).errors]
    assert texts[0].startswith("B1: 127.0.0.0/24 is inside the loopback addresses")
    assert texts[1].startswith("B0: 1.2.3.0/25 lies inside m.yaml (IPAddressPool a) spec.addresses[0] (1.2.3.0/24)")


def test_indexes_in_errors_are_those_of_the_declaration() -> None:
    found = announced("nodes.yaml", hostnames("node-c"))
    pools = [{"name": "first-pool"}, {"name": "second-pool", "gateways": ["1.2.3.4"]}]
    joined = join(pools, found, "node-c")
    assert joined.translate("pools[0].gateways[0]: 1 is not inside pools[0].networks (2)") == (
        "pools[1].gateways[0]: 1 is not inside nodes.yaml document 2 (IPAddressPool second-pool) spec.addresses (2)"
    )


def test_a_node_whose_labels_are_not_known_is_configured_with_a_warning() -> None:
    told = inventory({"192.168.1.11": {}, "192.168.1.12": {}})
    found = announced("nodes.yaml", told.hosts)
    joined = join([{"name": "first-pool"}, {"name": "second-pool"}], found, "192.168.1.11")
    assert len(joined.pools) == 2
    assert about(joined, "L2Advertisement subnet-a (nodes.yaml document 3)", "kubernetes.io/hostname", "192.168.1.12")


@pytest.mark.parametrize(
    ("hosts", "groups", "expected"),
    [
        ({"node-a": {}, "node-c": {}}, {}, "1001"),
        ({"Node-A": {}, "x": {"metallb_routing_node_name": "node-c"}}, {}, "1001"),
        ({"x": {"kube_override_hostname": "node-b"}, "node-c": {}}, {}, "1001"),
        ({"node-a.example.com": {}, "node-c": {}}, {}, "??01"),
        ({"node-a.example.com": {}, "node-c": {}}, {"kube_control_plane": []}, "0001"),
        ({"x": {"metallb_routing_node_labels": {"kubernetes.io/hostname": "node-a"}}, "node-c": {}}, {}, "1001"),
    ],
)
def test_names_of_nodes(hosts: dict[str, Any], groups: dict[str, list[str]], expected: str) -> None:
    found = announced("nodes.yaml", inventory(hosts, **groups).hosts)
    assert "".join(found.nodes.values()) == expected


def test_a_label_of_one_host_is_known_for_all() -> None:
    """Kubespray's node_labels, and the label of the control plane from the groups."""
    hosts = {
        "a": {"node_labels": {"zone": "edge", "rank": 1, "on": True}},
        "b": {},
        "c": {"node_labels": {"zone": "core"}},
    }
    told = inventory(hosts, kube_control_plane=["a"]).hosts
    assert {key: told["a"].values[key] for key in ("zone", "rank", "on")} == {"zone": "edge", "rank": "1", "on": "true"}
    assert "zone" not in told["b"].values
    assert told["b"].knows("zone")
    assert not told["b"].knows("row")
    assert told["a"].values["node-role.kubernetes.io/control-plane"] == ""
    assert told["b"].knows("node-role.kubernetes.io/control-plane")


def test_nodes_of_the_cluster_are_found_by_name_and_by_address() -> None:
    nodes = [
        {"name": "node1.example.com", "labels": {"zone": "a"}, "addresses": ["192.168.1.11", "node1"]},
        {"name": "n2", "labels": {}, "addresses": ["192.168.1.12"]},
        {"name": "n3", "labels": {"zone": "b"}, "addresses": ["192.168.1.13"]},
    ]
    hosts = HostVars({"node1.example.com": {}, "192.168.1.12": {}, "n4": {"ansible_host": "192.168.1.14"}})
    found = from_cluster(list(hosts), Reader(hosts), nodes)
    assert found.names == {"node1.example.com": "node1.example.com", "192.168.1.12": "n2"}
    assert found.outside == {"n3": Labels({"zone": "b"})}
    assert found.hosts["node1.example.com"] == Labels({"zone": "a"})
    assert not found.hosts["n4"].knows("zone")
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("n4: the cluster has no node")


def test_an_advertisement_of_a_pool_that_does_not_exist_is_a_warning() -> None:
    resources, names = collect(
        Sources(
            resources=({"apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement", "metadata": {"name": "a"}},)
        ),
        {},
        None,
        [],
    )
    assert evaluate(resources, names, {}).warnings == ()
    text = {"kind": "L2Advertisement", "metadata": {"name": "a"}, "spec": {"ipAddressPools": ["gone", "first-pool"]}}
    sources = Sources(manifests=("nodes.yaml",), resources=({"apiVersion": "metallb.io/v1beta1", **text},))
    (warning,) = evaluate(collect(sources, {}, None, [SAMPLES])[0], (), {}).warnings
    assert warning.startswith("L2Advertisement a (metallb_routing_metallb.resources[0]) names gone, but")


SMALL = st.integers(0, 40)


@given(st.lists(st.tuples(SMALL, SMALL), max_size=4), st.lists(st.tuples(SMALL, SMALL), min_size=1, max_size=4))
def test_missing_networks_are_those_with_an_address_that_is_not_declared(
    assigned: list[tuple[int, int]], declared: list[tuple[int, int]]
) -> None:
    base = int(ipaddress.ip_address("192.0.2.0"))

    def text(ends: tuple[int, int]) -> str:
        first, last = (ipaddress.ip_address(base + end) for end in sorted(ends))
        return f"{first}-{last}"

    inside = {number for ends in declared for number in range(min(ends), max(ends) + 1)}
    lacking = [text(ends) for ends in assigned if not set(range(min(ends), max(ends) + 1)) <= inside]
    pool = AnnouncedPool("a", tuple(map(text, assigned)), ("",) * len(assigned), "m.yaml")
    entry = {"name": "a", "networks": list(map(text, declared)), "interface": "eth0"}
    warnings = join([entry], Announced(pools=(pool,), routed=("a",)), "node").warnings
    assert bool(warnings) == bool(lacking)
    assert all(one in warnings[0] for one in lacking[:4])
