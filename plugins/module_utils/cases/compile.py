# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole declaration, compiled into the state of one node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..declaration.model import Declaration, Pool
from ..errors import InputError
from ..paths import PROTOCOL_FILE
from ..state import File, Node, NodeState
from ..state.node import PROTOCOL_NAME
from . import onlink_route, policy_routing, same_subnet, source_routing
from .chains import compile_chains
from .choice import Attached, attached_interfaces, choose
from .diverted import misled
from .facts import effective_mode
from .groups import form_groups
from .model import Choice, Compiled, Group, Needs
from .refusals import after_grouping, before_choosing, dropped_by_choice, refuse
from .warnings import accepted_early, warnings


def compile_node(declaration: Declaration, node: Node) -> Compiled:
    """Return what this node should have for the declaration, which case each pool is and why.

    Pure: the same declaration and node give the same result.

    :raises InputErrors: what is declared would cut the node off, does not fit it, or takes what is not ours.
    """
    refuse(before_choosing(declaration, node))
    attached = attached_interfaces(node)
    choices = _choose_all(declaration.pools, node, attached)
    refuse(dropped_by_choice(choices))
    groups = form_groups(choices, declaration, node)
    refuse((*after_grouping(groups, node), *misled(choices, groups, declaration, node, attached)))
    needs = tuple(_needs(choices, groups, declaration, node, attached))
    chains = compile_chains(
        node.variant,
        (marking for need in needs for marking in need.markings),
        (guarding for need in needs for guarding in need.guardings),
        declaration.cluster,
        declaration.settings,
    )
    state = NodeState.union((*(need.state for need in needs), NodeState(chains=chains)))
    if state.routes or state.rules:
        name = File(PROTOCOL_FILE, f"{declaration.settings.protocol} {PROTOCOL_NAME}\n")
        state = replace(state, files=frozenset({name}))
    told = (
        *warnings(declaration, choices, groups, node, attached),
        *accepted_early(needs, node),
        *(warning for need in needs for warning in need.warnings),
    )
    return Compiled(state, choices, groups, tuple(dict.fromkeys(told)))


def _choose_all(pools: Iterable[Pool], node: Node, attached: Attached) -> tuple[Choice, ...]:
    choices, errors = [], []
    for pool in pools:
        try:
            choices.append(choose(pool, node, attached))
        except InputError as error:
            errors.append(error)
    refuse(errors)
    return tuple(choices)


def _needs(
    choices: Iterable[Choice], groups: Iterable[Group], declaration: Declaration, node: Node, attached: Attached
) -> Iterable[Needs]:
    mode = effective_mode(declaration, node)
    for choice in choices:
        if choice.case == "same_subnet":
            yield same_subnet.compile_pool(choice, node, mode)
        elif choice.case == "onlink_route":
            yield onlink_route.compile_pool(choice, node, mode, attached)
    by_case = {"source_routing": source_routing, "policy_routing": policy_routing}
    for group in groups:
        yield by_case[group.case].compile_group(group, declaration, node, mode)
