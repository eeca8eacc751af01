# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel without IPv6 (``ipv6.disable=1``): only IPv4 is read, and none of it is mistaken for IPv6.

This kernel has IPv6, so the tests replace it by a family that no kernel has any more (DECnet): the answers are the same.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel import families
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink import rtnetlink
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.addresses import read_addresses
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.links import read_links
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.routes import read_routes
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rtnetlink import (
    RTM_GETADDR,
    RTM_GETROUTE,
    Rtnetlink,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rules import read_rules
from tests.support.namespace import Namespace
from tests.support.node import Node
from tests.support.steps import FORMATS, OWNERSHIP, inside

AF_DECNET = 12


@pytest.fixture
def without_ipv6(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(rtnetlink.AF_OF_FAMILY, "ipv6", AF_DECNET)
    monkeypatch.setattr(families, "NETWORK", tmp_path)


def _families_read(kernel: Rtnetlink) -> list[set[str]]:
    names = read_links(kernel, OWNERSHIP).names
    addresses = read_addresses(kernel, OWNERSHIP, names)
    found = (
        (addresses.managed | addresses.foreign),
        frozenset().union(*read_routes(kernel, OWNERSHIP, names)),
        frozenset().union(*read_rules(kernel, OWNERSHIP)),
    )
    return [{item.family for item in items} for items in found]


@pytest.mark.usefixtures("without_ipv6")
def test_chains_of_ipv6_are_refused(node: Node) -> None:
    """ip6tables-nft would write them, and the next run would not find them."""
    chains = [{"name": "SITE-A", "table": "raw", "family": "ipv6", "rules": ["-j DROP"]}]
    answer = node.refuse("iptables_chains", {"prefix": "SITE-", "chains": chains})
    assert answer["msg"].startswith("chains[0].family: this node has no iptables for ipv6")


@pytest.mark.usefixtures("without_ipv6")
def test_only_ipv4_is_read(namespace: Namespace) -> None:
    assert namespace.call(inside, _families_read) == [{"ipv4"}] * 3


def test_the_kernel_of_this_machine_has_both_families(namespace: Namespace) -> None:
    assert namespace.call(families.kernel_families) == ("ipv4", "ipv6")


def test_objects_of_another_family_than_requested_are_left_out(namespace: Namespace) -> None:
    def requested(kernel: Rtnetlink) -> list[int]:
        request = {"family": AF_DECNET}
        routes = kernel.dump_fields(RTM_GETROUTE, FORMATS.route, "routes", request)
        return [len(routes), len(kernel.dump_fields(RTM_GETADDR, FORMATS.address, "addresses", request))]

    assert namespace.call(inside, requested) == [0, 0]


def test_rules_of_a_missing_family_are_refused(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason why only families that the kernel has are read."""
    monkeypatch.setitem(rtnetlink.AF_OF_FAMILY, "ipv6", AF_DECNET)
    with pytest.raises(NodeError, match="The kernel does not list its ipv6 rules: EAFNOSUPPORT"):
        namespace.call(inside, lambda kernel: read_rules(kernel, OWNERSHIP))
