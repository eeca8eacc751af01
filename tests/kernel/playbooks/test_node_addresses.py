# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where playbooks take the addresses of the nodes from: the inventory, the nodes themselves, and the last run."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import STATE_FILE
from tests.lab import inventory
from tests.lab.many_nodes import ManyNodes
from tests.support.playbooks import Played, play, variables

NODES = ("node1", "node2", "node3")
NETWORKS4 = {"networks": ["1.2.3.64/26"], "onlink_networks": ["1.2.3.0/24"], "gateways": ["1.2.3.1"]}
NETWORKS46 = {
    "networks": ["1.2.3.64/26", "fd00:1:2:3:1::/80"],
    "onlink_networks": ["1.2.3.0/24", "fd00:1:2:3::/64"],
    "gateways": ["1.2.3.1", "fd00:1:2:3::1"],
}
ASK = "Ask the node for its addresses"
IPV4 = {name: f"192.168.1.{11 + index}" for index, name in enumerate(NODES)}
IPV6 = {name: f"fd00:192:168:1::{11 + index}" for index, name in enumerate(NODES)}
DEFAULT_ADDRESS = "{{ ansible_default_ipv4.address }}"
# A substitute for systemctl that creates the same files and starts nothing.
SYSTEMD = """
mkdir -p /run/systemd/system /run/systemd/units
mount -t tmpfs tmpfs /usr/local/sbin
printf '#!/bin/sh\\nexit 0\\n' > /usr/local/sbin/systemctl
chmod 755 /usr/local/sbin/systemctl
"""


@pytest.fixture(scope="module")
def site() -> Iterator[ManyNodes]:
    with ManyNodes(3, prefix="homeward-addresses") as made:
        yield made


def hosts(site: ManyNodes, known: Mapping[str, Mapping[str, Any]], group: str = "k8s_cluster") -> str:
    """Return an inventory with these variables of the nodes, and how to connect to them."""
    listed = json.loads(inventory.text(site))["nodes"]["hosts"]
    entries = {}
    for node, (name, more) in zip(NODES, known.items(), strict=False):
        connection = {key: value for key, value in listed[node].items() if key not in ("ansible_host", "ip6")}
        entries[name] = {**connection, **more}
    return json.dumps({group: {"hosts": entries}})


def run(
    site: ManyNodes, playbook: str, known: str, *options: str, pool: Mapping[str, Any] = NETWORKS4, **more: Any
) -> Played:
    values = {**variables(**pool), "metallb_routing_persist": False, **more}
    return play(site, playbook, values, *options, hosts=known)


def addresses(played: Played) -> dict[str, str]:
    """Return what the plan says of each node."""
    text = played.text.split("\nNode addresses:\n\n")[1].split("\n\n")[0].replace("\n    ", " ")
    return dict(line.split(": ", 1) for line in text.splitlines())


def test_nodes_without_an_address_in_the_inventory_are_asked(site: ManyNodes) -> None:
    played = run(site, "plan", hosts(site, {name: {} for name in NODES}), pool=NETWORKS46)
    assert played.code == 0, played.text
    assert played.text.count(f": {ASK}]") == 1
    assert addresses(played) == {name: f"{IPV4[name]} (from the node), {IPV6[name]} (from the node)" for name in NODES}
    assert not_dropped(played, IPV4.values()) == []
    assert "node_addresses" not in played.text, "no warning"


def test_only_nodes_with_a_gap_are_asked(site: ManyNodes) -> None:
    """node1 has both families, node2 one, node3 none."""
    known = {"node1": {"ip": IPV4["node1"], "ip6": IPV6["node1"]}, "node2": {"ip": IPV4["node2"]}, "node3": {}}
    played = run(site, "plan", hosts(site, known), pool=NETWORKS46)
    assert played.code == 0, played.text
    assert addresses(played) == {
        "node1": f"{IPV4['node1']} (from ip), {IPV6['node1']} (from ip6)",
        "node2": f"{IPV4['node2']} (from ip), {IPV6['node2']} (from the node)",
        "node3": f"{IPV4['node3']} (from the node), {IPV6['node3']} (from the node)",
    }
    asked = played.text.split(f": {ASK}]")[1].split("\nPLAY [")[0]
    assert [name for name in NODES if f"ok: [{name}]" in asked] == ["node2", "node3"]


