# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables and chains of nf_tables, read from the kernel itself: a node need not have the program ``nft``."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from ...errors import NodeError
from ...state.family import NFPROTO
from ...state.mark_use import MarkUse
from ...state.packet_filter import FilterChain, FilterRule
from .nft_filters import MENTIONS_SOURCES, chain_of, filter_rule, set_elements
from .nft_marks import NFTA_RULE_CHAIN, NFTA_RULE_TABLE, may_use_marks, rule_uses
from .sockets import NETLINK_NETFILTER, NetlinkSocket
from .wire import Request, attribute, attributes, find, text_in

# include/uapi/linux/netfilter/nfnetlink.h
NFNL_SUBSYS_NFTABLES = 10
NFNLGRP_NFTABLES = 7
NFGENMSG_SIZE = 4  # of struct nfgenmsg: family, version, resource
# include/uapi/linux/netfilter/nf_tables.h
NFT_MSG_GETTABLE, NFT_MSG_GETCHAIN, NFT_MSG_GETRULE, NFT_MSG_NEWGEN, NFT_MSG_GETGEN = 1, 4, 7, 15, 16
NFT_MSG_GETSETELEM = 13
#: The table's name, in messages of tables; in those of chains, rules and sets it is the first attribute, too.
NFTA_TABLE_NAME = 1
_NFTA_TABLE_USE, _NFTA_TABLE_HANDLE = 3, 4  # USE: how many chains it has
_COUNTER = attribute(1, b"counter\0")  # NFTA_EXPR_NAME
_NFTA_GEN_ID, NFTA_GEN_PROC_PID, NFTA_GEN_PROC_NAME = 1, 2, 3
_NFTA_CHAIN_TABLE, _NFTA_CHAIN_NAME = 1, 3
_NFTA_VERDICT_CHAIN = 2
# include/uapi/linux/netfilter.h
_NFPROTO_UNSPEC = 0
_FAMILY_NAMES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
_FAMILIES = {name: number for number, name in _FAMILY_NAMES.items()}


def kernel_has_nf_tables() -> bool:
    """Whether the kernel has nf_tables, after it has tried to load the module; True if that cannot be determined.

    Without nf_tables the kernel refuses any request for it as invalid (nfnetlink_rcv_msg, net/netfilter/nfnetlink.c), and
    without netfilter's netlink there is not even the socket. Any other refusal may come from a kernel that has tables.
    """
    try:
        with NetlinkSocket(NETLINK_NETFILTER) as kernel:
            (refusal,) = kernel.batch([Request(_type(NFT_MSG_GETGEN), 0, _nfgenmsg(_NFPROTO_UNSPEC))])
    except OSError as error:
        return error.errno != errno.EPROTONOSUPPORT
    except NodeError:
        return True
    return refusal is None or refusal.errno != errno.EINVAL


def nft_generation() -> int:
    """Return a number that changes with every transaction of any table; 0 if the kernel does not tell it."""

    def decode(buffer: bytearray, start: int, stop: int) -> int:
        return int.from_bytes(find(buffer, start + NFGENMSG_SIZE, stop, _NFTA_GEN_ID), "big")

    try:
        with NetlinkSocket(NETLINK_NETFILTER) as kernel:
            (answer,) = kernel.ask([Request(_type(NFT_MSG_GETGEN), 0, _nfgenmsg(_NFPROTO_UNSPEC))], decode)
    except (OSError, NodeError):
        return 0
    return answer if isinstance(answer, int) else 0


def nft_tables() -> frozenset[tuple[str, str]]:
    """Return family and name of all tables; none if the kernel does not list them."""
    try:
        with NetlinkSocket(NETLINK_NETFILTER) as kernel:
            tables = kernel.dump(_type(NFT_MSG_GETTABLE), _nfgenmsg(_NFPROTO_UNSPEC), _texts, "tables of nf_tables")
    except (OSError, NodeError):
        return frozenset()
    return frozenset((family, names[NFTA_TABLE_NAME]) for family, names in tables if NFTA_TABLE_NAME in names)


