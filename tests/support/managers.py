# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A systemd-networkd that only answers, for namespaces; tests/vm/managers has the real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel import network_managers, systemd
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.managers import NETWORKD

CATCH_ALL = "/etc/systemd/network/00-00-a.network"


def networkd(link: str, log: Path, state: str = "unmanaged") -> Callable[[], None]:
    """Return a function that lets a module, called before it, find a running systemd-networkd.

    :param log: gets a line for each program that is started: its command, and whether the link exists then.
    :param state: that of every link.
    """

    def run(*command: str) -> str:
        exists = "link" if Path("/sys/class/net", link).exists() else "no link"
        with log.open("a") as file:
            file.write(f"{' '.join(command)}: {exists}\n")
        return ""

    def prepare() -> None:
        systemd.active = lambda: frozenset({NETWORKD})
        systemd.in_namespace_of_systemd = lambda: True
        network_managers._run = run  # noqa: SLF001 - in a process that ends with the module
        network_managers._networkd_state = lambda _name: {"ADMIN_STATE": state, "NETWORK_FILE": CATCH_ALL}  # noqa: SLF001

    return prepare
