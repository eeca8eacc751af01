# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses links that another link receives the packets of, and VLANs that would take frames away from another link.

A VLAN link receives the frames with its tag before the master of its parent does (``__netif_receive_skb_core`` in
net/core/dev.c calls ``vlan_do_receive`` before the ``rx_handler``).
"""

from __future__ import annotations

from collections.abc import Iterator

from ...declaration.model import Pool
from ...errors import InputError
from ...state import Interface, Node
from ...state.link import PASSTHRU
from ..context import Context

_VRF, _OVS = "vrf", "openvswitch"
#: What a master of this kind is called. The port of a bridge of Open vSwitch has the master ovs-system.
_KINDS = {"bridge": "the bridge ", "bond": "the bond ", "team": "the team ", _VRF: "the VRF ", _OVS: "Open vSwitch "}
_NO_VRF = "Declare a link that is in no VRF."


def master_refusals(pool: Pool, context: Context) -> Iterator[InputError]:
    """Yield why packets for the pool do not arrive on its link, or why its VLAN would cut off something else."""
    node = context.node
    existing = node.interfaces.get(pool.interface)
    if existing:
        yield from _link(f"{pool.path}.interface", existing, node)
    parent = node.interfaces.get(pool.vlan.parent) if pool.vlan else None
    if pool.vlan and parent and (existing is None or existing.managed):
        yield from _parent(f"{pool.path}.vlan.parent", parent, pool.vlan.id, node)


def _link(path: str, link: Interface, node: Node) -> Iterator[InputError]:
    name, master = link.name, _top_master(link, node)
    if link.kind == _VRF:
        problem = "is a VRF, and kube-proxy serves the addresses of services only outside of VRFs"
        yield InputError(path, f"{name} {problem}", _NO_VRF)
    elif _kind(master, node) == _VRF:
        problem = f"{name} is in the VRF {master}, whose links MetalLB ignores and kube-proxy does not serve"
        yield InputError(
            path, problem, f"{_NO_VRF[:-1]}, or take this one out of it (ip link set dev {name} nomaster)."
        )
    elif master:
        problem = f"{name} is a port of {_named(link.master, node)}, which receives its packets, and MetalLB ignores such ports"
        yield InputError(path, problem, _instead(master, "interface", node))
    taker = _passthru(name, node)
    if taker:
        problem = f"{name} is used by {taker} in passthru mode, which receives all its packets"
        yield InputError(path, problem, "Declare another link, or remove that one first.")


def _parent(path: str, parent: Interface, tag: int, node: Node) -> Iterator[InputError]:
    name, master = parent.name, _top_master(parent, node)
    taken = f"a VLAN on it would take the frames with tag {tag} away from"
    if parent.kind == _VRF:
        yield InputError(path, f"{name} is a VRF, which carries no VLANs", "Declare the link that carries the VLAN.")
    elif _kind(master, node) == _VRF:
        problem = f"{name} is in the VRF {master}, and services in the networks of a VRF are not supported"
        remedy = f"Declare a link that is in no VRF, or create the VLAN link outside of {master} yourself and leave vlan out."
        yield InputError(path, problem, remedy)
    elif master:
        problem = f"{name} is a port of {_named(parent.master, node)}, and {taken} what is behind {parent.master}"
        yield InputError(path, problem, _instead(master, "parent", node, tag))
    taker = _passthru(name, node)
    if taker:
        problem = f"{name} is used by {taker} in passthru mode, and {taken} it"
        yield InputError(path, problem, "Declare another link, or remove that one first.")


def _top_master(link: Interface, node: Node) -> str:
    """Return the name of the last master above the link (of a bond in a bridge, the bridge), ``""`` if it has none."""
    seen: list[str] = []
    while link.master and link.master not in seen:
        seen.append(link.master)
        if link.master not in node.interfaces:
            break
        link = node.interfaces[link.master]
    return seen[-1] if seen else ""


def _instead(master: str, option: str, node: Node, tag: int = 0) -> str:
    """Return what to declare in place of a port."""
    kind = _kind(master, node)
    if kind == _OVS:
        tagged = f" tag={tag}" if tag else ""
        return (
            f"Add an internal port to the bridge of Open vSwitch (ovs-vsctl add-port BRIDGE NAME{tagged} -- set interface NAME"
            " type=internal), bring it up, and declare it as interface, without vlan."
        )
    further = f" If it filters VLANs, add the VLAN first: bridge vlan add dev {master} vid {tag} self." if tag else ""
    return f"Declare {option}: {master}.{further if kind == 'bridge' else ''}"


def _kind(name: str, node: Node) -> str:
    return node.interfaces[name].kind if name in node.interfaces else ""


def _named(name: str, node: Node) -> str:
    return f"{_KINDS.get(_kind(name, node), '')}{name}"


def _passthru(name: str, node: Node) -> str:
    """Return the name of the macvlan or macvtap link that takes all packets of this link, ``""`` if there is none."""
    links = (link.name for link in node.interfaces.values() if link.parent == name and link.mode == PASSTHRU)
    return next(links, "")
