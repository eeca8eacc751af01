# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the parameters of a module to its result: read the node, compute what is desired, plan, apply."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

# First: it explains why an older Python fails.
from . import supported, transaction  # noqa: F401  # pylint: disable=unused-import
from .agent import bundle
from .cases.compile import compile_node
from .cases.context import Context
from .cases.links import settings_to_read
from .cases.listing import listed_cases, saved_cases
from .cases.model import Compiled
from .cases.needed_routes import needed_routes
from .cases.refusals import refuse
from .cases.refusals.marks import mark_refusals, unmasked_marks
from .cases.unaffected import unaffected_packets
from .cases.warnings import families_with_default_route, node_address_warnings, removal_warnings
from .declaration import Settings, parse_settings
from .declaration.nodes import Nodes, named_nodes, parse_with_nodes
from .declaration.settings import check_run_options
from .errors import HomewardError, NodeError, RollbackFailed
from .kernel import foreign_marks, source_filters
from .kernel.iptables import programs
from .kernel.iptables.restore import require_extensions
from .kernel.iptables.scratch import normalise
from .kernel.iptables.unlocked import chains_before_lock
from .kernel.lock import WAIT, write_lock
from .kernel.reader import ALL_KINDS, Scope, read_node
from .kernel.speaker import remember
from .kernel.systemd import systemd_runs
from .kernel.writer import require_link_types
from .paths import CHANGE_SCRIPT, FORMATS_FILE, PROTOCOL_FILE, UNIT_NAME
from .pending import PendingChange, await_decisions, awaiting_decision, cancel, confirm_earlier, folder_of
from .persistence import change
from .persistence.deploy import (
    MANAGED_FILES,
    Persisted,
    files_of_managers,
    kept_tables,
    persist,
    persisted,
    stale_metrics_files,
    with_optional_files,
)
from .persistence.statefile import Saved
from .planning.commands import commands
from .planning.diff import diff
from .planning.placement import place_rules
from .planning.plan import Plan, make_plan
from .rollback import unless_confirmed
from .state import Chain, Node, NodeState, Ownership
from .state.chain import POOL_TABLES
from .state.kinds import CHAINS, RULE
from .state.packet_filter import FilterChain
from .state.route_lookup import RouteQuestion
from .state.step import Step
from .verification import RoutedPools, Unaffected, Unmanaged, managed_links

Result = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """How a module was called.

    :param check: check mode: nothing is written.
    :param want_diff: diff mode.
    :param confirm_timeout: seconds after which an unconfirmed change is rolled back; 0 for a change that needs none.
    """

    check: bool = False
    want_diff: bool = False
    pyroute2_path: str = ""
    confirm_timeout: int = 0


def converge_pools(parameters: Mapping[str, Any], run: Run) -> Result:
    """Make the node route for its pools; with ``state: absent``, remove everything managed."""
    check_run_options(parameters)
    if parameters["state"] == "absent":
        return _remove_pools(parameters, run)
    earlier_pools, earlier_nodes = persisted()
    declaration, nodes = parse_with_nodes(parameters, earlier_nodes)
    metrics_directory = str(parameters.get("metrics_directory") or "") if parameters["persist"] else ""
    scope = _scope(declaration.settings, settings_to_read(declaration), metrics_directory)
    scope = replace(scope, routes=needed_routes(declaration))
    with named_nodes(nodes), reading(scope, run) as current:
        compiled = compile_node(declaration, current)
        _require_iptables(compiled.state, current)
        compiled = replace(compiled, state=_as_printed(compiled.state, current, scope.ownership))
        files = _persist(compiled, current, scope, parameters, nodes)
        placement = place_rules(compiled.state, current)
        desired = with_optional_files(NodeState.union((placement.state, files.state)), current)
        plan = make_plan(desired, current)
        context = Context(declaration, current)
        marks, filters = _check_marks(compiled, context, plan, scope.ownership)
        notes: list[str] = []
        pools = RoutedPools(
            placement.state,
            saved_cases(compiled),
            current,
            run.pyroute2_path,
            placement.obstacles,
            families_with_default_route(current),
            filters,
        )
        pending = apply(plan, current, scope, run, notes.append, unaffected_packets(context), pools)
    warnings = [
        *_removed_pools(earlier_pools, compiled),
        *node_address_warnings(nodes, earlier_nodes, declaration.families),
        *compiled.warnings,
        *marks,
        *placement.notes,
        *placement.problems,
        *map(str, pools.findings),
        *files.warnings,
        *notes,
        *managed_links(current.managed.links, desired.links, plan.steps, current.services),
    ]
    return {
        **module_result(plan, current, scope, run, pending, warnings),
        "cases": listed_cases(compiled),
        "node_addresses": {
            "declared": not declaration.finds_nodes,
            "families": declaration.families,
            "kept": dict(nodes.kept),
        },
    }


