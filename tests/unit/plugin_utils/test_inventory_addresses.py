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


def test_the_documented_default_is_the_default() -> None:
    """The file is read, not imported: imports of the controller would make modules in later tests behave as if they ran there."""
    text = re.search(r'DOCUMENTATION = r"""(.*?)"""', FILTER.read_text(), re.DOTALL)
    assert text is not None
    assert tuple(yaml.safe_load(text.group(1))["options"]["variables"]["default"]) == VARIABLES
