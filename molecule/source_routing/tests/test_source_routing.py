# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everybody reaches the pool, by marks that lead replies back, and nothing is filtered."""

from __future__ import annotations

from containers.assertions import PATIENCE, assert_reached
from containers.lab import ContainerLab
from testinfra.host import Host as InfraHost

from tests.lab.delivery import all_cells


def test_everybody_reaches_everything(lab: ContainerLab) -> None:
    assert_reached(lab.deliver(all_cells(lab), timeout=PATIENCE))


def test_marked_packets_have_a_table_of_their_own(host: InfraHost) -> None:
    assert host.check_output("ip -4 rule show priority 2800").endswith("fwmark 0x100/0x1f00 lookup 7701 proto homeward")
    assert "default via 1.2.3.1 dev eth0.100 proto homeward" in host.check_output("ip -4 route show table 7701")


def test_nothing_is_filtered(host: InfraHost) -> None:
    for tables in ("iptables-save", "ip6tables-save"):
        assert "HOMEWARD" not in host.check_output(f"{tables} -t raw")
        assert "HOMEWARD" in host.check_output(f"{tables} -t mangle")