def _check_marks(
    compiled: Compiled, context: Context, plan: Plan, ownership: Ownership
) -> tuple[tuple[str, ...], tuple[FilterChain, ...]]:
    """Refuse marks that foreign rules use; return warnings, and the foreign chains that check the sources of packets.

    All rules are read only if managed ones are to be written.

    :raises InputErrors: the bits of ``mark_mask`` are not free on this node.
    """
    if not any(group.mark for group in compiled.groups):
        return (), ()
    thorough = any(step.kind in (CHAINS.name, RULE.name) for step in plan.steps)
    uses, checking = foreign_marks.read(context.declaration.settings.mark_mask, ownership, thorough=thorough)
    refuse(mark_refusals(compiled.groups, uses, context))
    filters = source_filters.read(checking, context.node.source_filters, ownership.chain_prefix)
    return tuple(unmasked_marks(compiled.groups, uses, context)), filters


def _remove_pools(parameters: Mapping[str, Any], run: Run) -> Result:
    """Remove everything managed. The pools are not read: an error in them must not prevent it."""
    scope = _scope(parse_settings(parameters), (), "")
    with reading(scope, run) as current:
        plan = make_plan(with_optional_files(NodeState(), current), current)
        warnings = list(removal_warnings(current))
        pending = apply(plan, current, scope, run, warnings.append)
        if not run.check:
            remember({})
    return {**module_result(plan, current, scope, run, pending, warnings), "cases": []}


@contextmanager
def reading(scope: Scope, run: Run) -> Iterator[Node]:
    """Yield the node as it is; it is locked for the whole block, except in check mode.

    The lock is not held while a program reads the chains: it may hang.
    """
    with ExitStack() as stack:
        iptables = None
        if not run.check and CHAINS.plural in scope.kinds:
            iptables = stack.enter_context(
                chains_before_lock(_lock_of_decided_node, scope.iptables_variant, scope.ownership, scope.tables)
            )
        elif not run.check:
            stack.enter_context(_lock_of_decided_node())
        yield read_node(scope, run.pyroute2_path, iptables)


@contextmanager
def _lock_of_decided_node() -> Iterator[None]:
    """Hold the lock while no change is left that another run has to decide, which needs the lock for it."""
    while True:
        await_decisions(WAIT)
        with write_lock():
            if not awaiting_decision():
                yield
                return


def apply(
    plan: Plan,
    current: Node,
    scope: Scope,
    run: Run,
    warn: Callable[[str], None],
    unaffected: Mapping[RouteQuestion, str] | None = None,
    pools: RoutedPools | None = None,
) -> PendingChange | None:
    """Refuse steps that the kernel does not support; except in check mode, apply the plan and confirm earlier changes.

    Call it in the block of :func:`reading`.

    :param warn: is called with what the user has to know after the change.
    :param unaffected: packets that the change must not divert, with their descriptions.
    :param pools: what the kernel is asked about the pools.
    :return: what the controller has to confirm, if anything.
    """
    pools = pools or RoutedPools()
    require_link_types(plan.steps, run.pyroute2_path)
    require_extensions(plan.steps, scope.ownership)
    if not plan.steps:
        pools.look()
    if run.check:
        return None
    whole_state = scope.kinds == ALL_KINDS
    pending = None
    if plan.steps:
        verify = _verification(plan.steps, current, run, warn, unaffected or {}, pools, whole_state=whole_state)
        pending = _change(plan.steps, current, scope, run, verify)
    confirm_earlier(pending, whole_state=whole_state)
    return pending


def _verification(
    steps: Sequence[Step],
    current: Node,
    run: Run,
    warn: Callable[[str], None],
    unaffected: Mapping[RouteQuestion, str],
    pools: RoutedPools,
    *,
    whole_state: bool,
) -> Callable[[], None]:
    """Return what raises an exception after the change if it must not stay; observe the node before it."""
    routes = Unaffected.observe(unaffected, run.pyroute2_path)
    pools.observe()
    # Links of single modules may be meant for a network manager.
    links = Unmanaged.after(steps, current.services, warn, required=whole_state)

    def verify() -> None:
        links.verify()
        routes.verify()
        pools.verify()

    return verify


def _change(
    steps: Sequence[Step], current: Node, scope: Scope, run: Run, verify: Callable[[], None]
) -> PendingChange | None:
    """Carry out the steps; return what is to be confirmed, if a confirmation is required.

    The rollback is prepared before the first step, so even a run that is killed leaves no partial change.
    """
    if not run.confirm_timeout:
        transaction.apply(steps, current.managed, scope, run.pyroute2_path, verify)
        return None
    roll_back = partial(transaction.roll_back_unconfirmed, current.managed, scope, run.pyroute2_path)
    now, later = change.split(steps, current)
    prepare = partial(_prepare, change.Change(current.managed, scope, later), run)
    with transaction.signals_blocked(), unless_confirmed(run.confirm_timeout, roll_back, prepare) as pending:
        try:
            transaction.apply(now, current.managed, scope, run.pyroute2_path, verify)
        except RollbackFailed as error:
            raise RollbackFailed(
                f"{error} The node retries the rollback in {run.confirm_timeout} s, unless a run succeeds first."
            ) from error
        except HomewardError:
            cancel(pending)  # it is rolled back already
            raise
    return pending


