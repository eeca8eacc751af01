# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses, written and read; the witnesses are ``ip -json`` and, for the protocol number, pyroute2's own decoder."""

from __future__ import annotations

import pytest
from pyroute2 import IPRoute

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink import flushed_routes
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.addresses import (
    Addresses,
    addresses_carry_protocol,
    kernel_version,
    read_addresses,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.codec import Fields
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.links import read_links
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rtnetlink import Rtnetlink
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Address, Interface
from tests.support import ip_witness
from tests.support.namespace import Namespace
from tests.support.steps import OWNERSHIP, add, delete, inside, succeed, write_here

ADDRESSES = (
    Address("eth0", "1.2.3.201/32"),
    Address("eth0", "1.2.4.201/24"),
    Address("peer0", "fd00:1:2:3::201/128"),
    Address("peer0", "fd00:1:2:4::201/64"),
)
needs_protocol = pytest.mark.skipif(
    kernel_version() < (5, 18), reason="this kernel does not store the protocol of an address"
)


def _read(netlink: Rtnetlink) -> tuple[Addresses, dict[str, Interface]]:
    links = read_links(netlink, OWNERSHIP)
    addresses = read_addresses(netlink, OWNERSHIP, links.names)
    return addresses, addresses.on(links.interfaces)


def _protocols() -> dict[str, object]:
    with IPRoute() as iproute:
        return {message.get_attr("IFA_ADDRESS"): message.get_attr("IFA_PROTO") for message in iproute.get_addr()}


@needs_protocol
def test_written_addresses_are_read_back(namespace: Namespace) -> None:
    before = ip_witness.addresses(namespace)
    routes = namespace.ip_json("route show table main"), namespace.ip_json("-6 route show table main")
    succeed(namespace, add(*ADDRESSES))
    seen = ip_witness.addresses(namespace)
    assert seen.keys() - before.keys() == set(ADDRESSES)
    assert all(seen[address]["noprefixroute"] for address in ADDRESSES)
    assert all(seen[address].get("nodad", False) == (address.family == "ipv6") for address in ADDRESSES)
    assert all(seen[address].get("deprecated", False) == (address.family == "ipv6") for address in ADDRESSES)
    assert (namespace.ip_json("route show table main"), namespace.ip_json("-6 route show table main")) == routes
    protocols = namespace.call(_protocols)
    assert {protocols[address.address.partition("/")[0]] for address in ADDRESSES} == {OWNERSHIP.protocol}

    addresses, interfaces = namespace.call(inside, _read)
    assert addresses.managed == set(ADDRESSES)
    assert addresses.foreign == set(before)
    assert addresses.carry_protocol
    assert interfaces["peer0"].addresses == tuple(
        sorted(address.address for address in seen if address.interface == "peer0")
    )
    succeed(namespace, delete(*ADDRESSES))
    assert ip_witness.addresses(namespace) == before


def test_foreign_routes_over_the_link_come_back_with_its_last_address_and_others_are_not_read(
    namespace: Namespace,
) -> None:
    """The kernel deletes all routes over a link without an IPv4 address; a node may have a million over others."""
    own = Address("eth0", "1.2.3.201/32")
    namespace.run(["ip", "-4", "address", "flush", "dev", "eth0"])
    succeed(namespace, add(own))
    namespace.ip(
        "route add 198.51.100.0/24 dev eth0",
        "route add 203.0.113.0/24 via 198.51.100.9",
        "route add 192.0.2.0/24 dev eth0 table 99",
        *(f"route add 20.0.{number}.0/24 dev peer0" for number in range(100)),
    )
    before = namespace.ip_json("route show table all")
    read: list[int] = []

    def delete_and_count() -> list[int]:
        dump = flushed_routes.routes_over

        def counted(netlink: Rtnetlink, link: int) -> list[Fields]:
            found = dump(netlink, link)
            read.append(len(found))
            return found

        flushed_routes.routes_over = counted
        assert not write_here(delete(own)).reason
        return read

    counts = namespace.call(delete_and_count)
    assert [one for one in namespace.ip_json("route show table all") if one.get("dst") != "1.2.3.201"] == [
        one for one in before if one.get("dst") != "1.2.3.201"
    ]
    assert counts
    assert max(counts) < 10


def test_on_a_point_to_point_link_the_local_address_is_read(namespace: Namespace) -> None:
    namespace.ip("address add 192.0.2.1 peer 192.0.2.2/32 dev peer0")
    assert Address("peer0", "192.0.2.1/32") in namespace.call(inside, _read)[0].foreign


@needs_protocol
def test_the_kernel_version_decides_if_there_are_no_addresses(namespace: Namespace) -> None:
    namespace.ip("link delete eth0", "link set lo down", "address flush dev lo")
    assert ip_witness.addresses(namespace) == {}
    assert namespace.call(inside, addresses_carry_protocol)
