# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real IPVS: service addresses on kube-ipvs0, connection marks through IPVS, strict ARP, and delivery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.lab import Cell, Host, Lab, LabOptions, arp, controls
from tests.lab.delivery import all_cells, assert_delivered
from tests.lab.kube_proxy_ipvs import DUMMY_LINK
from tests.lab.packets import mac_of
from tests.support.modules import run_module
from tests.support.namespace import Namespace

from . import nodes
from .nodes import Baseline, apply_everywhere, declared, deliver, has_endpoint, run

pytestmark = pytest.mark.usefixtures("vlan", "ipvs")
STRICT_ARP = {"net/ipv4/conf/all/arp_ignore": "1", "net/ipv4/conf/all/arp_announce": "2"}


@pytest.fixture(scope="module")
def lab(vlan: None, ipvs: None) -> Iterator[Lab]:  # noqa: ARG001 - ask for the features before the lab does
    """Nodes with kube-proxy in IPVS mode, eth0 as a trunk and strict source validation."""
    with Lab(LabOptions(prefix="homeward-ipvs", kube_proxy="ipvs", vlan="real", rp_filter=1)) as running:
        yield running


@pytest.fixture
def clean(lab: Lab, baseline: Baseline) -> Iterator[Lab]:
    """The lab without managed state, before and after the test."""
    yield lab
    apply_everywhere(lab, declared("absent"))
    assert [baseline.changes(host) for host in lab.nodes] == ["", ""]


def strict_arp_of(node: Host) -> dict[str, str]:
    return {key: node.sysctl(key) for key in STRICT_ARP}


def arp_answers(lab: Lab, service: str, macs: Mapping[str, str]) -> set[str]:
    """Return the MACs that answer the on-link client's ARP request for a service's address.

    :param macs: MAC of each node's link.
    """
    asked = lab.services[service]
    expected = {asked.address: {macs[asked.announcer]}}
    for node in macs:
        later = next(one for one in lab.services.values() if one.announcer == node and one is not asked)
        expected[later.address] = {macs[node]}
    return arp.answers(lab.host("onlink"), "eth0", "1.2.3.50", expected)[asked.address]


def is_reached_by_plain_ipvs(lab: Lab, cell: Cell) -> bool:
    """Whether a cell is reached without the collection.

    Nodes and pods reach services with an endpoint for them. Of the LAN's flows only IPv6 UDP succeeds: the default router
    sees only one direction of TCP connections and drops them, and source validation drops IPv4 requests.
    """
    if cell.client in ("outside", "onlink", "poolrouter"):
        return False
    return (cell.protocol, cell.family) == ("udp", 6) if cell.client == "lan" else has_endpoint(lab, cell)


# --- detection of the mode


def test_service_addresses_are_on_the_dummy_link(lab: Lab) -> None:
    for node in lab.nodes:
        seen = node.output(f"ip address show dev {DUMMY_LINK}")
        for service in lab.services.values():
            for address in (service.address, service.cluster_ip, service.address6, service.cluster_ip6):
                assert address is None or f" {address}/" in seen
        assert node.sysctl("net/ipv4/vs/conntrack") == "1", "as kube-proxy sets it"


def test_dummy_link_reveals_the_mode(lab: Lab) -> None:
    """The chain KUBE-SERVICES also exists in this mode, and here it has no rules that only one mode writes."""
    node = lab.host("node1")
    assert "KUBE-SERVICES" in node.output("iptables-nft-save -t nat")
    expected = {"mode": "ipvs", "reason": f"there is a link {DUMMY_LINK}", "contradiction": ""}
    assert run(node, "routing_info", {})["kube_proxy"] == expected


def test_ipvs_services_reveal_the_mode() -> None:
    """kube-router, for example, has neither kube-ipvs0 nor chains."""
    with Namespace("homeward-bare") as bare:
        bare.run(["ipvsadm", "-A", "-t", "10.0.0.1:80", "-s", "rr"])
        bare.run(["ipvsadm", "-A", "-u", "10.0.0.1:80", "-s", "rr"])
        seen = bare.call(run_module, "routing_info", {})["kube_proxy"]
        assert seen == {"mode": "ipvs", "reason": "there are 2 IPVS services", "contradiction": ""}
        bare.run(["ipvsadm", "-C"])
        assert bare.call(run_module, "routing_info", {})["kube_proxy"]["mode"] == ""


