"""Each recipe reaches in the lab exactly what was measured with it on real nodes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.lab import Cell, Delivery, Lab, LabOptions, controls, kernel_features, kube_proxy_rules, packets
from tests.lab.delivery import REFUSED, all_cells, assert_delivered, assert_refused, refused_cells

PREFIX = "homeward-controls"
#: Kinds of endpoints: a pod, the host network of the node that translates the address, that of another node, a socket on
#: the pool's address
EVERYTHING = frozenset(
    (protocol, kind) for protocol in ("tcp", "udp") for kind in ("pod", "host", "far host", "socket")
)
UDP = frozenset(pair for pair in EVERYTHING if pair[0] == "udp")
SOCKET = frozenset(pair for pair in EVERYTHING if pair[1] == "socket")
#: Endpoints whose replies arrive on a link; replies of the node itself do not traverse PREROUTING
ELSEWHERE = frozenset(pair for pair in EVERYTHING if pair[1] in ("pod", "far host"))
NOTHING: frozenset[tuple[str, str]] = frozenset()
#: recipe -> what outside, onlink, lan and pod1 reach
MEASURED = {
    "none": (NOTHING, NOTHING, UDP, EVERYTHING),
    "case2": (NOTHING, EVERYTHING, UDP, EVERYTHING),
    "case3": (SOCKET, SOCKET, SOCKET | UDP, EVERYTHING - SOCKET),
    "case4a": (SOCKET, SOCKET, SOCKET | UDP, EVERYTHING),
    "case4b": (NOTHING, NOTHING, UDP, EVERYTHING),
    "issue610": (ELSEWHERE, ELSEWHERE, ELSEWHERE | UDP, EVERYTHING - ELSEWHERE),
    "recipe": (EVERYTHING, EVERYTHING, EVERYTHING, EVERYTHING),
    "refined": (EVERYTHING, EVERYTHING, EVERYTHING, EVERYTHING),
}


def kind_of(lab: Lab, cell: Cell) -> str:
    """Return the kind of the cell's endpoint: pod, host, far host or socket."""
    service = lab.services[cell.service]
    if not service.endpoints:
        return "socket"
    endpoint = service.endpoints[0]
    # The address is translated on the client's own node, or else on the node that announces it.
    translator = cell.client if cell.client.startswith(("node", "pod")) else service.announcer
    far = "far " if endpoint.startswith("host") and endpoint[-1] != translator[-1] else ""
    return far + endpoint.rstrip("12")


def reached(lab: Lab, deliveries: list[Delivery], client: str) -> frozenset[tuple[str, str]]:
    """Return the kinds of flows with which a client reached endpoints; all flows of a kind must agree."""
    results: dict[tuple[str, str], set[bool]] = {}
    for delivery in deliveries:
        if delivery.cell.client == client:
            key = (delivery.cell.protocol, kind_of(lab, delivery.cell))
            results.setdefault(key, set()).add(delivery.reached)
    assert all(len(values) == 1 for values in results.values()), f"{client}: {results}"
    return frozenset(key for key, values in results.items() if values == {True})


