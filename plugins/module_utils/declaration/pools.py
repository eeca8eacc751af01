# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One entry of ``pools``: each option is read by itself."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

from ..errors import InputError
from ..state.family import IPV4, IPV6
from .argument_spec import pool_options, vlan_options
from .case_traits import AUTO, CASE_CHOICES, CASES
from .model import MAX_NETWORKS_PER_POOL, RP_FILTERS, Pool, Vlan
from .networks import (
    Purpose,
    Span,
    canonical_addresses,
    canonical_networks,
    parse_address,
    parse_span,
    read_spans,
)
from .option_reader import ErrorCollector, OptionReader, open_options
from .values import (
    KERNEL_TABLES,
    LARGEST_TABLE,
    TableUse,
    printable,
    read_boolean,
    read_choice,
    read_interface_name,
    read_mark,
    read_mtu,
    read_pool_name,
    read_table,
    read_vlan_id,
)

_POOL_OPTIONS = frozenset(pool_options())
_VLAN_OPTIONS = frozenset(vlan_options())

_NETWORKS = Purpose("Give the addresses that MetalLB assigns and that clients can reach.")
_NETWORKS_REMEDY = (
    "Give networks; every pool needs them. The roles take them from MetalLB's resources if metallb_routing_metallb names their"
    " source."
)
_ONLINK = Purpose("Give the networks that are attached to the interface; link-local ones always are.")
# A router is often known by its link-local address, which is on the link by definition.
_GATEWAYS = Purpose(
    "Give the address of the router that clients' packets come from.", allowed=frozenset({(IPV6, "link-local")})
)
_ADDRESSES = Purpose("Give an address of the pool's network that only this node has.")
# Sources in special-purpose ranges are worth dropping, except IPv6's link-local ones, which neighbour discovery uses.
_DENY = Purpose(
    "Give the networks whose packets are to be dropped on the interface.",
    allowed=frozenset(
        {
            *((IPV4, name) for name in ("unspecified", "loopback", "link-local", "multicast", "reserved (class E)")),
            *((IPV6, name) for name in ("loopback", "multicast")),
        }
    ),
    shortest_length=1,
)

_DIVERTED = "and the default route of a pool there would divert the node's other traffic"
_TABLE = TableUse(
    f"Give a number from 1 to 252 or from 256 to {LARGEST_TABLE}, or leave table out to have one chosen.",
    {**KERNEL_TABLES, 253: f"is the table default, {_DIVERTED}", 254: f"is the table main, {_DIVERTED}"},
)

_WITHOUT_VLAN = "leave vlan out if something else creates the link"
_PARENT_REMEDY = f"Give its name, or {_WITHOUT_VLAN}."
_ID_REMEDY = f"Give it, 1 to 4094, or {_WITHOUT_VLAN}."


class PoolInput(NamedTuple):
    """A pool as far as it could be read, with the paths of its networks, for the checks between options and pools.

    :param invalid: options of the pool that could not be read, so that no check may rely on them.
    """

    pool: Pool
    networks: tuple[Span, ...]
    onlink_networks: tuple[Span, ...]
    gateways: tuple[Span, ...]
    addresses: tuple[Span, ...]
    deny: tuple[Span, ...]
    invalid: frozenset[str]

    def is_valid(self, *options: str) -> bool:
        """Whether each of the options is unset or was read without an error."""
        return self.invalid.isdisjoint(options)

    @property
    def routes_by_gateway(self) -> bool:
        """Whether the pool may need a table and a mark for its gateways."""
        return bool(self.gateways) and (self.pool.case == AUTO or CASES[self.pool.case].uses_marks)


