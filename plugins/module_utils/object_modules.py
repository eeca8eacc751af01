# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The flow of the modules for one kind of object: ip_links, ip_routes, ip_rules and iptables_chains."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .declaration.objects import parse_chains, parse_links, parse_routes, parse_rules
from .declaration.ownership import read_comment, read_owner, read_prefix, read_protocol
from .engine import Result, Run, apply, module_result, reading
from .errors import InputError, NodeError
from .kernel.iptables.scratch import normalise, rule_path
from .kernel.reader import Scope
from .planning.plan import make_plan
from .state import Chain, ChainSet, Link, Node, Ownership, Route
from .state.chain import ChainSetKey
from .state.family import FAMILIES
from .state.kinds import CHAINS, LINK, ROUTE, RULE, Kind
from .state.route_selection import routes_to

Parameters = Mapping[str, Any]
POOLS = Ownership()  # what marks the objects of pool_routing
DEFAULT_PROTOCOL = 78


def converge_links(parameters: Parameters, run: Run) -> Result:
    """Create or remove links with the alias ``owner``."""
    links = parse_links(parameters["links"])
    ownership = Ownership(alias=read_owner("owner", parameters["owner"], POOLS.alias))

    def check(current: Node) -> None:
        if parameters["state"] == "present":
            _refuse_macvlans_on_macvlans(links, current)

    return _converge_kind(LINK, links, ownership, parameters, run, check)


def _refuse_macvlans_on_macvlans(links: Sequence[Link], current: Node) -> None:
    """Refuse a macvlan as the parent of another: the kernel would create it on the parent of the first."""
    parents = {name: one.parent for name, one in current.interfaces.items() if one.kind in ("macvlan", "macvtap")}
    parents.update({link.name: link.parent for link in links if link.kind == "macvlan"})
    for index, link in enumerate(links):
        if link.kind == "macvlan" and link.parent in parents:
            problem = f"{link.parent} is a macvlan, and the kernel would create this link on the parent of {link.parent} instead"
            remedy = f"Use {parents[link.parent] or 'that parent'}."
            raise InputError(f"links[{index}].parent", problem, remedy)


def converge_routes(parameters: Parameters, run: Run) -> Result:
    """Add or remove routes with the protocol number ``protocol``."""
    routes = parse_routes(parameters["routes"])
    return _converge_kind(ROUTE, routes, _by_protocol(parameters), parameters, run)


def converge_rules(parameters: Parameters, run: Run) -> Result:
    """Add or remove rules with the protocol number ``protocol``."""
    rules = parse_rules(parameters["rules"])
    return _converge_kind(RULE, rules, _by_protocol(parameters), parameters, run)


def _by_protocol(parameters: Parameters) -> Ownership:
    return Ownership(protocol=read_protocol("protocol", parameters["protocol"], DEFAULT_PROTOCOL, POOLS.protocol))


def _converge_kind(
    kind: Kind,
    items: Sequence[Any],
    ownership: Ownership,
    parameters: Parameters,
    run: Run,
    check: Callable[[Node], None] = lambda _current: None,
) -> Result:
    """Converge objects of one kind.

    :param items: the declared objects, in the order of the input.
    :param check: raises ``InputError`` for what does not fit the node.
    """
    declared = {item.key: item for item in items}
    scope = Scope(
        ownership,
        kinds=frozenset({kind.plural}),
        routes=routes_to(one for one in items if isinstance(one, Route)),
        facts=False,
    )
    with reading(scope, run) as current:
        check(current)
        objects_of_kind = _merge(current.managed.of(kind), declared, parameters)
        plan = make_plan(replace(current.managed, **{kind.plural: objects_of_kind}), current)
        warnings: list[str] = []
        pending = apply(plan, current, scope, run, warnings.append)
    return module_result(plan, current, scope, run, pending, warnings)


def _merge(managed: Iterable[Any], declared: Mapping[Any, Any], parameters: Parameters) -> frozenset[Any]:
    """Return the desired objects: the managed ones, unless they are purged, with the declared ones added or removed."""
    others = () if parameters.get("purge") else tuple(item for item in managed if item.key not in declared)
    return frozenset(others if parameters["state"] == "absent" else (*others, *declared.values()))


def converge_chains(parameters: Parameters, run: Run) -> Result:
    """Create or remove chains whose names start with ``prefix``."""
    prefix = read_prefix("prefix", parameters["prefix"], POOLS.chain_prefix)
    ownership = Ownership(chain_prefix=prefix, comment=read_comment("comment", parameters["comment"]))
    listed = parse_chains(parameters["chains"], prefix)
    scope = Scope(ownership, parameters["iptables_variant"], kinds=frozenset({CHAINS.plural}), facts=False)
    with reading(scope, run) as current:
        if current.iptables_problem:
            raise NodeError(f"Chains cannot be managed: {current.iptables_problem}. Nothing was changed.")
        if parameters["state"] == "present":
            _refuse_missing_families(listed, current)
        desired = replace(current.managed, chains=_desired_chains(listed, current, ownership, parameters))
        plan = make_plan(desired, current)
        warnings: list[str] = []
        pending = apply(plan, current, scope, run, warnings.append)
    return module_result(plan, current, scope, run, pending, warnings)


def _desired_chains(
    listed: Sequence[Chain], current: Node, ownership: Ownership, parameters: Parameters
) -> frozenset[ChainSet]:
    """Return the desired chains as iptables prints them; those of the variant that is not in use stay as they are."""
    managed = {chains.key: chains for chains in current.managed.chains}
    sets = [managed.get(ChainSetKey(current.variant, family), ChainSet(current.variant, family)) for family in FAMILIES]
    distinct = tuple(dict.fromkeys(listed))

    def path_of(chain: int, rule: int) -> str:
        return rule_path(listed.index(distinct[chain]), rule)

    declared = normalise(distinct, current.variant, sets, ownership, path_of)
    desired = (
        ChainSet(
            chains.variant,
            chains.family,
            _merge(chains.chains, {item.key: item for item in declared if item.family == chains.family}, parameters),
        )
        for chains in sets
    )
    other_variant = (chains for chains in current.managed.chains if chains.variant != current.variant)
    return frozenset((*desired, *other_variant))


def _refuse_missing_families(chains: Iterable[Chain], current: Node) -> None:
    """Refuse chains that could not be read back: the program may write them even if the kernel lacks the family."""
    for index, item in enumerate(chains):
        if item.family not in current.iptables_families:
            problem = f"this node has no iptables for {item.family}: the kernel or the program does not support it"
            raise InputError(f"chains[{index}].family", problem, "Leave the chain out on this node.")
