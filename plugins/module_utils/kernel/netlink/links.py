# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and writes links."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import NodeError
from ...state import Interface, Link, Ownership
from ...state.link import KINDS, PROVIDER_VLAN
from ...state.step import Step, StepsFailed
from .codec import Fields, name_bytes, name_text, number, packed
from .rtnetlink import RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK, Rtnetlink
from .steps import explain
from .wire import NLM_F_CREATE, NLM_F_EXCL, MessageError, Refusal, Request, attributes

_UP, _POINT_TO_POINT = 1, 0x10  # IFF_UP, IFF_POINTOPOINT
_SKIP_STATISTICS = 8  # RTEXT_FILTER_SKIP_STATS
_8021AD = b"\x88\xa8"  # ETH_P_8021AD, in network byte order: the outer tag of a provider bridge
_IFLA_PROP_LIST = 52  # of alternative names; some versions of pyroute2 do not know it
_MACVLAN_KINDS = ("macvlan", "macvtap")
_MACVLAN_BRIDGE = 4  # MACVLAN_MODE_BRIDGE; the kernel's default, VEPA, needs a switch that sends frames back
MODULE_OF_KIND = {"vlan": "8021q", "macvlan": "macvlan", "dummy": "dummy"}
_LACKS = {
    kind: f"this kernel does not support {'802.1Q' if kind == 'vlan' else kind} (module {module})"
    for kind, module in MODULE_OF_KIND.items()
}

HINTS = {
    errno.EEXIST: "a link of this name, or this VLAN of the parent, already exists",
    errno.ENODEV: "the link or its parent does not exist",
    errno.ENETDOWN: "the parent is down",
    errno.EBUSY: "the parent is used by something that does not share it",
}