def read_pool(errors: ErrorCollector, path: str, value: Any, mark_mask: int) -> PoolInput | None:
    """Return a pool as far as it can be read, or None if the value is not a mapping.

    :param mark_mask: 0 if it is not known.
    """
    options = open_options(errors, path, value, _POOL_OPTIONS)
    if options is None:
        return None
    name = options.read("name", "", read_pool_name)
    options.require("name", name, "the pool's name is missing", "Give name; every pool needs it.")
    networks = _spans(options, "networks", _NETWORKS)
    problem = "the addresses that MetalLB assigns are missing"
    options.require("networks", networks, problem, _NETWORKS_REMEDY)
    interface = options.read("interface", "", read_interface_name)
    problem = "the interface that clients' packets arrive on is missing"
    options.require("interface", interface, problem, "Give interface; every pool needs it.")
    onlink_networks = _spans(options, "onlink_networks", _ONLINK)
    gateways = _spans(options, "gateways", _GATEWAYS, parse_address)
    addresses = _spans(options, "addresses", _ADDRESSES, _parse_own_address)
    deny = _spans(options, "deny", _DENY)
    families = frozenset(span.family for span in networks)
    pool = Pool(
        path=path,
        name=name,
        networks=canonical_networks(networks),
        interface=interface,
        onlink_networks=canonical_networks(onlink_networks),
        vlan=options.read_nested("vlan", None, _read_vlan, interface, families),
        gateways=canonical_addresses(gateways),
        addresses=canonical_addresses(addresses),
        case=options.read("case", AUTO, read_choice, CASE_CHOICES),
        table=options.read("table", 0, read_table, _TABLE),
        mark=options.read("mark", 0, read_mark, mark_mask),
        deny=canonical_networks(deny),
        dedicated=options.read("dedicated", None, read_boolean),
        rp_filter=options.read("rp_filter", "auto", read_choice, RP_FILTERS),
        node_services=options.read("node_services", False, read_boolean),
        ranges=tuple((network, span.text) for span in networks if span.is_range for network in span.networks),
    )
    return PoolInput(pool, networks, onlink_networks, gateways, addresses, deny, frozenset(options.invalid))


def _spans(
    options: OptionReader, name: str, purpose: Purpose, parse: Callable[[str, Any, Purpose], Span] = parse_span
) -> tuple[Span, ...]:
    """Return the entries of an option that is a list of networks or addresses."""
    return options.read_nested(name, (), read_spans, purpose, MAX_NETWORKS_PER_POOL, parse)


def _parse_own_address(path: str, value: Any, purpose: Purpose) -> Span:
    """Return an address of the node; a network or range is what MetalLB, but not this collection, calls ``addresses``."""
    text = value.strip() if isinstance(value, str) else ""
    single = text.partition("/")[2] in ("", "32", "128") and "-" not in text
    if text and not single:
        problem = f"{printable(text)} is not a single address, but addresses are those of the node itself on the link"
        raise InputError(path, problem, "Declare the addresses that MetalLB assigns as networks.")
    return parse_address(path, value, purpose)


def _read_vlan(errors: ErrorCollector, path: str, value: Any, interface: str, families: frozenset[str]) -> Vlan | None:
    """Return the VLAN, or None if it is invalid.

    :param interface: the pool's, ``""`` if it is not known.
    :param families: that the link must carry.
    """
    before = len(errors)
    options = open_options(errors, path, value, _VLAN_OPTIONS)
    if options is None:
        return None
    parent = options.read("parent", "", _read_parent, interface)
    options.require("parent", parent, "the link below the VLAN is missing", _PARENT_REMEDY)
    number = options.read("id", 0, read_vlan_id)
    options.require("id", number, "the VLAN's id is missing", _ID_REMEDY)
    mtu = options.read("mtu", 0, read_mtu, families)
    return Vlan(parent=parent, id=number, mtu=mtu) if len(errors) == before else None


def _read_parent(path: str, value: Any, interface: str) -> str:
    parent = read_interface_name(path, value)
    if parent == interface:
        problem = f"{parent} is the pool's own interface, and a link cannot be its own parent"
        raise InputError(path, problem, f"Give the link that carries the tagged packets, or {_WITHOUT_VLAN}.")
    return parent
