# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links of the node, read and written."""

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
from .wire import NLM_F_CREATE, NLM_F_EXCL, MessageError, Refusal, Request

_UP = 1  # IFF_UP
_SKIP_STATISTICS = 8  # RTEXT_FILTER_SKIP_STATS
_8021AD = b"\x88\xa8"  # ETH_P_8021AD, in network order: a provider's outer tag
_MACVLAN_BRIDGE = 4  # MACVLAN_MODE_BRIDGE; the kernel's default, VEPA, needs a switch that reflects
MODULE_OF_KIND = {"vlan": "8021q", "macvlan": "macvlan", "dummy": "dummy"}
_LACKS = {
    kind: f"this kernel has no {'802.1Q' if kind == 'vlan' else kind} (module {module})"
    for kind, module in MODULE_OF_KIND.items()
}

HINTS = {
    errno.EEXIST: "there is a link of this name, or this VLAN of this parent, already",
    errno.ENODEV: "the link or its parent is not there",
    errno.ENETDOWN: "the parent is down",
    errno.EBUSY: "the parent is in use by something that does not share it",
}


class IndexOf:
    """Indexes of interfaces by name, asked of the kernel when first needed and then kept; for one write."""

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

    :param interfaces: all of them by name, still without their addresses.
    :param managed: those that carry our alias and are of a kind that we make.
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
    data = netlink.formats.vlan.decode(packed(info, "IFLA_INFO_DATA")) if kind == "vlan" else {}
    if packed(data, "IFLA_VLAN_PROTOCOL") == _8021AD:
        kind = PROVIDER_VLAN
    # A number of another namespace means nothing here; a veth's other end is beside it, not below.
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
    )


def kernel_can_make(netlink: Rtnetlink, kind: str) -> bool:
    """Whether this kernel has a kind of link, or a module for it that it can load; nothing is made.

    The kernel itself is asked, because a module may be built in, in an archive, or out of sight of a container: it is
    sent a link with an impossible hardware address. A kind that it has is refused as invalid, one that it lacks as not
    supported.

    :raises NodeError: it refuses to tell (no CAP_NET_ADMIN).
    """
    info = netlink.formats.link_info.encode({"IFLA_INFO_KIND": name_bytes(kind)})
    body = netlink.formats.link.encode({"IFLA_ADDRESS": b"\0", "IFLA_LINKINFO": info})
    (refusal,) = netlink.batch([Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body)])
    if refusal is None:
        raise AssertionError(f"the kernel made a {kind} link with a hardware address of one byte")
    if refusal.errno == errno.EINVAL:
        return True
    if refusal.errno == errno.EOPNOTSUPP:
        return False
    raise NodeError(f"The kernel does not tell whether it has {kind} links: {explain(refusal, {})}.")


def write_links(netlink: Rtnetlink, steps: Sequence[Step], ownership: Ownership) -> None:
    """Do the steps, in order, up to the first that fails; of a link that could not be made whole nothing stays.

    :raises StepsFailed: names the step that failed, and all before it.
    """
    for position, step in enumerate(steps):
        problem = _do(netlink, step, ownership)
        if problem:
            raise StepsFailed(tuple(steps[:position]), step, problem)


def _do(netlink: Rtnetlink, step: Step, ownership: Ownership) -> str:
    """Do one step; return why it failed, or ``""``."""
    before, after = step.before, step.after
    index_of = IndexOf()
    try:
        if isinstance(after, Link) and before is None:
            return _add(netlink, after, ownership, index_of)
        if isinstance(after, Link) and isinstance(before, Link) and after.same_device(before):
            changes = _settings(after, index_of(after.name), before)
            return _ask(netlink, Request(RTM_NEWLINK, 0, netlink.formats.link.encode(changes)), after.kind)
        if isinstance(before, Link) and after is None:
            body = netlink.formats.link.encode({"index": index_of(before.name)})
            return _ask(netlink, Request(RTM_DELLINK, 0, body), before.kind)
    except OSError as error:
        return explain(Refusal(error.errno or errno.EINVAL, error.strerror or ""), HINTS)
    except MessageError as error:
        return f"EINVAL: {error}"
    raise TypeError(f"not a step of one link: {step!r}")


def _add(netlink: Rtnetlink, link: Link, ownership: Ownership, index_of: IndexOf) -> str:
    was_there = _exists(link.name)
    try:
        return _make(netlink, link, ownership, index_of)
    except NodeError:
        # Without our alias nobody would know it for ours later, nor delete it.
        if not was_there and _exists(link.name):
            _ask(
                netlink,
                Request(RTM_DELLINK, 0, netlink.formats.link.encode({"index": IndexOf()(link.name)})),
                link.kind,
            )
        raise


def _exists(name: str) -> bool:
    try:
        return bool(IndexOf()(name))
    except OSError:
        return False


def _make(netlink: Rtnetlink, link: Link, ownership: Ownership, index_of: IndexOf) -> str:
    problem = _ask(
        netlink, Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, _creation(netlink, link, index_of)), link.kind
    )
    if problem:
        return problem
    # Only now, and by index: were this in the send that creates the link, it would reach a foreign link of the same
    # name.
    index = index_of(link.name)
    alias: Fields = {"index": index, "IFLA_IFALIAS": ownership.alias.encode()}
    settings = [alias, _settings(link, index, None)]
    refusals = netlink.batch([Request(RTM_NEWLINK, 0, netlink.formats.link.encode(fields)) for fields in settings])
    refusal = next((one for one in refusals if one is not None), None)
    if refusal is None:
        return ""
    undone = _ask(netlink, Request(RTM_DELLINK, 0, netlink.formats.link.encode({"index": index})), link.kind)
    return explain(refusal, HINTS) + (f"; and the link could not be deleted again: {undone}" if undone else "")


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
    """Return the fields that change: the MTU where it is declared and another one than before, and up or down."""
    fields: Fields = {"index": index, "flags": _UP if link.up else 0, "change": _UP}
    if before is not None and link.mtu and link.mtu != before.mtu:
        fields["IFLA_MTU"] = link.mtu
    return fields


def _ask(netlink: Rtnetlink, request: Request, kind: str) -> str:
    """Send one request; return why it was refused, or ``""``."""
    (refusal,) = netlink.batch([request])
    if refusal is None:
        return ""
    # "Unknown device type" is how kernels with extended answers say it; a VLAN on a device that takes none has other
    # words.
    lacking = refusal.errno == errno.EOPNOTSUPP and refusal.message in ("", "Unknown device type")
    return f"{refusal} ({_LACKS[kind]})" if lacking and kind in _LACKS else explain(refusal, HINTS)