# --- ARP


def test_strict_arp_leaves_the_answer_to_the_announcer(clean: Lab) -> None:
    """Every node has every address, so without strict ARP all nodes answer.

    The test turns source validation off, because a node does not answer a client whose network it cannot validate.
    """
    filters = [f"net/ipv4/conf/{scope}/rp_filter" for scope in ("all", "default")]
    for node in clean.nodes:
        for key in filters:
            node.set_sysctl(key, 0)
        node.run("\n".join(controls.make_link(clean.options)))
    try:
        macs = {node.name: mac_of(node, "eth0.100") for node in clean.nodes}
        assert arp_answers(clean, "lo-p1", macs) == set(macs.values())
        apply_everywhere(clean, declared(case="source_routing"))
        assert [strict_arp_of(node) for node in clean.nodes] == [STRICT_ARP] * 2
        assert arp_answers(clean, "lo-p1", macs) == {macs[clean.services["lo-p1"].announcer]}
        apply_everywhere(clean, declared("absent"))
        assert arp_answers(clean, "lo-p1", macs) == set(macs.values())
    finally:
        for node in clean.nodes:
            node.run("ip link del eth0.100")
            for key in filters:
                node.set_sysctl(key, 1)


# --- packets


def test_plain_ipvs_reaches_only_known_cells(clean: Lab) -> None:
    """The control: the link and strict ARP, configured by hand."""
    for node in clean.nodes:
        node.run("\n".join(controls.make_link(clean.options)))
        for key, value in STRICT_ARP.items():
            node.set_sysctl(key, value)
    clean.restart_speakers()
    cells = all_cells(clean)
    reached = [cell for cell in cells if is_reached_by_plain_ipvs(clean, cell)]
    try:
        deliveries = deliver(clean, reached, "plain IPVS, strict ARP")
        lost = [cell for cell in cells if cell not in reached]
        deliveries += deliver(clean, lost, "plain IPVS, strict ARP, lost", nodes.LOST_TIMEOUT)
    finally:
        for node in clean.nodes:
            node.run("ip link del eth0.100")
            for key in STRICT_ARP:
                node.set_sysctl(key, 0)
    for delivery in deliveries:
        assert delivery.reached == is_reached_by_plain_ipvs(clean, delivery.cell), delivery


def test_source_routing_reaches_clients_behind_routers(clean: Lab) -> None:
    """By a rule on the source, without marks: IPVS routes a reply after translating its source."""
    answers = apply_everywhere(clean, declared(case="source_routing"))
    assert [answer["cases"][0]["case"] for answer in answers] == ["source_routing"] * 2
    for node in clean.nodes:
        assert "from 1.2.3.0/24 lookup 7701" in node.output("ip rule")
        assert "fwmark" not in node.output("ip rule")
        assert "CONNMARK" not in node.output("iptables-nft-save")
    cells = all_cells(clean, clients=["outside", "lan"])
    assert_delivered(clean, deliver(clean, cells, "source_routing, IPVS"))


def test_policy_routing_reaches_all_services_with_an_endpoint(clean: Lab) -> None:
    apply_everywhere(clean, declared())
    cells = [cell for cell in all_cells(clean) if has_endpoint(clean, cell)]
    assert_delivered(clean, deliver(clean, cells, "policy_routing, IPVS"))


def test_changing_the_case_leaves_nothing_of_the_former(clean: Lab) -> None:
    node = clean.host("node1")
    nodes.apply(node, declared(case="source_routing"))
    first = node.snapshot()
    nodes.apply(node, declared())
    assert "fwmark" in node.output("ip rule")
    nodes.apply(node, declared(case="source_routing"))
    assert first.difference(node.snapshot()) == ""
