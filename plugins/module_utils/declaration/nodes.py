# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses of the cluster's nodes that the controller found out, and those that only an earlier run knew."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import InputError, InputErrors
from ..state.family import FAMILIES, family_of
from .model import Declaration
from .parse import parse_declaration
from .values import is_unset, printable

_INDEXED = re.compile(r"cluster\.node_addresses\[(\d+)\]")

AddressesByNode = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Nodes:
    """What is known about the nodes.

    :param addresses: by the name of the node.
    :param unknown: for each family the nodes of which it is not known whether they have an address, with the reason.
    :param kept: the part of ``addresses`` that only an earlier run knew.
    """

    addresses: AddressesByNode
    unknown: Mapping[str, Mapping[str, str]]
    kept: AddressesByNode = field(default_factory=dict)

    def all_addresses(self) -> list[str]:
        """Return the addresses of all nodes, without duplicates."""
        return list(dict.fromkeys(address for addresses in self.addresses.values() for address in addresses))


def parse_with_nodes(parameters: Mapping[str, Any], earlier: AddressesByNode) -> tuple[Declaration, Nodes]:
    """Return the declaration with the addresses of the nodes, and the nodes.

    :param parameters: of pool_routing.
    :param earlier: the addresses by node of the run before, for nodes of which nothing is known now.
    :raises InputErrors: see :func:`parse_declaration`.
    """
    found = _read_nodes(parameters)
    if found is None:
        declaration = parse_declaration(parameters)
        return declaration, Nodes({"": declaration.cluster.node_addresses}, {})
    nodes = _completed(found, earlier)
    cluster = {**(parameters.get("cluster") or {}), "node_addresses": nodes.all_addresses()}
    with named_nodes(nodes):
        declaration = parse_declaration({**parameters, "cluster": cluster})
    return replace(declaration, finds_nodes=True), nodes


@contextmanager
def named_nodes(nodes: Nodes) -> Iterator[None]:
    """Let errors about addresses that were found name the node, instead of an option that nobody wrote.

    :raises InputErrors: those raised in the block, with other paths.
    """
    try:
        yield
    except InputError as error:
        if "" in nodes.addresses:  # they are declared
            raise
        errors = error.errors if isinstance(error, InputErrors) else (error,)
        raise InputErrors(tuple(_with_node(one, nodes) for one in errors)) from error


def _with_node(error: InputError, nodes: Nodes) -> InputError:
    owners = {address: node for node, addresses in nodes.addresses.items() for address in addresses}
    order = nodes.all_addresses()

    def name(found: re.Match[str]) -> str:
        return f"nodes.{owners[order[int(found.group(1))]]}"

    path, problem = (_INDEXED.sub(name, text) for text in (error.path, error.problem))
    address = problem.partition(" ")[0]
    if path == "cluster.node_addresses" and address in owners:
        path = f"nodes.{owners[address]}"
    if not path.startswith("nodes."):
        return InputError(path, problem, error.remedy)
    host = path.partition(".")[2]
    return InputError(path, problem, f"{error.remedy} Set ip and ip6 of {host}, or declare cluster.node_addresses.")


def _read_nodes(parameters: Mapping[str, Any]) -> Nodes | None:
    """Return the nodes of the parameters; None if they are not given, or if the cluster's addresses are declared.

    :param parameters: of pool_routing. The controller replaces the pattern in ``nodes`` by JSON.
    :raises InputError: it did not.
    """
    value, cluster = parameters.get("nodes"), parameters.get("cluster")
    if is_unset(value) or (isinstance(cluster, Mapping) and not is_unset(cluster.get("node_addresses"))):
        return None
    try:
        content = json.loads(str(value))
        unknown = {family: dict(content["unknown"].get(family, {})) for family in FAMILIES}
        return Nodes({str(node): list(listed) for node, listed in content["addresses"].items()}, unknown)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        problem = f"{printable(value)} was not replaced by addresses on the controller"
        raise InputError("nodes", problem, "Declare cluster.node_addresses instead.") from error


def _completed(nodes: Nodes, earlier: AddressesByNode) -> Nodes:
    """Return the nodes with addresses of an earlier run, for nodes and families of which nothing is known now."""
    kept: dict[str, list[str]] = {}
    unknown: dict[str, dict[str, str]] = {}
    for family, reasons in nodes.unknown.items():
        unknown[family] = {}
        for node, reason in reasons.items():
            found = [address for address in earlier.get(node, ()) if family_of(address) == family]
            if found:
                kept.setdefault(node, []).extend(found)
            else:
                unknown[family][node] = reason
    addresses = {node: [*listed, *kept.get(node, ())] for node, listed in nodes.addresses.items()}
    return Nodes(addresses, unknown, kept)