def nft_chain_count(family: str) -> int:
    """Return how many chains all tables of a family have together; 0 if the kernel does not list them.

    :param family: ``ipv4`` or ``ipv6``.
    """

    def decode(buffer: bytearray, start: int, stop: int) -> int:
        return int.from_bytes(find(buffer, start + NFGENMSG_SIZE, stop, _NFTA_TABLE_USE), "big")

    try:
        with NetlinkSocket(NETLINK_NETFILTER) as kernel:
            what = "tables of nf_tables"
            return sum(kernel.dump(_type(NFT_MSG_GETTABLE), _nfgenmsg(NFPROTO[family]), decode, what))
    except (OSError, NodeError):
        return 0


def nft_has_chain(family: str, table: str, chain: str) -> bool:
    """Whether there is this chain.

    :param family: ``ipv4`` or ``ipv6``.
    :raises NodeError: the kernel does not answer.
    """
    names = ((_NFTA_CHAIN_TABLE, table), (_NFTA_CHAIN_NAME, chain))
    body = b"".join(attribute(kind, name.encode() + b"\0") for kind, name in names)
    try:
        with NetlinkSocket(NETLINK_NETFILTER) as kernel:
            (refusal,) = kernel.batch([Request(_type(NFT_MSG_GETCHAIN), 0, _nfgenmsg(NFPROTO[family]) + body)])
    except OSError:
        return False
    return refusal is None


def nft_rule_chains(family: str, table: str) -> tuple[str, ...]:
    """Return the chains of a table that have rules, in order; none if the table does not exist.

    :param family: ``ipv4`` or ``ipv6``.
    :raises NodeError: the kernel does not list them.
    """
    return tuple(dict.fromkeys(text_in(_attribute(rule, NFTA_RULE_CHAIN)) for rule in nft_rules(family, table)))


def nft_rules(family: str, table: str, chain: str = "") -> list[bytes]:
    """Return the rules of a table or of one of its chains as bytes, in order; none if it does not exist.

    Every change of any table interrupts a dump, so after a few attempts a rule that was replaced meanwhile may be missing.

    :param family: ``ipv4`` or ``ipv6``.
    :raises NodeError: the kernel does not list them.
    """

    def decode(buffer: bytearray, start: int, stop: int) -> bytes:
        return bytes(buffer[start:stop])

    filters = ((NFTA_RULE_TABLE, table), (NFTA_RULE_CHAIN, chain))
    body = b"".join(attribute(kind, name.encode() + b"\0") for kind, name in filters if name)
    what = f"rules of the {family} table {table}"
    try:
        with NetlinkSocket(NETLINK_NETFILTER) as kernel:
            request = _nfgenmsg(NFPROTO[family]) + body
            return kernel.dump(_type(NFT_MSG_GETRULE), request, decode, what, consistent=False)
    except OSError as error:
        raise NodeError(f"The kernel does not list its {what}: {error.strerror or error}.") from error


def nft_content(family: str, table: str) -> list[bytes]:
    """Return the handle of a table, and its rules without their counters, in order, as bytes; none if it does not exist.

    :param family: ``ipv4`` or ``ipv6``.
    :raises NodeError: the kernel does not list them.
    :raises OSError: it has no nf_tables.
    """
    name = attribute(NFTA_TABLE_NAME, table.encode() + b"\0")

    def decode_table(buffer: bytearray, start: int, stop: int) -> bytes:
        found = find(buffer, start + NFGENMSG_SIZE, stop, NFTA_TABLE_NAME) == table.encode() + b"\0"
        return find(buffer, start + NFGENMSG_SIZE, stop, _NFTA_TABLE_HANDLE) if found else b""

    what, header = f"rules of the {family} table {table}", _nfgenmsg(NFPROTO[family])
    with NetlinkSocket(NETLINK_NETFILTER) as kernel:
        handles = kernel.dump(_type(NFT_MSG_GETTABLE), header, decode_table, "tables of nf_tables", consistent=False)
        if not any(handles):
            return []
        # A rule that is replaced during a few attempts may be missing; then the next result is another one.
        request = header + name
        return handles + kernel.dump(_type(NFT_MSG_GETRULE), request, _without_counters, what, consistent=False)


