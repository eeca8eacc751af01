# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rtnetlink socket, for links, addresses, routes and rules."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from ...paths import PYROUTE2_DIRECTORY
from ...state.extra_attributes import Value
from ...state.family import IPV4, IPV6
from .codec import Fields, MessageFormat
from .formats import Formats, find_formats
from .sockets import NETLINK_ROUTE, Accept, NetlinkSocket
from .wire import Skip

# include/uapi/linux/rtnetlink.h
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34
RTM_NEWNETCONF, RTM_GETNETCONF = 80, 82
COMPAT_TABLE = 252  # RT_TABLE_COMPAT: the value of the header's one-byte field for every table above 255

AF_OF_FAMILY = {IPV4: socket.AF_INET, IPV6: socket.AF_INET6}


class Rtnetlink(NetlinkSocket):
    """An rtnetlink socket of the current network namespace.

    :param formats: of the messages; by default those that :func:`find_formats` finds in ``extra_directory``.
    :raises NodeError: there is no pyroute2 that is new enough.
    """

    def __init__(self, formats: Formats | None = None, extra_directory: str = PYROUTE2_DIRECTORY) -> None:
        self.formats = formats or find_formats(extra_directory)
        super().__init__(NETLINK_ROUTE)

    def dump_fields(
        self,
        message_type: int,
        message_format: MessageFormat,
        what: str,
        request: Mapping[str, Value],
        accept: Accept | None = None,
        skip: Skip | None = None,
    ) -> list[Fields]:
        """Return the fields of all objects of one kind; see :meth:`NetlinkSocket.dump`.

        :param request: fields of the request: the family, and filters if the kernel has any.
        """
        return self.dump(message_type, message_format.encode(request), message_format.decode, what, accept, skip=skip)
