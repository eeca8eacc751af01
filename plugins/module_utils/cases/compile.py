# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiles the whole declaration into the desired state of one node."""

from __future__ import annotations

from dataclasses import replace

from ..declaration.model import Declaration
from ..paths import PROTOCOL_FILE
from ..state import File, Node, NodeState
from ..state.node import PROTOCOL_NAME
from .chains import compile_chains
from .choice import choose_all
from .compilers import COMPILERS
from .context import Context
from .groups import form_groups
from .model import Compiled
from .refusals import refuse
from .refusals.diverted import diverted_traffic
from .refusals.groups import group_refusals
from .refusals.marks import mark_refusals
from .refusals.node import node_refusals
from .refusals.pools import choice_refusals, pool_refusals
from .warnings import bypassed_marks, find_warnings, untracked_services


def compile_node(declaration: Declaration, node: Node) -> Compiled:
    """Return the desired state of the node, and the case of each pool with its reason.

    Pure: the same declaration and node give the same result.

    :raises InputErrors: the declaration does not fit the node, would cut it off, or claims foreign objects.
    :raises InputError: ``mark_mask`` has too few values.
    """
    context = Context(declaration, node)
    refuse((*node_refusals(context), *pool_refusals(context)))
    choices = choose_all(context)
    refuse(choice_refusals(choices))
    groups = form_groups(choices, context)
    refuse((*mark_refusals(groups, (), context), *group_refusals(groups, context), *diverted_traffic(groups, context)))
    compiled = tuple(COMPILERS[group.case](group, context) for group in groups)
    chains = NodeState(chains=compile_chains(compiled, context))
    state = NodeState.union((*(group.state for group in compiled), chains))
    if state.routes or state.rules:
        protocol_name = File(PROTOCOL_FILE, f"{declaration.settings.protocol} {PROTOCOL_NAME}\n")
        state = replace(state, files=frozenset({protocol_name}))
    warnings = (
        *find_warnings(choices, groups, context),
        *bypassed_marks(compiled, node),
        *untracked_services(compiled, context),
        *(warning for group in compiled for warning in group.warnings),
    )
    return Compiled(state, choices, groups, tuple(dict.fromkeys(warnings)))
