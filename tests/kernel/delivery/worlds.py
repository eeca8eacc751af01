# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worlds in which every client must reach every service, and a few of them that have every pair of choices."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from typing import Any

from tests.kernel.delivery.lab import apply, lab_of, pool_of
from tests.lab import Lab, packets

RANGES = ["1.2.3.4-1.2.3.22", "fd00:1:2:3::20-fd00:1:2:3::22"]
ONLINK = ["1.2.3.0/24", "fd00:1:2:3::/64"]
LAN = ["192.168.1.0/24", "fd00:192:168:1::/64"]


@dataclass(frozen=True)
class World:
    """One choice of everything that may differ between nodes.

    :param variant: the iptables of kube-proxy, if it uses any, and of the collection.
    :param link: ``bare``: a link for the pool, no address. ``addressed``: each node has a foreign address of the pool.
        ``strict``: the pool's router filters ARP, and the pool has ``addresses``. ``shared``: eth0.
    :param foreign: foreign state: ``calico`` a raw chain with rpfilter, ``cilium`` the rule for the local table moved
        to priority 100, ``valid_mark`` all.src_valid_mark=1.
    :param pool: ``whole`` networks, a ``range`` of them, or the LAN ``denied``.
    """

    kube_proxy: str
    variant: str
    rp_filter: int
    link: str
    foreign: str
    pool: str

    def __str__(self) -> str:
        return "-".join(map(str, astuple(self)))


CHOICES: dict[str, tuple[Any, ...]] = {
    "kube_proxy": ("iptables", "nftables"),
    "variant": ("nft", "legacy"),
    "rp_filter": (0, 1, 2),
    "link": ("bare", "addressed", "strict", "shared"),
    "foreign": ("none", "calico", "cilium", "valid_mark"),
    "pool": ("whole", "range", "denied"),
}
assert tuple(CHOICES) == tuple(field.name for field in fields(World))


def all_worlds() -> list[World]:
    """Return all combinations."""
    return [World(*values) for values in itertools.product(*CHOICES.values())]


def pairs(world: World) -> frozenset[tuple[Any, ...]]:
    """Return every pair of choices of a world, with their positions."""
    return frozenset(itertools.combinations(enumerate(astuple(world)), 2))


def covering_worlds() -> list[World]:
    """Return a few worlds, always the same, that have every pair of choices: each time the one with most new pairs."""
    candidates = {world: pairs(world) for world in all_worlds()}
    missing = set().union(*candidates.values())
    chosen = []
    while missing:
        best = max(candidates, key=lambda world: len(candidates[world] & missing))
        missing -= candidates[best]
        chosen.append(best)
    return chosen


def build(world: World) -> Lab:
    """Return the world's lab, not started."""
    return lab_of(
        kube_proxy=world.kube_proxy,
        variant=world.variant,
        rp_filter=world.rp_filter,
        vlan_address=world.link == "addressed",
        shared_link=world.link == "shared",
        strict_pool_router=world.link == "strict",
    )


def prepare(lab: Lab, world: World) -> None:
    """Add the foreign state to the nodes, and prepare the pool's router."""
    for node in lab.nodes:
        for line in _foreign_lines(world):
            node.run(line)
    if world.link == "strict":
        add_neighbours(lab)


def add_neighbours(lab: Lab) -> None:
    """Add the services to the router's neighbour table, because nodes would learn its MAC address from its requests."""
    router = lab.host("poolrouter")
    macs = {node.name: packets.mac_of(node, lab.options.pool_interface) for node in lab.nodes}
    for service in lab.services.values():
        router.run(f"ip neighbour replace {service.address} lladdr {macs[service.announcer]} dev pool nud permanent")
    for node in lab.nodes:
        node.run(f"ip neighbour flush dev {lab.options.pool_interface}")


def _foreign_lines(world: World) -> Iterator[str]:
    if world.foreign == "calico":
        for program in ("iptables", "ip6tables"):
            tables = f"{program}-{world.variant} -w -t raw"
            yield f"{tables} -N cali-PREROUTING"
            yield f"{tables} -I PREROUTING -j cali-PREROUTING"
            yield f"{tables} -A cali-PREROUTING -i pod-+ -j MARK --set-xmark 0x40000/0x40000"
            yield (
                f"{tables} -A cali-PREROUTING -m mark --mark 0x40000/0x40000 -m rpfilter --validmark --invert -j DROP"
            )
            yield f"{tables} -A cali-PREROUTING -j MARK --set-xmark 0x0/0x40000"
    if world.foreign == "cilium":
        for ip in ("ip -4", "ip -6"):
            yield f"{ip} rule add priority 100 lookup local"
            yield f"{ip} rule del priority 0"
    if world.foreign == "valid_mark":
        yield "sysctl -q -w net/ipv4/conf/all/src_valid_mark=1"


def apply_pool(lab: Lab, world: World, kind: str) -> None:
    """Apply the lab's pool, declared in one of the ways of ``World.pool``."""
    changes: dict[str, Any] = {
        "whole": {},
        "range": {"networks": RANGES, "onlink_networks": ONLINK},
        "denied": {"deny": LAN},
    }[kind]
    # In nftables mode the node gives no hint of a variant.
    variant = "auto" if world.kube_proxy == "iptables" else world.variant
    apply(lab, pool_of(lab, **changes), per_node=world.link == "strict", iptables_variant=variant)


def denied_clients(kind: str) -> tuple[str, ...]:
    """Return the clients that must reach nothing."""
    return ("lan",) if kind == "denied" else ()
