# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every client reaches the pool through marks, and no packet is filtered."""

from __future__ import annotations

from containers.assertions import assert_reached
from containers.lab import ContainerLab
from testinfra.host import Host as InfraHost


def test_all_clients_reach_all_services(lab: ContainerLab) -> None:
    assert_reached(lab)


def test_marked_packets_use_a_separate_table(host: InfraHost) -> None:
    assert host.check_output("ip -4 rule show priority 2800").endswith("fwmark 0x100/0x1f00 lookup 7701 proto homeward")
    assert "default via 1.2.3.1 dev eth0.100 proto homeward" in host.check_output("ip -4 route show table 7701")


def test_nothing_is_filtered(host: InfraHost) -> None:
    for command in ("iptables-save", "ip6tables-save"):
        assert "HOMEWARD" not in host.check_output(f"{command} -t raw")
        assert "HOMEWARD" in host.check_output(f"{command} -t mangle")
