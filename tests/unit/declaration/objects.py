# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Valid links, routes, rules and chains, and the parser of each with Ansible's validator in front."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator  # type: ignore[import-untyped]

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.objects import (
    parse_chains,
    parse_links,
    parse_routes,
    parse_rules,
)
from ansible_collections.homeward.metallb_routing.plugins.modules import ip_links, ip_routes, ip_rules, iptables_chains

Entry = Mapping[str, Any]

PREFIX = "SITE-"
PARSERS: dict[str, tuple[dict[str, Any], Callable[[Any], tuple[Any, ...]]]] = {
    "links": (ip_links.ARGUMENT_SPEC, parse_links),
    "routes": (ip_routes.ARGUMENT_SPEC, parse_routes),
    "rules": (ip_rules.ARGUMENT_SPEC, parse_rules),
    "chains": (iptables_chains.ARGUMENT_SPEC, lambda entries: parse_chains(entries, PREFIX)),
}

#: One valid entry of each kind.
VALID_OBJECTS: dict[str, Entry] = {
    "links": {"name": "eth0.100", "parent": "eth0", "vlan_id": 100},
    "routes": {"destination": "5.6.7.0/24", "interface": "eth1"},
    "rules": {"priority": 5, "table": "100"},
    "chains": {"name": "SITE-A", "table": "raw"},
}


def parse(kind: str, *entries: Entry) -> tuple[Any, ...]:
    """Return what the module for the kind makes of these entries of a task."""
    spec, parser = PARSERS[kind]
    result = ArgumentSpecValidator({kind: spec[kind]}).validate({kind: [dict(entry) for entry in entries]})
    assert result.error_messages == []
    return parser(result.validated_parameters[kind])