@pytest.mark.parametrize("recipe", MEASURED)
def test_recipes_reach_what_was_measured(recipe: str) -> None:
    """With both modes at once, as most of the time is spent waiting for lost flows."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(partial(assert_measured, recipe), ("iptables", "nftables")))


def assert_measured(recipe: str, mode: str) -> None:
    with Lab(LabOptions(prefix=f"{PREFIX}-{mode}", kube_proxy=mode, address_socket=True)) as lab:
        controls.apply(lab, recipe)
        deliveries = lab.deliver(
            [cell for cell in all_cells(lab, families=[4]) if cell.client not in ("pod2", "poolrouter")], timeout=1.5
        )
        services_only = [delivery for delivery in deliveries if delivery.cell.service != "socket1"]
        for client, measured in zip(("outside", "onlink", "lan", "pod1"), MEASURED[recipe], strict=True):
            assert reached(lab, deliveries, client) == measured, (mode, client)
        for node in ("node1", "node2"):
            assert reached(lab, services_only, node) == EVERYTHING - SOCKET, (mode, node)
        routed_back = MEASURED[recipe][0]
        for delivery in deliveries:
            # Other replies to the LAN go there directly, not through the pool's router
            by_pool = (
                delivery.cell.client == "outside"
                or (delivery.cell.protocol, kind_of(lab, delivery.cell)) in routed_back
            )
            if delivery.reached and delivery.cell.client in ("outside", "lan"):
                assert delivery.ways == (("pool",) if by_pool else ("direct",)), (mode, delivery)


@pytest.mark.parametrize(
    ("mode", "variant", "rp_filter", "vlan_address"),
    [
        ("iptables", "nft", 1, False),
        ("iptables", "legacy", 2, False),
        ("nftables", "nft", 2, True),
        ("nftables", "legacy", 1, True),
    ],
)
def test_refined_recipe_reaches_everything(mode: str, variant: str, rp_filter: int, vlan_address: bool) -> None:
    options = LabOptions(
        prefix=f"{PREFIX}-mark", kube_proxy=mode, variant=variant, rp_filter=rp_filter, vlan_address=vlan_address
    )
    with Lab(options) as lab:
        controls.apply(lab, "refined")
        assert_delivered(lab, lab.deliver())


@pytest.mark.parametrize("rp_filter", [1, 2])
def test_without_src_valid_mark_requests_are_dropped(rp_filter: int) -> None:
    """Loose source validation also drops them, because the link has no address."""
    with Lab(LabOptions(prefix=f"{PREFIX}-rp", rp_filter=rp_filter)) as lab:
        controls.apply(lab, "refined")
        for node in lab.nodes:
            node.set_sysctl("net/ipv4/conf/eth0.100/src_valid_mark", 0)
        deliveries = lab.deliver([Cell("outside", "cl-p1"), Cell("outside", "ds-cl-p1", family=6)], timeout=1.0)
        assert [delivery.reached for delivery in deliveries] == [False, True]


@pytest.mark.parametrize("vlan_address", [False, True])
def test_strict_pool_router_ignores_arp_from_another_network(vlan_address: bool) -> None:
    """On a link without an address, a node sends ARP requests for its gateway from its LAN address."""
    options = LabOptions(prefix=f"{PREFIX}-strict", strict_pool_router=True, vlan_address=vlan_address)
    with Lab(options) as lab:
        controls.apply(lab, "refined")
        cell = Cell("outside", "lo-p1", "udp")
        # An ARP request from the router would show the node the router's MAC, so give the router a permanent entry
        node = lab.host("node1")
        mac = packets.mac_of(node, "eth0.100")
        lab.host("poolrouter").run(f"ip neighbour replace 1.2.3.7 lladdr {mac} dev pool nud permanent")
        node.run("ip neighbour flush dev eth0.100")
        assert lab.deliver([cell], timeout=1.0)[0].reached == vlan_address


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_discarding_at_routing_prevents_refusals(mode: str) -> None:
    """kube-proxy refuses clients of a service without endpoints after routing, so no route may discard their requests."""
    with Lab(LabOptions(prefix=f"{PREFIX}-empty", kube_proxy=mode)) as lab:
        controls.apply(lab, "recipe")
        assert_refused(lab.deliver([cell for cell in refused_cells(lab) if cell.client.startswith("pod")]))
        outside = [cell for cell in refused_cells(lab) if not cell.client.startswith("pod")]
        assert REFUSED not in [one.error for one in lab.deliver(outside, timeout=1.0)]
        for node in lab.nodes:
            node.run("ip -4 rule del priority 2100; ip -6 rule del priority 2100")
        assert_refused(lab.deliver(outside, timeout=8.0))


def test_same_subnet_needs_nothing() -> None:
    with Lab(LabOptions(prefix=f"{PREFIX}-same", same_subnet=True)) as lab:
        assert_delivered(lab, lab.deliver())


@pytest.mark.parametrize("rp_filter", [0, 1])
def test_shared_link_needs_a_mark_for_requests(rp_filter: int) -> None:
    """Replies from another node's endpoint arrive on the pool's link too, so `iif` cannot distinguish them from requests."""
    options = LabOptions(prefix=f"{PREFIX}-shared", shared_link=True, rp_filter=rp_filter)
    far, near = Cell("outside", "cl-p2"), Cell("outside", "cl-p1")
    with Lab(options) as lab:
        controls.apply(lab, "refined")
        for node in lab.nodes:
            node.run("iptables-nft -w -t raw -F HOMEWARD-RAW")
        deliveries = lab.deliver([far, near], timeout=1.0)
        assert [(one.reached, one.ways) for one in deliveries] == [(False, ("default",)), (True, ("pool",))]
    with Lab(options) as lab:
        controls.apply(lab, "shared")
        assert_delivered(lab, lab.deliver())


def test_real_vlan() -> None:
    if not kernel_features.supports("vlan"):
        pytest.skip("this kernel has no 802.1Q (ip link add type vlan)")
    with Lab(LabOptions(prefix=f"{PREFIX}-vlan", vlan="real", rp_filter=1)) as lab:
        controls.apply(lab, "refined")
        assert_delivered(lab, lab.deliver())


def test_ipvs() -> None:
    if not kernel_features.supports("ipvs"):
        pytest.skip("this kernel has no IPVS or no dummy link (ipvsadm, ip link add type dummy)")
    with Lab(LabOptions(prefix=f"{PREFIX}-ipvs", kube_proxy="ipvs")) as lab:
        for node in lab.nodes:
            node.set_sysctl("net/ipv4/conf/all/arp_ignore", 1)
            node.set_sysctl("net/ipv4/conf/all/arp_announce", 2)
        cells = all_cells(lab, clients=["outside", "onlink", "lan"])
        assert not any(delivery.reached for delivery in lab.deliver(cells) if delivery.cell.client == "outside")
        controls.apply(lab, "refined")
        assert all(delivery.reached for delivery in lab.deliver(cells))


@pytest.mark.parametrize("node", ["node1", "node2"])
@pytest.mark.parametrize("kind", ["iptables-save", "ip6tables-save"])
def test_every_tcp_rule_has_a_udp_copy(node: str, kind: str) -> None:
    saved = kube_proxy_rules.with_udp(kube_proxy_rules.fixture(node, kind)).splitlines()
    tcp = [line for line in saved if " -p tcp " in line and "health check" not in line]
    assert len(tcp) == len([line for line in saved if " -p udp " in line]) > 0
    services = [line for line in saved if line.startswith("-A KUBE-SERVICES")]
    assert "KUBE-NODEPORTS" in services[-1], "kube-proxy's rule for node ports must stay last"


@pytest.mark.parametrize("node", ["node1", "node2"])
def test_every_tcp_element_has_a_udp_copy(node: str) -> None:
    ruleset = kube_proxy_rules.nft_with_udp(kube_proxy_rules.fixture(node, "nft"))
    assert ruleset.count("tcp . ") == ruleset.count("udp . ") > 0
    assert ruleset.count("/tcp/http {") == ruleset.count("/udp/http {") > 0
