# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads rules into a separate network namespace, to see whether iptables accepts them and how it prints them.

``iptables-save`` rewrites rules (``--set-mark 2`` becomes ``--set-xmark 0x2/0xffffffff``), differently in each version, so
only iptables itself can tell whether two texts are the same rule. ``iptables-restore --test`` overlooks most mistakes.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ...errors import InputError, NodeError
from ...state import Chain, ChainSet, Ownership
from ...state.iptables_restore import render_restore
from ...state.iptables_rule import split_rule, targets
from ...state.iptables_save import parse_save
from . import programs

_CLONE_NEWNET = 0x40000000  # include/uapi/linux/sched.h
_OWN_NAMESPACE = Path("/proc/thread-self/ns/net")
_MISSING_SET = re.compile(r"\bSet \S+ doesn't exist")  # libxt_set.h of iptables
PathOf = Callable[[int, int], str]
Result = TypeVar("Result")


def rule_path(chain: int, rule: int) -> str:
    """Return the path of a rule in the input."""
    return f"chains[{chain}].rules[{rule}]"


def normalise(
    chains: Sequence[Chain],
    variant: str,
    current: Iterable[ChainSet],
    ownership: Ownership,
    path_of: PathOf = rule_path,
) -> tuple[Chain, ...]:
    """Return the same chains with their rules as ``iptables-save`` prints them.

    One rule can become several (``-s A,B``). Foreign chains that a rule jumps to must exist on the node.

    :param chains: new or changed managed chains.
    :param current: the managed chains of the node; if they have every rule verbatim, nothing is loaded.
    :param path_of: returns the path of a rule for messages, by the index of its chain and its own in the chain.
    :raises InputError: iptables rejects a rule; says which and why.
    :raises NodeError: iptables of that variant is missing, or no network namespace can be created.
    """
    managed = tuple(current)
    known = {(item.family, item.table, rule) for group in managed for item in group.chains for rule in item.rules}
    families = sorted({item.family for item in chains if not _are_known(item, known)})
    canonical = {}
    for family in families:
        numbered = [(number, item) for number, item in enumerate(chains) if item.family == family]
        _refuse_many_lines(numbered, path_of)
        scratch = _Scratch(
            variant, family, ownership, _targets_elsewhere(numbered, managed, variant, family, ownership)
        )
        for item in _in_fresh_namespace(lambda: scratch.load(numbered, path_of)):  # noqa: B023 - called at once
            canonical[item.key] = item.rules
    return tuple(replace(item, rules=canonical.get(item.key, item.rules)) for item in chains)


def _are_known(chain: Chain, known: Collection[tuple[str, str, str]]) -> bool:
    return all((chain.family, chain.table, rule) in known for rule in chain.rules)


def _refuse_many_lines(numbered: Iterable[tuple[int, Chain]], path_of: PathOf) -> None:
    for number, item in numbered:
        for position, rule in enumerate(item.rules):
            if any(ord(letter) < ord(" ") and letter != "\t" for letter in rule):
                raise InputError(path_of(number, position), "a rule is one line of text", "Give each line as a rule.")


def _targets_elsewhere(
    numbered: Sequence[tuple[int, Chain]], current: Iterable[ChainSet], variant: str, family: str, ownership: Ownership
) -> frozenset[tuple[str, str]]:
    """Return table and name of the chains that the rules jump to and that are not in ``numbered``.

    Foreign chains are read from the node, if a rule jumps to a chain that is not managed.
    """
    managed = {(item.table, item.name) for group in current if group.family == family for item in group.chains}
    loaded = {(item.table, item.name) for _number, item in numbered}
    needed = {
        (item.table, name) for _number, item in numbered for rule in item.rules for name in targets(split_rule(rule))
    }
    unknown = needed - managed - loaded
    elsewhere = managed & needed
    if unknown:
        completed = programs.run(_program(variant, family, "save"))
        elsewhere |= unknown & parse_save(completed.stdout, variant, family, ownership).foreign_chains
    return frozenset(elsewhere - loaded)


def _program(variant: str, family: str, purpose: str) -> tuple[str, ...]:
    found = programs.find(variant, family, purpose)
    if not found:
        raise NodeError(
            f"The {family} rules cannot be checked: no iptables-{purpose} of variant {variant} was found."
            " Install the package iptables, or leave out the chains of that family."
        )
    return found


