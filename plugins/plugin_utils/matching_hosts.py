# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible itself finds for a pattern and ``--limit``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Groups = Mapping[str, Sequence[str]]
#: Options with which ansible-playbook runs nothing, perhaps without an inventory.
_ONLY_LISTS = ("syntax", "listhosts", "listtasks", "listtags")


def matching(patterns: Sequence[str], groups: Groups, limit: str = "") -> list[str]:
    """Return the hosts that match; none if a pattern is invalid."""
    # Not at the top: modules that are tested in the same process as this must not think that they run on the controller.
    from ansible.errors import AnsibleError  # noqa: PLC0415
    from ansible.inventory.manager import InventoryManager  # noqa: PLC0415
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415

    manager = InventoryManager(DataLoader(), parse=False)
    for group, hosts in groups.items():
        manager.add_group(group)
        for host in hosts:
            manager.add_host(host, group=group)
    try:
        if limit:
            manager.subset(limit)
        return [host.name for host in manager.get_hosts(pattern=list(patterns))]
    except AnsibleError:
        return []


def only_lists() -> bool:
    """Whether ansible-playbook only lists what it would run, or checks the syntax."""
    from ansible import context  # noqa: PLC0415

    return any(context.CLIARGS.get(option) for option in _ONLY_LISTS)