def _without_counters(buffer: bytearray, start: int, stop: int) -> bytes:
    rule = buffer[start + NFGENMSG_SIZE : stop]  # the header has the generation of all tables
    place = rule.find(_COUNTER)
    while place >= 0:
        first = place + len(_COUNTER)  # of its data, whose attribute begins with its length
        (length,) = struct.unpack_from("=H", rule, first)
        rule[first : first + length] = bytes(length)
        place = rule.find(_COUNTER, first + length)
    return bytes(rule)


def _attribute(message: bytes, kind: int) -> bytes:
    return find(message, NFGENMSG_SIZE, len(message), kind)


def nft_chains(family: str, table: str) -> frozenset[str]:
    """Return the names of the chains in one table of iptables, whichever program created them.

    :param family: ``ipv4`` or ``ipv6``.
    :raises NodeError: the kernel does not list them.
    """
    return frozenset(chain for other, chain in _chains(NFPROTO[family]) if other == table)


def nft_all_chains(family: str) -> list[tuple[str, str]]:
    """Return table and name of all chains.

    :param family: as nft calls it: ``ip``, ``inet`` ...
    :raises NodeError: the kernel does not list them.
    """
    return _chains(_FAMILIES[family])


def _chains(family: int) -> list[tuple[str, str]]:
    what = "chains of nf_tables"
    try:
        with NetlinkSocket(NETLINK_NETFILTER) as kernel:
            # As for rules: kube-proxy may change some during every dump.
            chains = kernel.dump(_type(NFT_MSG_GETCHAIN), _nfgenmsg(family), _texts, what, consistent=False)
    except OSError as error:
        raise NodeError(f"The kernel does not list its {what}: {error.strerror or error}.") from error
    return [(names.get(_NFTA_CHAIN_TABLE, ""), names[_NFTA_CHAIN_NAME]) for _family, names in chains]


def nft_mark_uses(
    tables: Iterable[tuple[str, str, str]], own_prefix: str
) -> tuple[list[tuple[MarkUse, ...]], frozenset[tuple[str, str]]]:
    """Return what the rules of some tables do with marks, by rule, and which tables have rules that check sources.

    Rules that use no marks are left out.

    :param tables: family, table and chain; ``""`` for all chains of the table. Those that do not exist have no rules.
    :param own_prefix: of the names of chains whose rules, and the jumps to which, are left out.
    :raises NodeError: the kernel does not list its rules.
    """

    jump = struct.pack("=H", _NFTA_VERDICT_CHAIN) + own_prefix.encode()  # an attribute's type, and its payload

    def decode(buffer: bytearray, start: int, stop: int) -> tuple[MarkUse, ...]:
        first = start + NFGENMSG_SIZE
        if buffer.find(jump, first, stop) >= 0:
            return ()
        table, chain = (text_in(find(buffer, first, stop, kind)) for kind in (NFTA_RULE_TABLE, NFTA_RULE_CHAIN))
        family = _FAMILY_NAMES.get(buffer[start], "")
        return (
            () if chain.startswith(own_prefix) else rule_uses(f"{chain} of table {family} {table}", buffer, first, stop)
        )

    checking: set[tuple[str, str]] = set()

    def accept(buffer: bytearray, start: int, stop: int) -> bool:
        if any(buffer.find(sign, start, stop) >= 0 for sign in MENTIONS_SOURCES):
            table = text_in(find(buffer, start + NFGENMSG_SIZE, stop, NFTA_RULE_TABLE))
            checking.add((_FAMILY_NAMES.get(buffer[start], ""), table))
        return may_use_marks(buffer, start, stop)

    what = "rules of nf_tables"
    found: list[tuple[MarkUse, ...]] = []
    try:
        with NetlinkSocket(NETLINK_NETFILTER) as kernel:
            for family, table, chain in tables:
                filters = ((NFTA_RULE_TABLE, table), (NFTA_RULE_CHAIN, chain))
                body = b"".join(attribute(kind, name.encode() + b"\0") for kind, name in filters if name)
                request = _nfgenmsg(_FAMILIES[family]) + body
                # A rule that is replaced meanwhile may be missing; another run finds it.
                found += kernel.dump(_type(NFT_MSG_GETRULE), request, decode, what, accept, consistent=False)
    except OSError as error:
        raise NodeError(f"The kernel does not list its {what}: {error.strerror or error}.") from error
    return [uses for uses in found if uses], frozenset(checking)


