# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of one host from its inventory variables."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.networks import (
    Purpose,
    parse_address,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.values import is_unset, printable
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError

#: The variables that Ansible connects to. They may also contain host names.
_CONNECTION = ("ansible_host", "ansible_ssh_host")
#: Those, and the variables of Kubespray and of the k3s playbooks.
VARIABLES = (*_CONNECTION, "ip", "ip6", "access_ip", "access_ip6", "node_ip", "k3s_node_ip")
#: How the name of a host is called as a source of its address.
NAME = "inventory_hostname"

_REMEDY = "Write the address alone, as in 192.168.1.11."
_NODE = Purpose(_REMEDY)
_LOOKS_LIKE_ADDRESS = re.compile(r"[0-9.]*[0-9](?:/[0-9]+)?|[^:]*:.*")


@dataclass(frozen=True)
class HostAddresses:
    """The addresses of one host in the inventory.

    :param sources: the variable of each address; the addresses are canonical.
    :param problems: for each value that is not an address, its variable (``node_ip[1]``) and the reason with the remedy.
    """

    sources: Mapping[str, str]
    problems: tuple[tuple[str, str], ...] = ()


def read_host(host: str, get: Callable[[str], Any], variables: Iterable[str] = VARIABLES) -> HostAddresses:
    """Return the addresses in these variables of a host, and in its name.

    :param get: returns the value of a variable, None if it is not set; raises an exception if it cannot be evaluated.
    """
    sources: dict[str, str] = {}
    problems: list[tuple[str, str]] = []
    for name in variables:
        try:
            value = get(name)
        except Exception as error:  # noqa: BLE001 - a template can raise anything
            problems.append((name, f"cannot be evaluated: {_first_line(error)}."))
            continue
        for where, item in _items(name, value):
            try:
                address = _address(where, item, may_be_name=name in _CONNECTION)
            except InputError as error:
                problems.append((where, f"{error.problem}. {error.remedy}"))
            else:
                sources.setdefault(address, name)
    with suppress(InputError):  # a name need not be an address
        sources.setdefault(_address(NAME, host, may_be_name=True), NAME)
    sources.pop("", None)
    return HostAddresses(sources, tuple(problems))


def _items(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a variable contains: one item, or the items of a list, with their place."""
    if isinstance(value, str) and "," in value:
        value = value.split(",")
    if isinstance(value, (list, tuple)):
        yield from ((f"{name}[{index}]", item) for index, item in enumerate(value) if not is_unset(item))
    elif not is_unset(value):
        yield name, value


def _address(where: str, value: Any, *, may_be_name: bool) -> str:
    """Return the canonical address, or ``""`` for a host name and for an address at which nobody reaches the node.

    :raises InputError: it is neither.
    """
    if isinstance(value, (bool, int, float)):
        problem = f"{printable(value)} is a number; YAML also reads digits with colons as one (base 60)"
        raise InputError(where, problem, "Put the address in quotes.")
    if not isinstance(value, str):
        raise InputError(where, f"{printable(value)} is not an address", _REMEDY)
    text = value.strip()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    if may_be_name and not _LOOKS_LIKE_ADDRESS.fullmatch(text):
        return ""
    try:
        parsed: Any = ipaddress.ip_interface(text.partition("%")[0])
    except ValueError:
        return parse_address(where, text, _NODE).text  # raises, with the reason
    mapped = getattr(parsed.ip, "ipv4_mapped", None)
    address = mapped or parsed.ip
    if address.is_loopback or address.is_link_local or address.is_unspecified:
        return ""
    if "/" in text and parsed.network.num_addresses > 1:
        problem = f"{printable(text)} has a prefix length, so it is not a single address"
        raise InputError(where, problem, f"Write {address}, if that is the address of the node.")
    return parse_address(where, str(mapped) if mapped else text, _NODE).text


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def node_addresses(
    hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]], variables: Sequence[str] = VARIABLES
) -> list[str]:
    """Return the addresses in these variables of the hosts: without duplicates, IPv4 first, ascending.

    Values that are not addresses are left out.

    :raises ValueError: the hosts are not a list, or one of them is not in the inventory.
    """
    if isinstance(hosts, (str, bytes)) or not isinstance(hosts, Iterable):
        raise ValueError(f"node_addresses: {hosts!r} is not a list of host names.")  # noqa: TRY004 - the filter catches one type
    found: set[str] = set()
    for host in hosts:
        if host not in hostvars:
            raise ValueError(f"node_addresses: {host!r} is not in the inventory.")
        found.update(read_host(host, hostvars[host].get, variables).sources)
    return sorted(found, key=_order)


def _order(address: str) -> tuple[int, int]:
    parsed = ipaddress.ip_address(address)
    return parsed.version, int(parsed)
