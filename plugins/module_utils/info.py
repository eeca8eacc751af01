# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a node as plain data, for the module routing_info."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from .engine import Result, Run
from .kernel.reader import Scope, read_node
from .state import Ownership, Route, Rule
from .state.chain import unreadable_table
from .state.extra_attributes import desired_fields, extra_text
from .state.kinds import SAVED


def read_info(parameters: Mapping[str, Any], run: Run) -> Result:
    """Return the managed objects of the node and the facts that decide about its pools; changes nothing."""
    scope = Scope(Ownership(protocol=parameters["protocol"]), parameters["iptables_variant"])
    node = read_node(scope, run.pyroute2_path)
    objects = {kind.plural: [_plain(item) for item in sorted(node.managed.of(kind))] for kind in SAVED if not kind.part}
    sysctls = [{**item, "original": node.originals.get(item["name"], "")} for item in objects["sysctls"]]
    chains = [
        {"variant": chains.variant, **_plain(chain)}
        for chains in sorted(node.managed.chains, key=lambda item: item.key)
        for chain in sorted(chains.chains)
    ]
    return {
        "changed": False,
        **objects,
        "sysctls": sysctls,
        "chains": chains,
        "hidden_chains": [unreadable_table(family, table) for family, table in sorted(node.iptables_hidden)],
        "kube_proxy": asdict(node.kube_proxy),
        "iptables_variant": node.variant,
        "ssh_peer": node.ssh_peer,
        "ssh_interface": node.ssh_interface,
        "api_servers": list(node.api_servers),
    }


def _plain(item: Any) -> dict[str, Any]:
    """Return the fields of an object; extra attributes are appended to the type of a route, the action of a rule."""
    values = {part.name: getattr(item, part.name) for part in desired_fields(item)}
    if isinstance(item, (Route, Rule)) and item.extra:
        field = "type" if isinstance(item, Route) else "action"
        values[field] += f" {extra_text(item.extra)}"
    return values
