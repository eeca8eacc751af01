# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real IPVS: service addresses on kube-ipvs0, connection marks through IPVS, strict ARP, and who is reached."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import Cell, Host, Lab, LabOptions, controls, packets
from tests.lab.delivery import all_cells
from tests.lab.kube_proxy_ipvs import DUMMY_LINK
from tests.support.modules import run_module
from tests.support.namespace import Namespace

from . import arp, nodes
from .nodes import Pristine, apply_everywhere, declared, deliver, has_endpoint, run

pytestmark = pytest.mark.usefixtures("vlan", "ipvs")
STRICT_ARP = {"net/ipv4/conf/all/arp_ignore": "1", "net/ipv4/conf/all/arp_announce": "2"}


@pytest.fixture(scope="module")
def lab(vlan: None, ipvs: None) -> Iterator[Lab]:  # noqa: ARG001 - ask for the features before the lab does
    """Nodes with kube-proxy in IPVS mode, whose eth0 is a trunk and who filter strictly."""
    with Lab(LabOptions(prefix="homeward-ipvs", kube_proxy="ipvs", vlan="real", rp_filter=1)) as running:
        yield running


@pytest.fixture(scope="module")
def pristine(lab: Lab) -> Pristine:
    """The nodes as they are before any test; each test leaves them so."""
    return Pristine(lab)


@pytest.fixture
def clean(lab: Lab, pristine: Pristine) -> Iterator[Lab]:
    """The lab without anything of ours, before and after."""
    yield lab
    apply_everywhere(lab, declared("absent"))
    assert [pristine.changes(host) for host in lab.nodes] == ["", ""]


def strict_arp_of(node: Host) -> dict[str, str]:
    return {key: node.sysctl(key) for key in STRICT_ARP}


def is_reached_by_plain_ipvs(lab: Lab, cell: Cell) -> bool:
    """Nodes and pods reach what has an endpoint for them.

    Of the LAN's flows those whose replies no router looks into, where no filter drops requests that come the other way.
    """
    if cell.client in ("outside", "onlink"):
        return False
    return (cell.protocol, cell.family) == ("udp", 6) if cell.client == "lan" else has_endpoint(lab, cell)


# --- what is there, and that it is recognised


def test_service_addresses_are_on_the_dummy_link(lab: Lab) -> None:
    for node in lab.nodes:
        seen = node.output(f"ip address show dev {DUMMY_LINK}")
        for service in lab.services.values():
            for address in (service.address, service.cluster_ip, service.address6, service.cluster_ip6):
                assert address is None or f" {address}/" in seen
        assert node.sysctl("net/ipv4/vs/conntrack") == "1", "as kube-proxy sets it"


def test_mode_is_recognised_by_the_dummy_link(lab: Lab) -> None:
    """Before KUBE-SERVICES, which kube-proxy has in this mode too."""
    node = lab.host("node1")
    assert "KUBE-SERVICES" in node.output("iptables-nft-save -t nat")
    assert run(node, "routing_info", {})["kube_proxy"] == {"mode": "ipvs", "reason": f"there is a link {DUMMY_LINK}"}


def test_mode_is_recognised_by_the_kernels_services_alone() -> None:
    """As kube-router and others have it: no kube-ipvs0, no chains."""
    with Namespace("homeward-bare") as bare:
        bare.run(["ipvsadm", "-A", "-t", "10.0.0.1:80", "-s", "rr"])
        bare.run(["ipvsadm", "-A", "-u", "10.0.0.1:80", "-s", "rr"])
        seen = bare.call(run_module, "routing_info", {})["kube_proxy"]
        assert seen == {"mode": "ipvs", "reason": "there are 2 IPVS services"}
        bare.run(["ipvsadm", "-C"])
        assert bare.call(run_module, "routing_info", {})["kube_proxy"]["mode"] == ""


# --- ARP


def test_strict_arp_leaves_the_answer_to_the_announcer(clean: Lab) -> None:
    """Every node has every address, so without it each of them answers, and clients may land on the wrong one.

    Without filtering, which keeps a node on whose link the client's network is unknown from answering at all.
    """
    filters = [f"net/ipv4/conf/{scope}/rp_filter" for scope in ("all", "default")]
    announcer = clean.host(clean.services["lo-p1"].announcer)
    for node in clean.nodes:
        for key in filters:
            node.set_sysctl(key, 0)
        node.run("\n".join(controls.make_link(clean.options)))
    try:
        assert arp.answers(clean, "lo-p1") == {packets.mac_of(node, "eth0.100") for node in clean.nodes}
        apply_everywhere(clean, declared(case="source_routing"))
        assert [strict_arp_of(node) for node in clean.nodes] == [STRICT_ARP] * 2
        assert arp.answers(clean, "lo-p1") == {packets.mac_of(announcer, "eth0.100")}
        apply_everywhere(clean, declared("absent"))
        assert arp.answers(clean, "lo-p1") == {packets.mac_of(node, "eth0.100") for node in clean.nodes}
    finally:
        for node in clean.nodes:
            node.run("ip link del eth0.100")
            for key in filters:
                node.set_sysctl(key, 1)


# --- packets


def test_plain_ipvs_reaches_what_is_known(clean: Lab) -> None:
    """The control: link and strict ARP by hand, nothing of ours."""
    for node in clean.nodes:
        node.run("\n".join(controls.make_link(clean.options)))
        for key, value in STRICT_ARP.items():
            node.set_sysctl(key, value)
    try:
        deliveries = deliver(clean, all_cells(clean), "plain IPVS, strict ARP", nodes.SOON_LOST_AFTER)
    finally:
        for node in clean.nodes:
            node.run("ip link del eth0.100")
            for key in STRICT_ARP:
                node.set_sysctl(key, 0)
    for delivery in deliveries:
        assert delivery.reached == is_reached_by_plain_ipvs(clean, delivery.cell), delivery


def test_source_routing_reaches_clients_behind_routers(clean: Lab) -> None:
    """By a rule on the source and no mark: IPVS routes a reply after it has given it its source."""
    answers = apply_everywhere(clean, declared(case="source_routing"))
    assert [answer["cases"][0]["case"] for answer in answers] == ["source_routing"] * 2
    for node in clean.nodes:
        assert "from 1.2.3.0/24 lookup 7701" in node.output("ip rule")
        assert "fwmark" not in node.output("ip rule")
        assert "CONNMARK" not in node.output("iptables-nft-save")
    nodes.assert_the_right_way(deliver(clean, all_cells(clean, clients=["outside", "lan"]), "source_routing, IPVS"))


def test_policy_routing_reaches_all_that_has_an_endpoint(clean: Lab) -> None:
    apply_everywhere(clean, declared())
    cells = [cell for cell in all_cells(clean) if has_endpoint(clean, cell)]
    nodes.assert_the_right_way(deliver(clean, cells, "policy_routing, IPVS"))


def test_a_change_of_the_case_leaves_nothing_of_the_other(clean: Lab) -> None:
    node = clean.host("node1")
    nodes.apply(node, declared(case="source_routing"))
    first = node.snapshot()
    nodes.apply(node, declared())
    assert "fwmark" in node.output("ip rule")
    nodes.apply(node, declared(case="source_routing"))
    assert first.difference(node.snapshot()) == ""
