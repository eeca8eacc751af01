# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab whose two nodes are persistent: node1 with a foreign link and nft, node2 with a managed link and legacy tables.

The machine may have no 802.1Q, so a macvlan on pool0 stands in for the VLAN. A VLAN has its parent's
address on the wire, a macvlan a random one: :func:`set_mac` gives it the one that clients know.
"""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence.statefile import Saved, dumps, loads
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Link
from tests.kernel.delivery.lab import PER_NODE, pool_of
from tests.lab import Host, Lab, kube_proxy_rules, namespaces, offloads, topology
from tests.lab.waiting import wait_until
from tests.support.agent import apply, command, read_state, write_state
from tests.support.pools import declared

POOL_LINK = "eth0.100"
PARENT = "pool0"
NODE2_MAC, PARENT_MAC = topology.mac(2, 12), topology.mac(2, 112)


def parameters(lab: Lab, node: str, variant: str) -> dict[str, object]:
    """Return the module's parameters for the lab's pool on one node, with addresses of the node's own."""
    return declared({**pool_of(lab), "addresses": list(PER_NODE[node])}, iptables_variant=variant)


def prepare(lab: Lab) -> None:
    """Apply the pool to both nodes, persistently."""
    first, second = lab.nodes
    apply(first, parameters(lab, "node1", "nft"))
    apply(second, parameters(lab, "node2", "legacy"))
    manage_link(second)


def manage_link(node: Host) -> None:
    """Turn the node's foreign pool link into the parent of a managed one, as if that had been declared."""
    saved = loads(read_state(node))
    managed = Link(POOL_LINK, "macvlan", PARENT)
    write_state(node, dumps(with_links(saved, managed)))
    node.run(f"ip link set {POOL_LINK} down name {PARENT}; ip link set {PARENT} address {PARENT_MAC} up")
    for name, value in (
        ("ipv4/conf/{}/rp_filter", 0),
        ("ipv4/conf/{}/src_valid_mark", 0),
        ("ipv6/conf/{}/accept_ra", 1),
    ):
        node.set_sysctl(f"net/{name.format(PARENT)}", value)  # as a link has them that was never managed
    node.run(command("restore"))
    set_mac(node)


def with_links(saved: Saved, *links: Link) -> Saved:
    """Return the saved state with these links."""
    return replace(saved, state=replace(saved.state, links=frozenset(links)))


def set_mac(node: Host) -> None:
    """Give the macvlan, as soon as it exists, the MAC address that clients know, as a VLAN would have it."""
    line = f"ip link set {POOL_LINK} address {NODE2_MAC}"
    wait_until(lambda: not node.run(line, check=False).returncode, f"{node.name}: {POOL_LINK} exists", pause=0.005)


def recreate_link(lab: Lab, node: str) -> None:
    """Delete a node's foreign link to the pool and create it again, as its owner would."""
    host = lab.host(node)
    plan = next(plan for plan in lab.plans if plan.name == node)
    (link,) = (link for link in plan.links if link.name == POOL_LINK)
    if node == "node2":
        link = replace(link, name=PARENT, mac=PARENT_MAC)
    alone = replace(plan, links=(link,))
    host.run(f"ip link del {link.name}")
    namespaces.ip_batch(topology.cables([alone], lab.prefix))
    switch = lab.namespace(topology.SWITCH)
    namespaces.ip_batch(topology.ports([alone], lab.options), switch)
    for namespace, name in ((host.namespace, link.name), (switch, topology.port_of(plan, link))):
        namespaces.in_namespace(namespace, lambda name=name: offloads.switch_off([name]))
    host.run(f"ip link set {link.name} up")


def reload_kube_proxy(lab: Lab, node: str) -> None:
    """Load what else a node has in nftables, as kube-proxy and the network plugin do soon after they lost it."""
    host = lab.host(node)
    kube_proxy_rules.load(host, lab.options, lab.services)
    plan = next(plan for plan in lab.plans if plan.name == node)
    host.run(["nft", "-f", "-"], stdin=topology.firewall(plan, lab.options))
