# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of the data, from a module's parameters to its result; every module is one call of a function here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from .agent import bundle
from .cases.compile import compile_node
from .cases.links import settings_to_read
from .cases.model import Compiled
from .cases.warnings import at_removal
from .declaration import parse_declaration
from .declaration.settings import check_keeping
from .errors import BetweenStates, HomewardError
from .kernel.iptables.scratch import normalise
from .kernel.iptables.tables import require_extensions
from .kernel.lock import write_lock
from .kernel.reader import ALL_KINDS, Scope, read_node
from .kernel.writer import require_kinds
from .paths import UNIT_NAME
from .persistence.deploy import MANAGED_FILES, Kept, keep, kept_pools, outdated_metrics
from .persistence.statefile import Saved
from .planning.commands import commands
from .planning.diff import diff
from .planning.plan import Plan, make_plan
from .rollback import Unconfirmed, confirm_earlier, unless_confirmed, withdraw
from .state import Chain, Node, NodeState, Ownership
from .state.node import PROTOCOL_FILE
from .state.step import Step
from .transaction import carry_out, go_back, undisturbed

Result = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """How a module was called.

    :param check: find out what would change, and write nothing.
    :param want_diff: the user asked for the difference.
    :param confirm_timeout: seconds after which a change is taken back that nobody confirms; 0 waits for nobody.
    """

    check: bool = False
    want_diff: bool = False
    pyroute2_path: str = ""
    confirm_timeout: int = 0


def converge_pools(parameters: Mapping[str, Any], run: Run) -> Result:
    """Make the node right for all its pools, or free of everything of ours (``state: absent``)."""
    check_keeping(parameters)
    present = parameters["state"] == "present"
    # What is removed does not depend on the pools, so a mistake in them must not keep anyone from removing.
    declaration = parse_declaration(parameters if present else {**parameters, "pools": None, "cluster": None})
    settings = declaration.settings
    metrics_directory = str(parameters.get("metrics_directory") or "") if present and parameters["persist"] else ""
    scope = Scope(
        Ownership(protocol=settings.protocol),
        settings.iptables_variant,
        settings_to_read(declaration),
        (PROTOCOL_FILE, *MANAGED_FILES, *outdated_metrics(metrics_directory)),
        (UNIT_NAME,),
    )
    compiled = Compiled(NodeState())
    kept = Kept()
    earlier = kept_pools() if present else ()

    def desire(node: Node) -> NodeState:
        nonlocal compiled, kept
        if not present:
            compiled = replace(compiled, warnings=tuple(at_removal(node)))
            return NodeState()
        compiled = compile_node(declaration, node)
        compiled = replace(compiled, state=_as_printed(compiled.state, node, scope.ownership))
        if parameters["persist"] and not compiled.state.is_empty:
            kept = keep(_saved(compiled, scope, node, parameters), node, bundle.program())
        return NodeState.union((compiled.state, kept.state))

    result = converge(scope, desire, run)
    warnings = [*_no_longer_declared(earlier, compiled), *compiled.warnings, *kept.warnings, *result["warnings"]]
    return {**result, "cases": _cases(compiled), "warnings": warnings}


def _no_longer_declared(earlier: Sequence[str], compiled: Compiled) -> list[str]:
    """Return a warning of pools that the node had and that this declaration leaves out.

    Nobody means that who runs two roles with pools of their own one after the other.
    """
    gone = sorted(set(earlier) - {choice.pool.name for choice in compiled.choices})
    if not gone:
        return []
    words = (
        f"pools: {', '.join(gone)} served by this node until now, not declared any more, and so taken away. A node has all"
        " its pools from one call: where another role or task declared them, declare them together."
    )
    return [words]


def _as_printed(wanted: NodeState, node: Node, ownership: Ownership) -> NodeState:
    """Return the state with its chains as this node's iptables prints them, where that is not what we would print.

    Versions differ in how they print a rule; without this a difference in spelling would be mended on every run.
    """
    present = {chain.key: chain for chains in node.managed.chains for chain in chains.chains}
    sets = set()
    for chains in wanted.chains:
        changed = tuple(chain for chain in chains.chains if present.get(chain.key, chain).rules != chain.rules)
        # A rule may lead to a chain that is yet to be made.
        names = replace(chains, chains=frozenset(replace(chain, rules=()) for chain in chains.chains))
        printed = (
            normalise(changed, chains.variant, (*node.managed.chains, names), ownership, _place_in(changed))
            if changed
            else ()
        )
        sets.add(replace(chains, chains=(chains.chains - set(changed)) | set(printed)))
    return replace(wanted, chains=frozenset(sets))


