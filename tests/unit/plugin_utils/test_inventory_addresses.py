# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of hosts from their inventory variables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.inventory_addresses import (
    VARIABLES,
    node_addresses,
    read_host,
)

FILTER = Path(__file__).resolve().parents[3] / "plugins/filter/node_addresses.py"

HOSTVARS: dict[str, dict[str, Any]] = {
    "ssh": {"ansible_host": "192.168.1.12"},
    "kubespray": {"ansible_host": "node.example.com", "ip": "192.168.1.11", "ip6": "FD00:192:168:1:0::11"},
    "k3s": {"node_ip": "192.168.1.13, fd00:192:168:1::13", "access_ip": "192.168.1.12"},
    "list": {"node_ip": ["192.168.1.9"], "ip": None, "ip6": 7},
    "here": {"ansible_host": "127.0.0.1", "ip": "::1", "access_ip": "0.0.0.0"},  # noqa: S104 nothing binds to it
}


def test_both_families_of_every_variable_without_duplicates_and_sorted() -> None:
    assert node_addresses(list(HOSTVARS), HOSTVARS) == [
        "192.168.1.9",
        "192.168.1.11",
        "192.168.1.12",
        "192.168.1.13",
        "fd00:192:168:1::11",
        "fd00:192:168:1::13",
    ]


def test_only_the_given_variables() -> None:
    assert node_addresses(["ssh", "kubespray"], HOSTVARS, variables=["ip6"]) == ["fd00:192:168:1::11"]


@pytest.mark.parametrize("hosts", ["ssh", None, ["nobody"]])
def test_hosts_that_are_no_list_or_unknown_are_refused(hosts: Any) -> None:
    with pytest.raises(ValueError, match="node_addresses"):
        node_addresses(hosts, HOSTVARS)


@pytest.mark.parametrize(
    ("host", "variables", "sources"),
    [
        ("192.168.1.11", {}, {"192.168.1.11": "inventory_hostname"}),
        (
            "FD00::11",
            {"ansible_host": "192.168.1.11"},
            {"192.168.1.11": "ansible_host", "fd00::11": "inventory_hostname"},
        ),
        ("192.168.1.11", {"ansible_host": "192.168.1.11"}, {"192.168.1.11": "ansible_host"}),
        ("node1", {"ansible_host": "[fd00::11]"}, {"fd00::11": "ansible_host"}),
        ("node1", {"ansible_ssh_host": "192.168.1.11"}, {"192.168.1.11": "ansible_ssh_host"}),
        ("node1", {"k3s_node_ip": "192.168.1.11"}, {"192.168.1.11": "k3s_node_ip"}),
        ("node1", {"ip": "::ffff:192.168.1.11"}, {"192.168.1.11": "ip"}),
        ("node1", {"ip": "192.168.1.11/32", "ip6": "fd00::11/128"}, {"192.168.1.11": "ip", "fd00::11": "ip6"}),
        ("node1", {"node_ip": "192.168.1.11,"}, {"192.168.1.11": "node_ip"}),
    ],
)
def test_addresses_and_where_they_come_from(host: str, variables: dict[str, Any], sources: dict[str, str]) -> None:
    result = read_host(host, variables.get)
    assert result.sources == sources
    assert result.problems == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ansible_host", "node1"),
        ("ansible_host", "node-1.example.com"),
        ("ansible_host", "fe80::1%eth0"),
        ("ansible_host", "[fe80::1%eth0]"),
        ("ip", "169.254.1.1"),
        ("ip", "169.254.1.1/16"),
        ("ip", "127.0.1.1"),
        ("ip6", "::1"),
        ("ip6", "::ffff:127.0.0.1"),
        ("ip6", "::"),
        ("ip", ""),
        ("ip", None),
        ("ip", []),
    ],
)
def test_what_is_no_address_of_the_node_without_a_word(name: str, value: Any) -> None:
    result = read_host("node1", {name: value}.get)
    assert result.sources == {}
    assert result.problems == ()


@pytest.mark.parametrize(
    ("name", "value", "where", "reason"),
    [
        ("ip", "192.168.1.11/24", "ip", "192.168.1.11/24 has a prefix length"),
        ("ip6", "fd00::11/64", "ip6", "fd00::11/64 has a prefix length"),
        ("ip6", 3661, "ip6", "3661 is a number"),
        ("ip", True, "ip", "true is a number"),
        ("ip", 1.5, "ip", "1.5 is a number"),
        ("ip", {"v4": "192.168.1.11"}, "ip", "a mapping is not an address"),
        ("node_ip", ["192.168.1.11", ["fd00::11"]], "node_ip[1]", "a list is not an address"),
        ("node_ip", "192.168.1.11,x", "node_ip[1]", "x is neither an IPv4 nor an IPv6 address"),
        ("ip", "node1", "ip", "node1 is neither an IPv4 nor an IPv6 address"),
        ("ansible_host", "192.168.1.300", "ansible_host", "192.168.1.300 is neither"),
        ("ansible_host", "192.168.1.11:22", "ansible_host", "192.168.1.11:22 is neither"),
        ("ansible_host", "192.168.1.11/24", "ansible_host", "has a prefix length"),
        ("ip", "192.168.001.011", "ip", "has a leading zero"),
        ("ip", "224.0.0.1", "ip", "multicast"),
        ("ip", "255.255.255.255", "ip", "reserved"),
        ("ip6", "fd00::11%eth0", "ip6", "has a zone identifier"),
    ],
)
def test_values_that_are_not_one_address_have_a_reason(name: str, value: Any, where: str, reason: str) -> None:
    result = read_host("node1", {name: value}.get)
    ((found, problem),) = result.problems
    assert found == where
    assert reason in problem
    assert problem.endswith("."), "the remedy"


def test_a_template_that_fails_hides_no_other_variable() -> None:
    def get(name: str) -> Any:
        if name == "ip":
            raise RuntimeError("'ansible_default_ipv4' is undefined\nmore")
        return {"ansible_host": "192.168.1.11"}.get(name)

    result = read_host("node1", get)
    assert result.sources == {"192.168.1.11": "ansible_host"}
    assert result.problems == (("ip", "cannot be evaluated: 'ansible_default_ipv4' is undefined."),)


def test_the_documented_default_is_the_default() -> None:
    """The file is read, not imported: imports of the controller would make modules in later tests behave as if they ran there."""
    text = re.search(r'DOCUMENTATION = r"""(.*?)"""', FILTER.read_text(), re.DOTALL)
    assert text is not None
    assert tuple(yaml.safe_load(text.group(1))["options"]["variables"]["default"]) == VARIABLES
