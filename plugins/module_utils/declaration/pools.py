# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One entry of ``pools``: each option read by itself, then those that refer to each other compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, NamedTuple

from ..errors import InputError
from ..state.family import IPV4, IPV6
from .argument_spec import pool_options, vlan_options
from .case_traits import AUTO, CASE_CHOICES, CASES
from .model import RP_FILTERS, Pool, Vlan
from .networks import Purpose, Span, canonical_addresses, canonical_networks, parse_address_span, parse_span, read_spans
from .problems import Problems
from .values import (
    is_unset,
    read_boolean,
    read_bounded,
    read_choice,
    read_integer,
    read_interface_name,
    read_mapping,
    read_mark,
    read_pool_name,
    read_table,
    shown,
)


class PoolInput(NamedTuple):
    """A pool as far as it could be read.

    :param flawed: options of the pool that could not be read, so that no check may rely on them.
    """

    pool: Pool
    networks: tuple[Span, ...]
    onlink_networks: tuple[Span, ...]
    gateways: tuple[Span, ...]
    addresses: tuple[Span, ...]
    deny: tuple[Span, ...]
    flawed: frozenset[str]

    def sound(self, *options: str) -> bool:
        """Whether each of the options was read without an error."""
        return self.flawed.isdisjoint(options)

    @property
    def routes_by_gateway(self) -> bool:
        """Whether the pool may need a table and a mark for its gateways."""
        return bool(self.gateways) and (self.pool.case == AUTO or CASES[self.pool.case].uses_marks)


_VLAN_OPTIONS = frozenset(vlan_options())

_ID_REMEDY = "Give the VLAN's id from 1 to 4094, as the switch has it."
_MTU_REMEDY = "Give the MTU in bytes, or leave it out for the parent's."

#: The least that IPv4 (RFC 791) and IPv6 (RFC 8200) need, and the most that a VLAN link takes.
SMALLEST_MTU = 68
SMALLEST_MTU_IPV6 = 1280
LARGEST_MTU = 65535

_LEAVE_OUT = "leave vlan out where something else makes the link"


def read_vlan(problems: Problems, path: str, value: Any, interface: str, families: set[str]) -> Vlan | None:
    """Return the VLAN, or None where none is declared or it cannot be right.

    :param interface: the pool's, ``""`` where that is not known.
    :param families: those of the pool's networks.
    """
    if is_unset(value):
        return None
    before = len(problems)
    options = problems.attempt(None, read_mapping, problems, path, value, _VLAN_OPTIONS)
    if options is None:
        return None
    parent = problems.attempt("", _read_parent, f"{path}.parent", options.get("parent"), interface)
    number = problems.attempt(0, _read_id, f"{path}.id", options.get("id"))
    mtu = problems.attempt(0, _read_mtu, f"{path}.mtu", options.get("mtu"), families)
    return Vlan(parent=parent, id=number, mtu=mtu) if len(problems) == before else None


def _read_parent(path: str, value: Any, interface: str) -> str:
    if is_unset(value):
        raise InputError(path, "the link below the VLAN is missing", f"Give its name, or {_LEAVE_OUT}.")
    parent = read_interface_name(path, value)
    if parent == interface:
        problem = f"{parent} is the pool's own interface, and a link cannot be below itself"
        raise InputError(path, problem, f"Give the link that carries the tagged packets, or {_LEAVE_OUT}.")
    return parent


def _read_id(path: str, value: Any) -> int:
    if is_unset(value):
        raise InputError(path, "the VLAN's id is missing", f"{_ID_REMEDY} Or {_LEAVE_OUT}.")
    number = read_integer(path, value, _ID_REMEDY)
    if number == 0:
        raise InputError(path, "0 marks packets that have a priority but no VLAN (IEEE 802.1Q)", _ID_REMEDY)
    if number == 4095:
        raise InputError(path, "4095 is reserved by IEEE 802.1Q", _ID_REMEDY)
    if not 1 <= number <= 4094:
        raise InputError(path, f"{shown(number)} is not between 1 and 4094", _ID_REMEDY)
    return number


def _read_mtu(path: str, value: Any, families: set[str]) -> int:
    if is_unset(value):
        return 0
    mtu = read_bounded(path, value, 0, LARGEST_MTU, _MTU_REMEDY)
    if 0 < mtu < SMALLEST_MTU:
        raise InputError(path, f"{mtu} is less than the {SMALLEST_MTU} bytes that IPv4 needs", _MTU_REMEDY)
    if 0 < mtu < SMALLEST_MTU_IPV6 and IPV6 in families:
        problem = f"{mtu} is less than {SMALLEST_MTU_IPV6} bytes, below which IPv6 is off, and the pool has IPv6"
        raise InputError(path, problem, _MTU_REMEDY)
    return mtu


