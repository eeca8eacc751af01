# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The formats of the rtnetlink messages that this collection reads and writes, from pyroute2's tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from .codec import MessageFormat
from .pyroute2_loader import Pyroute2, load_message_classes


@dataclass(frozen=True)
class Formats:
    """One format for each kind of message, and for the inside of the nested attributes."""

    route: MessageFormat
    nexthop: MessageFormat
    rule: MessageFormat
    address: MessageFormat
    link: MessageFormat
    link_info: MessageFormat
    vlan: MessageFormat
    macvlan: MessageFormat


@lru_cache(maxsize=4)
def load_formats(found: Pyroute2) -> Formats:
    """Return the formats of one pyroute2, with the attributes that some versions lack.

    :raises NodeError: this pyroute2 cannot be loaded.
    """
    classes = load_message_classes(found)
    return Formats(
        route=MessageFormat(classes.route, {30: ("RTA_NH_ID", "uint32")}),
        nexthop=MessageFormat(classes.nexthop),
        rule=MessageFormat(classes.rule),
        address=MessageFormat(classes.address, {9: ("IFA_RT_PRIORITY", "uint32"), 11: ("IFA_PROTO", "uint8")}),
        link=MessageFormat(classes.link),
        link_info=MessageFormat(classes.link_info, prefix="IFLA_INFO_"),
        vlan=MessageFormat(classes.vlan, prefix="IFLA_VLAN_"),
        macvlan=MessageFormat(classes.macvlan, prefix="IFLA_MACVLAN_"),
    )