def not_dropped(played: Played, addresses: Iterable[str]) -> list[str]:
    """Return those of the addresses that are in no network which the guard drops as a source."""
    dropped = [ipaddress.ip_network(text) for text in re.findall(r"-s (\S+) -j DROP", played.text)]
    return [one for one in addresses if not any(ipaddress.ip_address(one) in network for network in dropped)]


@pytest.mark.parametrize(
    ("group", "known"),
    [
        ("k8s_cluster", {name: {"ip": IPV4[name], "access_ip": IPV4[name]} for name in NODES}),  # Kubespray
        ("kube_node", {name: {"ansible_host": IPV4[name]} for name in NODES}),  # Kubespray since v2.27
        ("k3s_cluster", {IPV4[name]: {"ansible_user": "debian"} for name in NODES}),  # k3s-ansible
        ("nodes", {name: {"ansible_ssh_host": IPV4[name]} for name in NODES}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_no_node_is_asked_if_the_inventory_is_complete(
    site: ManyNodes, group: str, known: Mapping[str, Mapping[str, Any]]
) -> None:
    played = run(site, "plan", hosts(site, known, group))
    assert played.code == 0, played.text
    assert ASK not in played.text
    assert [text.split(" ")[0] for text in addresses(played).values()] == list(IPV4.values())
    assert "node_addresses" not in played.text, "no warning"


def test_hosts_of_an_ini_inventory_that_are_named_by_their_address(site: ManyNodes) -> None:
    listed = json.loads(inventory.text(site))["nodes"]["hosts"]
    lines = [
        f"{IPV4[name]} "
        + " ".join(f"{key}={value}" for key, value in listed[name].items() if key not in ("ansible_host", "ip6"))
        for name in NODES
    ]
    played = run(site, "plan", "[masters]\n" + "\n".join(lines) + "\n")
    assert played.code == 0, played.text
    assert ASK not in played.text
    assert addresses(played) == {address: f"{address} (from inventory_hostname)" for address in IPV4.values()}


def test_an_address_that_hosts_share_is_left_out_and_the_nodes_are_asked(site: ManyNodes) -> None:
    known = hosts(
        site, {name: {"ansible_host": "192.168.1.1", "ansible_port": 2200 + index} for index, name in enumerate(NODES)}
    )
    played = run(site, "plan", known)
    assert played.code == 0, played.text
    words = " ".join(played.text.split())
    assert "node1, node2, node3: ansible_host: 192.168.1.1 is the address of 3 hosts" in words
    assert addresses(played) == {name: f"{IPV4[name]} (from the node), {IPV6[name]} (from the node)" for name in NODES}
    assert not_dropped(played, ["192.168.1.1"]) == ["192.168.1.1"]


def test_the_default_gateway_as_address_of_a_node_is_refused_with_the_name_of_the_node(site: ManyNodes) -> None:
    known = {
        name: {"ansible_host": address}
        for name, address in zip(NODES, ("192.168.1.1", *list(IPV4.values())[1:]), strict=True)
    }
    played = run(site, "plan", hosts(site, known))
    assert played.code != 0
    words = " ".join(played.text.split())
    assert "nodes.node1: 192.168.1.1 is the node's default gateway" in words
    assert "Set ip and ip6 of node1, or declare cluster.node_addresses." in words


def test_values_that_are_no_address_are_named_and_the_nodes_are_asked(site: ManyNodes) -> None:
    known = {
        "node1": {"ip": f"{IPV4['node1']}/24"},
        "node2": {"ip": DEFAULT_ADDRESS},
        "node3": {"ip6": 3661, "ansible_host": "fe80::1%eth0"},
    }
    played = run(site, "plan", hosts(site, known))
    assert played.code == 0, played.text
    words = " ".join(played.text.split())
    assert f"node1: ip: {IPV4['node1']}/24 has a prefix length" in words
    assert "node2: ip: cannot be evaluated: " in words
    assert "'ansible_default_ipv4' is undefined" in words
    assert "node3: ip6: 3661 is a number" in words
    assert "fe80::1" not in played.text
    assert [text.split(" ")[0] for text in addresses(played).values()] == list(IPV4.values())


def test_an_unreachable_node_does_not_stop_the_plan_of_the_others(site: ManyNodes) -> None:
    dead = {
        "ansible_connection": "ssh",
        "ansible_host": "dead.invalid",
        "ansible_ssh_extra_args": "-o ConnectTimeout=2",
    }
    known = hosts(site, {"node1": dead, "node2": {}, "node3": {}})
    played = run(site, "plan", known)
    assert played.counts["node1"]["unreachable"] >= 1, played.text
    assert re.search("^node1 .*no plan; see the error above", played.text, re.MULTILINE)
    assert "# node2, node3" in played.text
    assert addresses(played)["node1"].startswith("no IPv4 address is known (the node is unreachable)")
    words = " ".join(played.text.split())
    assert "no IPv4 address of node1 is known (the node is unreachable)" in words
    assert "Set ip of these hosts in the inventory" in words
    removed = run(site, "remove", known, metallb_routing_serial="100%")
    assert removed.counts["node2"]["failed"] == removed.counts["node3"]["failed"] == 0, removed.text


def test_limit_keeps_the_addresses_of_the_other_nodes_from_the_last_run(site: ManyNodes) -> None:
    """Only the nodes know them; a warning names what no longer belongs to a node."""
    silent = {name: {"ip": DEFAULT_ADDRESS} for name in NODES}
    for node in site.nodes:
        node.run(["sh", "-ec", SYSTEMD])
    try:
        played = run(site, "apply", hosts(site, silent), metallb_routing_persist=True)
        assert played.code == 0, played.text
        before = site.nodes[0].snapshot()

        limited = run(site, "apply", hosts(site, silent), "--limit", "node1", metallb_routing_persist=True)
        assert limited.code == 0, limited.text
        assert before.difference(site.nodes[0].snapshot()) == ""
        assert "no longer" not in limited.text
        planned = run(site, "plan", hosts(site, silent), "--limit", "node1", metallb_routing_persist=True)
        assert (
            addresses(planned)["node2"]
            == f"{IPV4['node2']} (from the last run on node1), {IPV6['node2']} (from the last run on node1)"
        )

        fewer = {name: silent[name] for name in NODES[:2]}
        gone = run(site, "apply", hosts(site, fewer), "--limit", "node1", metallb_routing_persist=True)
        assert gone.code == 0, gone.text
        words = " ".join(gone.text.split())
        assert f"{IPV4['node3']} (node3), {IPV6['node3']} (node3) no longer belong to a node" in words
        state = json.loads(site.nodes[0].run(["cat", STATE_FILE]).stdout)
        assert [item["node"] for item in state["nodes"]] == ["node1", "node2"]
    finally:
        assert run(site, "remove", hosts(site, silent)).code == 0
        for node in site.nodes:
            node.run(["sh", "-ec", "umount /usr/local/sbin; rm -r /run/systemd/system"])


def test_gathered_facts_count_where_a_role_runs_without_the_playbooks(site: ManyNodes, tmp_path: Path) -> None:
    book = [{"hosts": "all", "gather_facts": True, "roles": ["homeward.metallb_routing.node"]}]
    (tmp_path / "site.yml").write_text(json.dumps(book))
    known = hosts(site, {name: {} for name in NODES})
    played = run(site, str(tmp_path / "site.yml"), known, "--check", "--diff", pool=NETWORKS46)
    assert played.code == 0, played.text
    assert not_dropped(played, (*IPV4.values(), *IPV6.values())) == []
    assert "node_addresses" not in played.text.split("PLAY RECAP")[0], "no warning"


def test_a_role_without_facts_names_nodes_that_it_does_not_know(site: ManyNodes, tmp_path: Path) -> None:
    book = [{"hosts": "all", "gather_facts": False, "roles": ["homeward.metallb_routing.node"]}]
    (tmp_path / "site.yml").write_text(json.dumps(book))
    known = hosts(site, {"node1": {"ip": IPV4["node1"]}, "node2": {"ip": IPV4["node2"]}, "node3": {}})
    played = run(site, str(tmp_path / "site.yml"), known, "--check")
    assert played.code == 0, played.text
    assert "no IPv4 address of node3 is known (the node was not asked)" in " ".join(played.text.split())