def _place_in(chains: Sequence[Chain]) -> Callable[[int, int], str]:
    """Return how to name a rule of these chains, which no user wrote."""
    return lambda chain, rule: f"pools: the rule {chains[chain].rules[rule]!r} of {chains[chain]}"


def _saved(compiled: Compiled, scope: Scope, node: Node, parameters: Mapping[str, Any]) -> Saved:
    return Saved(
        state=replace(compiled.state, files=frozenset()),
        ownership=scope.ownership,
        variant=node.variant,
        cases=tuple(_cases(compiled)),
        pyroute2_path=str(parameters["pyroute2_path"]).partition(os.pathsep)[0],
        metrics_directory=str(parameters.get("metrics_directory") or ""),
    )


def converge(scope: Scope, desire: Callable[[Node], NodeState], run: Run) -> Result:
    """Read once, plan once, write once; return what every module returns.

    :param desire: what the node should have of ours, given what it has.
    """
    unconfirmed = None
    with nullcontext() if run.check else write_lock():
        node = read_node(scope, run.pyroute2_path)
        plan = make_plan(desire(node), node)
        require_kinds(plan.steps, run.pyroute2_path)
        require_extensions(plan.steps, scope.ownership)
        if plan.steps and not run.check:
            unconfirmed = _change(plan.steps, node.managed, scope, run)
        if not run.check:
            confirm_earlier(unconfirmed, all_of_ours=scope.kinds == ALL_KINDS)
    return {**_result(plan, node, scope, run), **({"unconfirmed": asdict(unconfirmed)} if unconfirmed else {})}


def _change(steps: Sequence[Step], before: NodeState, scope: Scope, run: Run) -> Unconfirmed | None:
    """Carry the steps out; return what to confirm, if a confirmation is asked for.

    What would take the change back is there before the first step, so not even a run that is killed leaves half of it.
    """
    if not run.confirm_timeout:
        carry_out(steps, before, scope, run.pyroute2_path)
        return None
    take_back = partial(_take_back, before, scope, run.pyroute2_path)
    with undisturbed(), unless_confirmed(run.confirm_timeout, take_back) as unconfirmed:
        try:
            carry_out(steps, before, scope, run.pyroute2_path)
        except BetweenStates as error:
            raise BetweenStates(
                f"{error} Unless a run mends it before, the node tries again by itself {run.confirm_timeout} s from now."
            ) from error
        except HomewardError:
            withdraw(unconfirmed)  # undone already
            raise
    return unconfirmed


def _take_back(before: NodeState, scope: Scope, pyroute2_path: str, decision: AbstractContextManager[bool]) -> None:
    """Make the node as it was, if that is still wanted once nobody else writes."""
    with write_lock(), decision as wanted:
        if wanted:
            go_back(before, scope, pyroute2_path)


def _result(plan: Plan, node: Node, scope: Scope, run: Run) -> Result:
    result: Result = {
        "changed": bool(plan.steps),
        "commands": commands(plan.steps, scope.ownership, node.originals, node.default_variant),
        "warnings": [f"{item}: is there already, made by someone else, and stays theirs." for item in plan.satisfied],
    }
    if run.want_diff:
        result["diff"] = diff(plan.steps)
    return result


def _cases(compiled: Compiled) -> list[Result]:
    groups = {pool.path: group for group in compiled.groups for pool in group.pools}
    cases = []
    for choice in compiled.choices:
        case: Result = {
            "pool": choice.pool.name,
            "case": choice.case,
            "reason": choice.reason,
            "interface": choice.pool.interface,
        }
        group = groups.get(choice.pool.path)
        if group:
            case.update(table=group.table, mark=group.mark, dedicated=not group.shared)
        cases.append(case)
    return cases