class _Scratch:
    """Loads chains of one family into the namespace of the calling thread."""

    def __init__(self, variant: str, family: str, ownership: Ownership, targets: Iterable[tuple[str, str]]) -> None:
        self.ownership = ownership
        self.empty = ChainSet(variant, family)
        self.targets = frozenset(Chain(family, table, name) for table, name in targets)
        self.restore = (*_program(variant, family, "restore"), "-w", str(programs.LOCK_WAIT))
        self.save = _program(variant, family, "save")

    def load(self, numbered: Sequence[tuple[int, Chain]], path_of: PathOf) -> Iterable[Chain]:
        """Return the chains as iptables prints them."""
        complaint = self._try([item for _number, item in numbered])
        if complaint:
            raise self._culprit(numbered, path_of, complaint)
        completed = programs.run(self.save)
        if completed.returncode:
            raise NodeError(
                f"{' '.join(self.save)} failed: {programs.complaint(completed)}. Run it by hand to see more."
            )
        parsed = parse_save(completed.stdout, self.empty.variant, self.empty.family, self.ownership)
        return parsed.chain_set.chains

    def _try(self, chains: Iterable[Chain]) -> str:
        """Load the chains in place of all others; return why iptables rejects them, or ``""``."""
        after = replace(self.empty, chains=frozenset(chains) | self.targets)
        completed = programs.run(self.restore, render_restore(self.empty, after, self.ownership))
        # A line number is of no use to a reader who has not seen the text.
        return (
            re.sub(r";? ?Error occurred at line: \d+", "", programs.complaint(completed))
            if completed.returncode
            else ""
        )

    def _culprit(self, numbered: Sequence[tuple[int, Chain]], path_of: PathOf, complaint: str) -> InputError:
        """Return the error about the first rule that is rejected even alone.

        The line in the message may be the end of the table, where the kernel checked all rules.
        """
        bare = {item.key: replace(item, rules=()) for _number, item in numbered}
        for number, item in numbered:
            for position, rule in enumerate(item.rules):
                alone = self._try({**bare, item.key: replace(item, rules=(rule,))}.values())
                if alone:
                    return InputError(
                        path_of(number, position), f"iptables rejects the rule: {alone}", _remedy(rule, alone)
                    )
        remedy = "Each rule alone is accepted: look for chains that jump to each other in a loop."
        return InputError("chains", f"iptables rejects the rules together: {complaint}", remedy)


def _remedy(rule: str, complaint: str) -> str:
    if _MISSING_SET.search(complaint):
        return (
            f"The rule is: {rule}. Rules are checked in a separate network namespace, which has none of the node's ipsets, so a"
            " rule with an ipset is not supported. List the addresses themselves, or manage that rule by other means, in a chain"
            " with another prefix."
        )
    quotes = " Put words with spaces into double quotes." if "'" in rule else ""
    return f"The rule is: {rule}. See iptables-extensions(8) on the node, and correct it.{quotes}"


def _in_fresh_namespace(function: Callable[[], Result]) -> Result:
    """Call the function in a thread with a new network namespace, which is removed with the thread."""
    outcome: list[Result] = []
    errors: list[BaseException] = []
    outside = _OWN_NAMESPACE.stat().st_ino

    def leave_and_call() -> None:
        try:
            _unshare(outside)
            outcome.append(function())
        except BaseException as error:  # noqa: BLE001 - raised in the calling thread
            errors.append(error)

    thread = threading.Thread(target=leave_and_call, name="scratch")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return outcome[0]


def _unshare(outside: int) -> None:
    """Move only the calling thread into a new network namespace."""
    library = ctypes.CDLL(None, use_errno=True)
    code = ctypes.get_errno() if library.unshare(_CLONE_NEWNET) else 0
    if not code and _OWN_NAMESPACE.stat().st_ino != outside:
        return
    reason = os.strerror(code) if code else "it reported success, but the namespace is the same"
    raise NodeError(
        f"Rules cannot be checked: no network namespace could be created (unshare: {reason}). This needs root"
        " (CAP_SYS_ADMIN) and a kernel with CONFIG_NET_NS. Rules that the node already has need no check."
    )
