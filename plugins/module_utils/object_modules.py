# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same engine for one kind of object: what the modules ip_links, ip_routes, ip_rules and iptables_chains call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .declaration.objects import parse_chains, parse_links, parse_routes, parse_rules
from .declaration.ownership import read_comment, read_owner, read_prefix, read_protocol
from .engine import Result, Run, converge
from .errors import InputError
from .kernel.iptables.scratch import normalise, rule_path
from .kernel.reader import Scope
from .state import Chain, ChainSet, Link, Node, NodeState, Ownership
from .state.chain import ChainSetKey
from .state.family import FAMILIES

Parameters = Mapping[str, Any]
POOLS = Ownership()  # what pool_routing knows its own by
USUAL_PROTOCOL = 78


def converge_links(parameters: Parameters, run: Run) -> Result:
    """Make or remove links that carry the alias ``owner``."""
    wanted = parse_links(parameters["links"])
    ownership = Ownership(alias=read_owner("owner", parameters["owner"], POOLS.alias))

    def check(node: Node) -> None:
        if parameters["state"] == "present":
            _refuse_macvlans_on_macvlans(wanted, node)

    return _converge_kind("links", wanted, ownership, parameters, run, check)


def _refuse_macvlans_on_macvlans(links: Sequence[Link], node: Node) -> None:
    """Refuse a parent that would not be the parent: the kernel puts a macvlan on the link below the one that is named."""
    below = {name: one.parent for name, one in node.interfaces.items() if one.kind in ("macvlan", "macvtap")}
    below.update({link.name: link.parent for link in links if link.kind == "macvlan"})
    for number, link in enumerate(links):
        if link.kind == "macvlan" and link.parent in below:
            problem = f"{link.parent} is a macvlan itself, and the kernel puts another one beside it, on the link below"
            remedy = f"Name {below[link.parent] or 'that link'}."
            raise InputError(f"links[{number}].parent", problem, remedy)


def converge_routes(parameters: Parameters, run: Run) -> Result:
    """Make or remove routes of the protocol number."""
    wanted = parse_routes(parameters["routes"])
    return _converge_kind("routes", wanted, _by_protocol(parameters), parameters, run)


def converge_rules(parameters: Parameters, run: Run) -> Result:
    """Make or remove rules of the protocol number."""
    wanted = parse_rules(parameters["rules"])
    return _converge_kind("rules", wanted, _by_protocol(parameters), parameters, run)


def _by_protocol(parameters: Parameters) -> Ownership:
    return Ownership(protocol=read_protocol("protocol", parameters["protocol"], USUAL_PROTOCOL, POOLS.protocol))


def _converge_kind(
    kind: str,
    wanted: Iterable[Any],
    ownership: Ownership,
    parameters: Parameters,
    run: Run,
    check: Callable[[Node], object] = lambda _node: None,
) -> Result:
    by_key = {item.key: item for item in wanted}

    def desire(node: Node) -> NodeState:
        check(node)
        managed = getattr(node.managed, kind)
        return replace(node.managed, **{kind: frozenset(_merge(managed, by_key, parameters))})

    return converge(Scope(ownership, kinds=frozenset({kind})), desire, run)


def _merge(managed: Iterable[Any], wanted: Mapping[Any, Any], parameters: Parameters) -> Iterable[Any]:
    """Return what should be there: with purge exactly what is wanted, otherwise what is ours with the wanted changed."""
    kept = () if parameters.get("purge") else tuple(item for item in managed if item.key not in wanted)
    return kept if parameters["state"] == "absent" else (*kept, *wanted.values())


def converge_chains(parameters: Parameters, run: Run) -> Result:
    """Make or remove chains whose names begin with ``prefix``."""
    prefix = read_prefix("prefix", parameters["prefix"], POOLS.chain_prefix)
    ownership = Ownership(chain_prefix=prefix, comment=read_comment("comment", parameters["comment"]))
    listed = parse_chains(parameters["chains"], prefix)
    wanted = {item.key: item for item in listed}

    def path_of(number: int, rule: int) -> str:
        return rule_path(listed.index(tuple(wanted.values())[number]), rule)

    def desire(node: Node) -> NodeState:
        if parameters["state"] == "present":
            _refuse_missing_families(listed, node)
        managed = {item.key: item for item in node.managed.chains}
        sets = {
            family: managed.get(ChainSetKey(node.variant, family), ChainSet(node.variant, family))
            for family in FAMILIES
        }
        canonical = normalise(tuple(wanted.values()), node.variant, sets.values(), ownership, path_of)
        chains = {item.key: item for item in canonical}
        merged = {
            family: ChainSet(
                node.variant,
                family,
                frozenset(
                    _merge(
                        present.chains, {key: item for key, item in chains.items() if item.family == family}, parameters
                    )
                ),
            )
            for family, present in sets.items()
        }
        elsewhere = (item for item in node.managed.chains if item.variant != node.variant)
        return replace(node.managed, chains=frozenset((*merged.values(), *elsewhere)))

    return converge(Scope(ownership, parameters["iptables_variant"], kinds=frozenset({"chains"})), desire, run)


def _refuse_missing_families(chains: Iterable[Chain], node: Node) -> None:
    """Refuse chains that could not be read again: the program may write them even where the kernel has no such family."""
    for number, item in enumerate(chains):
        if item.family not in node.iptables_families:
            problem = f"this node has no {item.family} in iptables: the kernel or the program is without it"
            raise InputError(f"chains[{number}].family", problem, "Leave the chain out here.")