_OPTIONS = frozenset(pool_options())

_NETWORKS = Purpose("Give the addresses that MetalLB hands out and that clients can reach.")
_ONLINK = Purpose("Give the networks that are attached to the interface; link-local ones always are.")
# A router is often known by its link-local address, which is on the link by definition.
_GATEWAYS = Purpose(
    "Give the address of the router that clients' packets come from.", allowed=frozenset({(IPV6, "link-local")})
)
_ADDRESSES = Purpose("Give an address of the pool's network that only this node has.")
# As sources these are what one wants to refuse. Not so IPv6's link-local ones: neighbours could no longer be found.
_DENY = Purpose(
    "Give the networks whose packets are to be refused on the interface.",
    allowed=frozenset(
        {
            *((IPV4, name) for name in ("unspecified", "loopback", "link-local", "multicast", "reserved (class E)")),
            *((IPV6, name) for name in ("loopback", "multicast")),
        }
    ),
    shortest_length=1,
)


class _Reader:
    """Reads the options of one pool, and remembers which of them were flawed."""

    def __init__(self, problems: Problems, path: str, options: Mapping[str, Any]) -> None:
        self._problems = problems
        self._path = path
        self._options = options
        self.flawed: set[str] = set()

    def value(self, name: str, default: Any, read: Callable[..., Any], *arguments: Any) -> Any:
        """Return what ``read`` makes of the option, or the default where it is unset or flawed."""
        value = self._options.get(name)
        if is_unset(value):
            return default
        try:
            return read(f"{self._path}.{name}", value, *arguments)
        except InputError as error:
            self._problems.note(error)
            self.flawed.add(name)
            return default

    def spans(self, name: str, purpose: Purpose, *, single: bool = False) -> tuple[Span, ...]:
        """Return the entries of a list of networks, or of single addresses."""
        value = self._options.get(name)
        if value is None:
            return ()
        before = len(self._problems)
        parse = parse_address_span if single else parse_span
        spans = read_spans(self._problems, f"{self._path}.{name}", value, purpose, parse=parse)
        if len(self._problems) > before:
            self.flawed.add(name)
        return tuple(spans)

    def require(self, name: str, what: str, *, found: Any) -> None:
        """Note that a required option is missing, where it is neither found nor flawed."""
        if not found and name not in self.flawed:
            self._problems.add(f"{self._path}.{name}", f"{what} missing", f"Give {name}; every pool needs it.")
            self.flawed.add(name)


def read_pool(problems: Problems, path: str, value: Any, mark_mask: int) -> PoolInput | None:
    """Return a pool as far as it can be read, or None where there is nothing to read.

    :param mark_mask: 0 where it is not known.
    """
    options = problems.attempt(None, read_mapping, problems, path, value, _OPTIONS)
    if options is None:
        return None
    read = _Reader(problems, path, options)
    name = read.value("name", "", read_pool_name)
    read.require("name", "the pool's name is", found=name)
    networks = read.spans("networks", _NETWORKS)
    read.require("networks", "the addresses that MetalLB hands out are", found=networks)
    interface = read.value("interface", "", read_interface_name)
    read.require("interface", "the interface that clients' packets come in by is", found=interface)
    onlink_networks = read.spans("onlink_networks", _ONLINK)
    gateways = read.spans("gateways", _GATEWAYS, single=True)
    addresses = read.spans("addresses", _ADDRESSES, single=True)
    deny = read.spans("deny", _DENY)
    vlan = None
    if options.get("vlan") is not None:
        before_vlan = len(problems)
        families = {span.family for span in networks}
        vlan = read_vlan(problems, f"{path}.vlan", options["vlan"], interface, families)
        if len(problems) > before_vlan:
            read.flawed.add("vlan")
    pool = Pool(
        path=path,
        name=name,
        networks=canonical_networks(networks),
        interface=interface,
        onlink_networks=canonical_networks(onlink_networks),
        vlan=vlan,
        gateways=canonical_addresses(gateways),
        addresses=canonical_addresses(addresses),
        case=read.value("case", AUTO, read_choice, CASE_CHOICES),
        table=read.value("table", 0, read_table),
        mark=read.value("mark", 0, read_mark, mark_mask),
        deny=canonical_networks(deny),
        dedicated=read.value("dedicated", None, read_boolean),
        rp_filter=read.value("rp_filter", "auto", read_choice, RP_FILTERS),
    )
    return PoolInput(pool, networks, onlink_networks, gateways, addresses, deny, frozenset(read.flawed))
