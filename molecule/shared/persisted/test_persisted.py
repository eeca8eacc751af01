# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every role leaves the agent, its command and state file on a node, and what it needs of pyroute2."""

from __future__ import annotations

import re

from containers.assertions import COMMAND, SERVICE, STATE_FOLDER, status
from testinfra.host import Host as InfraHost

from tests.lab import Host


def test_status(node: Host) -> None:
    assert "The node is in the desired state." in node.run([COMMAND, "status"]).stdout
    assert status(node)["right"] is True


def test_service_is_enabled_and_running(host: InfraHost) -> None:
    service = host.service(SERVICE)
    assert service.is_enabled
    assert service.is_running


def test_command_is_in_path_if_usr_is_writable(host: InfraHost) -> None:
    """No other file of the collection is below /usr."""
    read_only = "ro" in host.mount_point("/usr").options if host.mount_point("/usr").exists else False
    assert host.file("/usr/local/sbin/metallb-routing").exists is not read_only
    below_usr = host.check_output("find /usr -xdev -name '*homeward*' -o -name '*metallb*'").split()
    assert below_usr == ([] if read_only else ["/usr/local/sbin/metallb-routing"])


def test_only_root_can_read_the_state_file(host: InfraHost) -> None:
    file = host.file(f"{STATE_FOLDER}/state.json")
    assert (file.user, file.mode) == ("root", 0o600)


def test_protocol_has_a_name_if_it_is_used(node: Host, host: InfraHost) -> None:
    declared = status(node)["declared"]
    name = host.file("/etc/iproute2/rt_protos.d/homeward.conf")
    assert (name.content_string if name.exists else "") == (
        "77 homeward\n" if declared["routes"] or declared["rules"] else ""
    )


def test_tables_of_pyroute2_are_kept_and_no_copy(host: InfraHost) -> None:
    assert not host.file(f"{STATE_FOLDER}/python").exists
    assert host.file(f"{STATE_FOLDER}/netlink.json").mode == 0o644


def test_the_service_runs_in_a_sandbox(node: Host) -> None:
    """The lower the better; 9.6 without any setting."""
    rated = node.run(["systemd-analyze", "security", "--no-pager", SERVICE]).stdout.splitlines()[-1]
    found = re.search(r"exposure level for \S+: ([0-9.]+)", rated)
    assert found, rated
    assert float(found[1]) <= 3.0
