# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every role leaves on a node: the service, the command, and pyroute2 where the node has none."""

from __future__ import annotations

from containers.assertions import COMMAND, LIBRARY, release, status
from testinfra.host import Host as InfraHost

from tests.lab import Host


def test_status(node: Host) -> None:
    told = node.run([COMMAND, "status"])
    assert "The node is in the desired state." in told.stdout
    assert status(node)["right"] is True


def test_service_is_enabled_and_running(host: InfraHost) -> None:
    service = host.service("homeward-metallb-routing")
    assert service.is_enabled
    assert service.is_running


def test_command_has_a_short_name_where_usr_can_be_written(host: InfraHost) -> None:
    """The rest works the same either way: nothing else of ours is below /usr."""
    read_only = "ro" in host.mount_point("/usr").options if host.mount_point("/usr").exists else False
    assert host.file("/usr/local/sbin/metallb-routing").exists is not read_only
    below_usr = host.check_output("find /usr -xdev -name '*homeward*' -o -name '*metallb*'").split()
    assert below_usr == ([] if read_only else ["/usr/local/sbin/metallb-routing"])


def test_state_file_is_roots_alone(host: InfraHost) -> None:
    file = host.file(f"{LIBRARY}/state.json")
    assert (file.user, file.mode) == ("root", 0o600)


def test_protocol_has_a_name_if_it_is_used(node: Host, host: InfraHost) -> None:
    declared = status(node)["declared"]
    name = host.file("/etc/iproute2/rt_protos.d/homeward.conf")
    assert (name.content_string if name.exists else "") == (
        "77 homeward\n" if declared["routes"] or declared["rules"] else ""
    )


def test_pyroute2_is_brought_where_there_is_none(node: Host, host: InfraHost) -> None:
    assert host.file(f"{LIBRARY}/python/pyroute2").exists == (release(node) < 12)
