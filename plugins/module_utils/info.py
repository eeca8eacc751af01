# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a node as plain data, for the module routing_info."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from .engine import Result, Run
from .kernel.reader import Scope, read_node
from .state import Ownership
from .state.chain import native_words
from .state.extra_attributes import desired_fields, extra_text


def read_info(parameters: Mapping[str, Any], run: Run) -> Result:
    """Return the managed objects of the node and the facts that decide about its pools; changes nothing."""
    scope = Scope(Ownership(protocol=parameters["protocol"]), parameters["iptables_variant"])
    node = read_node(scope, run.pyroute2_path)
    managed = node.managed
    chains = [
        {"variant": chains.variant, **asdict(chain)}
        for chains in sorted(managed.chains, key=lambda item: item.key)
        for chain in sorted(chains.chains)
    ]
    return {
        "changed": False,
        "links": _plain(managed.links),
        "addresses": _plain(managed.addresses),
        "sysctls": [{**item, "original": node.originals.get(item["name"], "")} for item in _plain(managed.sysctls)],
        "routes": _with_extra(managed.routes, "type"),
        "rules": _with_extra(managed.rules, "action"),
        "chains": chains,
        "hidden_chains": [native_words(family, table) for family, table in sorted(node.iptables_hidden)],
        "kube_proxy": asdict(node.kube_proxy),
        "iptables_variant": node.variant,
        "ssh_peer": node.ssh_peer,
        "ssh_interface": node.ssh_interface,
        "api_servers": list(node.api_servers),
    }


def _plain(items: Iterable[Any]) -> list[dict[str, Any]]:
    return [asdict(item) for item in sorted(items)]


def _with_extra(items: Iterable[Any], field: str) -> list[dict[str, Any]]:
    """Return routes or rules, with their extra attributes appended to one of the fields."""
    plain = []
    for item in sorted(items):
        values = {part.name: getattr(item, part.name) for part in desired_fields(item)}
        plain.append({**values, field: " ".join(filter(None, (values[field], extra_text(item.extra))))})
    return plain