class IndexOf:
    """Indexes of interfaces by name. Each is looked up once, so an object serves one write only."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def __call__(self, name: str) -> int:
        """Return the index.

        :raises OSError: ENODEV, there is no interface of this name.
        """
        index = self._known.get(name)
        if index is None:
            try:
                index = socket.if_nametoindex(name)
            except OSError as error:
                raise OSError(errno.ENODEV, f"there is no interface {name}") from error
            self._known[name] = index
        return index


@dataclass(frozen=True)
class Links:
    """The links of a node.

    :param interfaces: all links by name, without addresses.
    :param managed: links with the alias of :class:`Ownership`, of a kind that this collection creates.
    """

    interfaces: dict[str, Interface]
    managed: frozenset[Link]

    @property
    def names(self) -> dict[int, str]:
        """Names by index."""
        return {interface.index: name for name, interface in self.interfaces.items()}


def read_links(netlink: Rtnetlink, ownership: Ownership) -> Links:
    """Return every link.

    :raises NodeError: the kernel does not list its links.
    """
    message_format = netlink.formats.link
    dumped = netlink.dump_fields(RTM_GETLINK, message_format, "links", {"IFLA_EXT_MASK": _SKIP_STATISTICS})
    names = {number(fields, "index"): name_text(packed(fields, "IFLA_IFNAME")) for fields in dumped}
    interfaces = {}
    for fields in dumped:
        interface = _interface(netlink, fields, names, ownership)
        interfaces[interface.name] = interface
    managed = frozenset(
        Link(one.name, one.kind, one.parent, one.vlan_id, one.mtu, one.up) for one in interfaces.values() if one.managed
    )
    return Links(interfaces, managed)


def _interface(netlink: Rtnetlink, fields: Fields, names: dict[int, str], ownership: Ownership) -> Interface:
    info = netlink.formats.link_info.decode(packed(fields, "IFLA_LINKINFO"))
    kind = name_text(packed(info, "IFLA_INFO_KIND"))
    details = packed(info, "IFLA_INFO_DATA")
    data = netlink.formats.vlan.decode(details) if kind == "vlan" else {}
    macvlan = netlink.formats.macvlan.decode(details) if kind in _MACVLAN_KINDS else {}
    names_of = packed(fields, netlink.formats.link.name_of(_IFLA_PROP_LIST))
    if packed(data, "IFLA_VLAN_PROTOCOL") == _8021AD:
        kind = PROVIDER_VLAN
    # The index of another namespace means nothing here, and the peer of a veth is not a parent.
    below = 0 if "IFLA_LINK_NETNSID" in fields or kind == "veth" else number(fields, "IFLA_LINK")
    index = number(fields, "index")
    alias = name_text(packed(fields, "IFLA_IFALIAS"))
    return Interface(
        name=names[index],
        index=index,
        up=bool(number(fields, "flags") & _UP),
        kind=kind,
        parent=names.get(below, "") if below != index else "",
        vlan_id=number(data, "IFLA_VLAN_ID"),
        mtu=number(fields, "IFLA_MTU"),
        alias=alias,
        master=names.get(number(fields, "IFLA_MASTER"), ""),
        managed=alias == ownership.alias and kind in KINDS,
        point_to_point=bool(number(fields, "flags") & _POINT_TO_POINT),
        mode=number(macvlan, "IFLA_MACVLAN_MODE"),
        altnames=tuple(
            name_text(names_of[first:last]) for _kind, first, last in attributes(names_of, 0, len(names_of))
        ),
    )


def kernel_can_make(netlink: Rtnetlink, kind: str) -> bool:
    """Whether this kernel has a kind of link, or a module for it that it can load; no link is created.

    Module files are no evidence: the module may be built in, or invisible in a container. So this requests a link with an
    impossible hardware address, which the kernel refuses as invalid if it has the kind, and as not supported if it does not.

    :raises NodeError: it refuses for another reason (no CAP_NET_ADMIN).
    """
    info = netlink.formats.link_info.encode({"IFLA_INFO_KIND": name_bytes(kind)})
    body = netlink.formats.link.encode({"IFLA_ADDRESS": b"\0", "IFLA_LINKINFO": info})
    (refusal,) = netlink.batch([Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body)])
    if refusal is None:
        raise AssertionError(f"the kernel created a {kind} link with a hardware address of one byte")
    if refusal.errno == errno.EINVAL:
        return True
    if refusal.errno == errno.EOPNOTSUPP:
        return False
    raise NodeError(f"Cannot determine whether the kernel supports {kind} links: {explain(refusal, {})}.")


def write_links(netlink: Rtnetlink, steps: Sequence[Step], ownership: Ownership) -> None:
    """Create, change and delete links, in order, up to the first step that fails; no half-configured link is left.

    :raises StepsFailed: names the step that failed, and all before it.
    """
    for position, step in enumerate(steps):
        problem = _write(netlink, step, ownership)
        if problem:
            raise StepsFailed(tuple(steps[:position]), step, problem)


def _write(netlink: Rtnetlink, step: Step, ownership: Ownership) -> str:
    """Apply one step; return why it failed, ``""`` for success."""
    before, after = step.before, step.after
    index_of = IndexOf()
    try:
        if isinstance(after, Link) and before is None:
            return _add(netlink, after, ownership, index_of)
        if isinstance(after, Link) and isinstance(before, Link) and after.same_device(before):
            changes = _settings(after, index_of(after.name), before)
            return _send(netlink, Request(RTM_NEWLINK, 0, netlink.formats.link.encode(changes)), after.kind)
        if isinstance(before, Link) and after is None:
            return _delete(netlink, index_of(before.name), before.kind)
    except OSError as error:
        return explain(Refusal(error.errno or errno.EINVAL, error.strerror or ""), HINTS)
    except MessageError as error:
        return f"EINVAL: {error}"
    raise TypeError(f"not a step of one link: {step!r}")


def _add(netlink: Rtnetlink, link: Link, ownership: Ownership, index_of: IndexOf) -> str:
    existed = _index(link.name)
    try:
        return _create(netlink, link, ownership, index_of)
    except NodeError:
        # Without the alias it would be a foreign link from now on.
        index = _index(link.name)
        if index and not existed:
            _delete(netlink, index, link.kind)
        raise


def _index(name: str) -> int:
    """Return the current index of a link, 0 if it does not exist."""
    try:
        return IndexOf()(name)
    except OSError:
        return 0


def _create(netlink: Rtnetlink, link: Link, ownership: Ownership, index_of: IndexOf) -> str:
    creation = Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, _creation(netlink, link, index_of))
    problem = _send(netlink, creation, link.kind)
    if problem:
        return problem
    # A batch is processed after a refusal, too: together with the creation, these would change a foreign link of this name.
    index = index_of(link.name)
    alias: Fields = {"index": index, "IFLA_IFALIAS": ownership.alias.encode()}
    settings = [alias, _settings(link, index, None)]
    refusals = netlink.batch([Request(RTM_NEWLINK, 0, netlink.formats.link.encode(fields)) for fields in settings])
    refusal = next((one for one in refusals if one is not None), None)
    if refusal is None:
        return ""
    left = _delete(netlink, index, link.kind)
    return explain(refusal, HINTS) + (f"; the new link could not be deleted either: {left}" if left else "")


def _creation(netlink: Rtnetlink, link: Link, index_of: IndexOf) -> bytes:
    formats = netlink.formats
    info: Fields = {"IFLA_INFO_KIND": name_bytes(link.kind)}
    if link.kind == "vlan":
        info["IFLA_INFO_DATA"] = formats.vlan.encode({"IFLA_VLAN_ID": link.vlan_id})
    elif link.kind == "macvlan":
        info["IFLA_INFO_DATA"] = formats.macvlan.encode({"IFLA_MACVLAN_MODE": _MACVLAN_BRIDGE})
    fields: Fields = {"IFLA_IFNAME": name_bytes(link.name)}
    if link.parent:
        fields["IFLA_LINK"] = index_of(link.parent)
    if link.mtu:
        fields["IFLA_MTU"] = link.mtu
    fields["IFLA_LINKINFO"] = formats.link_info.encode(info)
    return formats.link.encode(fields)


def _settings(link: Link, index: int, before: Link | None) -> Fields:
    """Return the fields to set: up or down, and the MTU if the link is to get another one than it has."""
    fields: Fields = {"index": index, "flags": _UP if link.up else 0, "change": _UP}
    if before is not None and link.mtu and link.mtu != before.mtu:
        fields["IFLA_MTU"] = link.mtu
    return fields


def _delete(netlink: Rtnetlink, index: int, kind: str) -> str:
    return _send(netlink, Request(RTM_DELLINK, 0, netlink.formats.link.encode({"index": index})), kind)


def _send(netlink: Rtnetlink, request: Request, kind: str) -> str:
    """Send one request; return why it was refused, ``""`` for success."""
    (refusal,) = netlink.batch([request])
    if refusal is None:
        return ""
    # Kernels with extended acknowledgements say "Unknown device type"; a VLAN on a link that has none gets another text.
    lacking = refusal.errno == errno.EOPNOTSUPP and refusal.message in ("", "Unknown device type")
    return f"{refusal} ({_LACKS[kind]})" if lacking and kind in _LACKS else explain(refusal, HINTS)