def nft_filter_chains(family: str, table: str, own_prefix: str) -> tuple[FilterChain, ...]:
    """Return the chains of a table with their rules.

    :param family: as nft calls it: ``ip``, ``inet`` ...
    :param own_prefix: of the names of chains that are left out.
    :raises NodeError: the kernel does not list them.
    """
    names = dict(socket.if_nameindex())

    @cache
    def elements(name: str) -> frozenset[bytes]:
        listed = kernel.dump(
            _type(NFT_MSG_GETSETELEM), _of_table(family, table, name), _bytes, "elements of a set", consistent=False
        )
        return frozenset(key for message in listed for key in set_elements(message))

    def rule(payload: bytes) -> tuple[str, FilterRule]:
        chain = text_in(find(payload, 0, len(payload), NFTA_RULE_CHAIN))
        return chain, filter_rule(payload, elements, lambda index: names.get(index, f"index {index}"))

    try:
        with NetlinkSocket(NETLINK_NETFILTER) as kernel:
            found = kernel.dump(_type(NFT_MSG_GETCHAIN), _of_table(family), _bytes, "chains", consistent=False)
            chains = [chain for other, chain in (chain_of(family, message) for message in found) if other == table]
            request = _of_table(family, table)
            messages = kernel.dump(_type(NFT_MSG_GETRULE), request, _bytes, "rules of nf_tables", consistent=False)
            rules = [rule(message) for message in messages]
    except OSError as error:
        raise NodeError(f"The kernel does not list the rules of table {table}: {error.strerror or error}.") from error
    return tuple(
        replace(chain, rules=tuple(one for name, one in rules if name == chain.name))
        for chain in chains
        if not chain.name.startswith(own_prefix)
    )


def _of_table(family: str, table: str = "", name: str = "") -> bytes:
    """Return a request for all objects of a family, a table, or a set or chain of it."""
    filters = ((NFTA_TABLE_NAME, table), (2, name))
    return _nfgenmsg(_FAMILIES[family]) + b"".join(
        attribute(kind, text.encode() + b"\0") for kind, text in filters if text
    )


def _bytes(buffer: bytearray, start: int, stop: int) -> bytes:
    """Return the attributes of a message."""
    return bytes(buffer[start + NFGENMSG_SIZE : stop])


def _type(message: int) -> int:
    return NFNL_SUBSYS_NFTABLES << 8 | message


def _nfgenmsg(family: int) -> bytes:
    return struct.pack("=BBH", family, 0, 0)


def _texts(buffer: bytearray, start: int, stop: int) -> tuple[str, dict[int, str]]:
    """Return an object's family, and its attributes as text; only names of tables and chains are meant to be used."""
    texts = {}
    for kind, first, last in attributes(buffer, start + NFGENMSG_SIZE, stop):
        texts[kind] = text_in(buffer[first:last])
    return _FAMILY_NAMES.get(buffer[start], str(buffer[start])), texts
