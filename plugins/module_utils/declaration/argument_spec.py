# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a declaration for ``AnsibleModule``: the one source of their names, types, choices and defaults.

Types are the loosest that do not lose anything (``str`` for a number that may be hexadecimal or was meant as a name),
so that our own errors, which tell the path, are met before Ansible's.
"""

from __future__ import annotations

from typing import Any

from .case_traits import AUTO, CASE_CHOICES
from .model import KUBE_PROXY_MODES, RP_FILTERS, VARIANTS, Settings

STATES = ("present", "absent")

Options = dict[str, dict[str, Any]]


def _list_of_text() -> dict[str, Any]:
    return {"type": "list", "elements": "str"}


def vlan_options() -> Options:
    """Return the options below ``pools[].vlan``."""
    return {
        "parent": {"type": "str", "required": True},
        "id": {"type": "int", "required": True},
        "mtu": {"type": "int", "default": 0},
    }


def pool_options() -> Options:
    """Return the options of one entry of ``pools``."""
    return {
        "name": {"type": "str", "required": True},
        "networks": {**_list_of_text(), "required": True},
        "interface": {"type": "str", "required": True},
        "onlink_networks": _list_of_text(),
        "vlan": {"type": "dict", "options": vlan_options()},
        "gateways": _list_of_text(),
        "addresses": _list_of_text(),
        "case": {"type": "str", "choices": list(CASE_CHOICES), "default": AUTO},
        "table": {"type": "str"},
        "mark": {"type": "str"},
        "deny": _list_of_text(),
        "dedicated": {"type": "bool"},
        "rp_filter": {"type": "str", "choices": list(RP_FILTERS), "default": "auto"},
    }


def cluster_options() -> Options:
    """Return the options below ``cluster``."""
    return {
        "pod_networks": _list_of_text(),
        "service_networks": _list_of_text(),
        "node_addresses": _list_of_text(),
        "api_servers": _list_of_text(),
        "kube_proxy_mode": {"type": "str", "choices": list(KUBE_PROXY_MODES), "default": "auto"},
    }


def settings_options() -> Options:
    """Return the options that stand beside ``pools`` and ``cluster`` and say what is ours on a node."""
    defaults = Settings()
    return {
        "mark_mask": {"type": "str", "default": hex(defaults.mark_mask)},
        "priority_base": {"type": "int", "default": defaults.priority_base},
        "table_base": {"type": "int", "default": defaults.table_base},
        "protocol": {"type": "int", "default": defaults.protocol},
        "iptables_variant": {"type": "str", "choices": list(VARIANTS), "default": defaults.iptables_variant},
    }


def argument_spec() -> Options:
    """Return a fresh argument spec for a module that takes a whole declaration."""
    return {
        "pools": {"type": "list", "elements": "dict", "options": pool_options()},
        "cluster": {"type": "dict", "options": cluster_options()},
        **settings_options(),
        "state": {"type": "str", "choices": list(STATES), "default": "present"},
    }
