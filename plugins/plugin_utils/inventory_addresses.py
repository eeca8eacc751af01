# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of hosts from their inventory variables."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Union

_Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

#: The variables of Ansible and Kubespray, and those commonly used with k3s.
VARIABLES = ("ansible_host", "ip", "ip6", "access_ip", "access_ip6", "node_ip")


def node_addresses(
    hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]], variables: Sequence[str] = VARIABLES
) -> list[str]:
    """Return the addresses in these variables of the hosts: without duplicates, IPv4 first, ascending.

    :raises ValueError: the hosts are not a list, or one of them is not in the inventory.
    """
    if isinstance(hosts, (str, bytes)) or not isinstance(hosts, Iterable):
        raise ValueError(f"node_addresses: {hosts!r} is not a list of host names.")  # noqa: TRY004 - the filter catches one type
    found: set[_Address] = set()
    for host in hosts:
        if host not in hostvars:
            raise ValueError(f"node_addresses: {host!r} is not in the inventory.")
        host_variables = hostvars[host]
        for name in variables:
            found.update(_addresses(host_variables.get(name)))
    return [str(one) for one in sorted(found, key=lambda one: (one.version, int(one)))]


def _addresses(value: object) -> Iterator[_Address]:
    texts = value.split(",") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else ()
    for text in texts:
        try:
            address = ipaddress.ip_address(str(text).strip())
        except ValueError:
            continue
        if not (address.is_loopback or address.is_unspecified):
            yield address
