# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every role leaves on a node: the service, the command, and pyroute2 where the node has none."""

from __future__ import annotations

from containers.expect import LIBRARY, release, status
from testinfra.host import Host as InfraHost

from tests.lab import Host


def test_status(node: Host) -> None:
    told = node.run(["metallb-routing", "status"])
    assert "The node is as declared." in told.stdout
    assert status(node)["right"] is True


def test_service_is_enabled_and_running(host: InfraHost) -> None:
    service = host.service("homeward-metallb-routing")
    assert service.is_enabled
    assert service.is_running


def test_state_file_is_roots_alone(host: InfraHost) -> None:
    file = host.file(f"{LIBRARY}/state.json")
    assert (file.user, file.mode) == ("root", 0o600)


def test_protocol_has_a_name(host: InfraHost) -> None:
    assert host.file("/etc/iproute2/rt_protos.d/homeward.conf").content_string == "77 homeward\n"


def test_pyroute2_is_brought_where_there_is_none(node: Host, host: InfraHost) -> None:
    assert host.file(f"{LIBRARY}/python/pyroute2").exists == (release(node) < 12)
