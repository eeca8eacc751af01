# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the modules for ``AnsibleModule``: the one source of their names, types, choices and defaults.

A number that may be hexadecimal or a name is a ``str`` here, so that this package parses it and not Ansible.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..paths import PYROUTE2_DIRECTORY
from ..state import link, route, rule
from ..state.chain import BUILT_IN
from ..state.family import FAMILIES, IPV4
from .case_traits import AUTO, CASE_CHOICES
from .model import KUBE_PROXY_MODES, RP_FILTERS, STATES, VARIANTS, Settings

Options = dict[str, dict[str, Any]]


def _list_of_strings() -> dict[str, Any]:
    return {"type": "list", "elements": "str"}


def _choice(choices: Iterable[str], **more: Any) -> dict[str, Any]:
    return {"type": "str", "choices": list(choices), **more}


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
        "networks": {**_list_of_strings(), "required": True},
        "interface": {"type": "str", "required": True},
        "onlink_networks": _list_of_strings(),
        "vlan": {"type": "dict", "options": vlan_options()},
        "gateways": _list_of_strings(),
        "addresses": _list_of_strings(),
        "case": _choice(CASE_CHOICES, default=AUTO),
        "table": {"type": "str"},
        "mark": {"type": "str"},
        "deny": _list_of_strings(),
        "dedicated": {"type": "bool"},
        "rp_filter": _choice(RP_FILTERS, default="auto"),
        "node_services": {"type": "bool", "default": False},
    }


def cluster_options() -> Options:
    """Return the options below ``cluster``."""
    return {
        "pod_networks": _list_of_strings(),
        "service_networks": _list_of_strings(),
        "node_addresses": _list_of_strings(),
        "api_servers": _list_of_strings(),
        "kube_proxy_mode": _choice(KUBE_PROXY_MODES, default="auto"),
    }


def settings_options() -> Options:
    """Return the options other than ``pools`` and ``cluster``: the identifiers that are used on a node."""
    defaults = Settings()
    return {
        "mark_mask": {"type": "str", "default": hex(defaults.mark_mask)},
        "priority_base": {"type": "int", "default": defaults.priority_base},
        "table_base": {"type": "int", "default": defaults.table_base},
        "protocol": {"type": "int", "default": defaults.protocol},
        "iptables_variant": _choice(VARIANTS, default=defaults.iptables_variant),
    }


def argument_spec() -> Options:
    """Return a new argument spec for a module that takes a whole declaration."""
    return {
        "pools": {"type": "list", "elements": "dict", "options": pool_options()},
        "cluster": {"type": "dict", "options": cluster_options()},
        **settings_options(),
        "state": _choice(STATES, default="present"),
    }


def pool_routing_options() -> Options:
    """Return all options of pool_routing: the declaration, and how a change is made."""
    return {
        **argument_spec(),
        "nodes": {"type": "raw"},
        "persist": {"type": "bool", "default": True},
        "metrics_directory": {"type": "str"},
        "confirm_timeout": {"type": "int", "default": 0},
        "collect_warnings": {"type": "bool", "default": False},
        "pyroute2_path": {"type": "str", "default": PYROUTE2_DIRECTORY},
    }


def link_options() -> Options:
    """Return the options of one entry of ``links``."""
    return {
        "name": {"type": "str", "required": True},
        "kind": _choice(link.KINDS, default="vlan"),
        "parent": {"type": "str"},
        "vlan_id": {"type": "int"},
        "mtu": {"type": "int"},
        "up": {"type": "bool", "default": True},
    }


def route_options() -> Options:
    """Return the options of one entry of ``routes``."""
    return {
        "destination": {"type": "str", "required": True},
        "table": {"type": "str", "default": "main"},
        "type": _choice(route.TYPES, default="unicast"),
        "gateway": {"type": "str"},
        "interface": {"type": "str"},
        "metric": {"type": "int"},
        "onlink": {"type": "bool", "default": False},
        "source": {"type": "str"},
        "family": _choice(FAMILIES),
    }


def rule_options() -> Options:
    """Return the options of one entry of ``rules``."""
    return {
        "priority": {"type": "int", "required": True},
        "action": _choice(rule.ACTIONS, default="lookup"),
        "table": {"type": "str"},
        "goto": {"type": "int"},
        "source": {"type": "str"},
        "destination": {"type": "str"},
        "iif": {"type": "str"},
        "oif": {"type": "str"},
        "fwmark": {"type": "str"},
        "invert": {"type": "bool", "default": False},
        "suppress_prefixlength": {"type": "int"},
        "family": _choice(FAMILIES),
    }


def chain_options() -> Options:
    """Return the options of one entry of ``chains``."""
    return {
        "name": {"type": "str", "required": True},
        "table": _choice(BUILT_IN, required=True),
        "family": _choice(FAMILIES, default=IPV4),
        "hook": {"type": "str"},
        "rules": {**_list_of_strings(), "default": []},
    }