def _prepare(prepared: change.Change, run: Run, name: str) -> tuple[str, bool]:
    """Let another process commit the change or roll it back, where systemd runs or the change needs a commit.

    :return: the command line of the commit, and whether systemd will roll back.
    """
    if not prepared.later and not systemd_runs():
        return "", False
    folder = folder_of(name)
    program = bundle.program(run.pyroute2_path, prepared.checkpoint.files)
    armed = change.prepare(prepared, program, folder, name, run.confirm_timeout)
    return f"/bin/sh {folder}/{CHANGE_SCRIPT} commit {name}", armed


def module_result(
    plan: Plan,
    current: Node,
    scope: Scope,
    run: Run,
    pending: PendingChange | None,
    warnings: Sequence[str] = (),
) -> Result:
    """Return what every module returns."""
    foreign = [f"{item}: already exists and is managed by someone else; left unchanged." for item in plan.satisfied]
    return {
        "changed": bool(plan.steps),
        "commands": commands(plan.steps, scope.ownership, current.originals, current.default_variant),
        "warnings": [*warnings, *foreign],
        **({"diff": diff(plan.steps)} if run.want_diff else {}),
        **({"unconfirmed": asdict(pending)} if pending else {}),
    }


def _scope(settings: Settings, sysctls: tuple[str, ...], metrics_directory: str) -> Scope:
    """Return the scope of a run for pools: everything that the collection may have on the node.

    :param metrics_directory: the desired one; ``""`` for none.
    """
    return Scope(
        Ownership(protocol=settings.protocol),
        settings.iptables_variant,
        sysctls,
        (PROTOCOL_FILE, *MANAGED_FILES, *stale_metrics_files(metrics_directory)),
        (UNIT_NAME,),
        tables=POOL_TABLES,
        forwarding=bool(sysctls),
    )


def _require_iptables(desired: NodeState, current: Node) -> None:
    """Refuse chains on a node without iptables; everything else works without it."""
    if current.iptables_problem and any(chains.chains for chains in desired.chains):
        raise NodeError(f"The pools need chains of iptables, but {current.iptables_problem}. Nothing was changed.")


def _as_printed(desired: NodeState, current: Node, ownership: Ownership) -> NodeState:
    """Return the state with the rules of its chains as the iptables of this node prints them.

    Versions print the same rule differently; without this, every run would change such rules.
    """
    existing = {chain.key: chain for chains in current.managed.chains for chain in chains.chains}
    sets = set()
    for chains in desired.chains:
        changed = tuple(chain for chain in chains.chains if existing.get(chain.key, chain).rules != chain.rules)
        # A rule may lead to a chain that does not exist yet.
        names = replace(chains, chains=frozenset(replace(chain, rules=()) for chain in chains.chains))
        printed = (
            normalise(changed, chains.variant, (*current.managed.chains, names), ownership, _path_in(changed))
            if changed
            else ()
        )
        sets.add(replace(chains, chains=(chains.chains - set(changed)) | set(printed)))
    return replace(desired, chains=frozenset(sets))


def _path_in(chains: Sequence[Chain]) -> Callable[[int, int], str]:
    """Return a function that names a rule of these chains in messages; no user wrote it, so it has no input path."""
    return lambda chain, rule: f"pools: the rule {chains[chain].rules[rule]!r} of {chains[chain]}"


def _persist(compiled: Compiled, current: Node, scope: Scope, parameters: Mapping[str, Any], nodes: Nodes) -> Persisted:
    """Return the files and the unit with which the compiled state survives a reboot; nothing without ``persist``."""
    if compiled.state.is_empty:
        return Persisted()
    program = bundle.program(str(parameters["pyroute2_path"]), current.managed.files)
    if not parameters["persist"]:
        volatile = files_of_managers(compiled.state, current, persistent=False)
        return Persisted(NodeState.union((kept_tables(program), NodeState(files=frozenset(volatile)))))
    saved = Saved(
        state=replace(compiled.state, files=frozenset()),
        ownership=scope.ownership,
        variant=current.variant,
        cases=saved_cases(compiled),
        pyroute2_path=FORMATS_FILE,
        metrics_directory=str(parameters.get("metrics_directory") or ""),
        nodes=nodes.addresses,
        program_directories=programs.unusual_directories(current.variant) if compiled.state.chains else (),
    )
    return persist(saved, current, program)


def _removed_pools(earlier: Sequence[str], compiled: Compiled) -> list[str]:
    """Return a warning about pools that the node served before this run and that are not declared now.

    It is for users who apply two roles to the same node, each with its own pools.
    """
    removed = sorted(set(earlier) - {choice.pool.name for choice in compiled.choices})
    if not removed:
        return []
    warning = (
        f"pools: {', '.join(removed)} no longer declared and therefore removed from this node. Each call must declare all pools"
        " of a node: if another role or task declared these, declare all of them together."
    )
    return [warning]
