# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads rules that a user wrote into a network namespace of their own, to see whether and how iptables takes them.

``iptables-save`` rewrites what it was given (``--set-mark 2`` becomes ``--set-xmark 0x2/0xffffffff``), and not the same
in every version, so only iptables itself can say which two texts are one rule. Its ``--test`` overlooks most mistakes.
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
from ...state.iptables_text import destinations, parse_save, render_restore, split_rule
from . import programs

_CLONE_NEWNET = 0x40000000  # include/uapi/linux/sched.h
_OWN_NAMESPACE = Path("/proc/thread-self/ns/net")
_MISSING_SET = re.compile(r"\bSet \S+ doesn't exist")  # libxt_set.h of iptables
PathOf = Callable[[int, int], str]
Result = TypeVar("Result")


def rule_path(chain: int, rule: int) -> str:
    """Return where a rule stands in the input."""
    return f"chains[{chain}].rules[{rule}]"


def normalise(
    chains: Sequence[Chain],
    variant: str,
    present: Iterable[ChainSet],
    ownership: Ownership,
    path_of: PathOf = rule_path,
) -> tuple[Chain, ...]:
    """Return the same chains with their rules as ``iptables-save`` prints them.

    One rule can become several (``-s A,B``). Chains of others that a rule leads to must exist on the node.

    :param chains: all of them new or changed ones of ours.
    :param present: our chains on the node; where every rule is found there verbatim, nothing is loaded.
    :param path_of: names a rule by its chain's place in ``chains`` and its own in the chain, for messages.
    :raises InputError: iptables refuses a rule; says which and why.
    :raises NodeError: there is no iptables of that variant, or no network namespace can be made.
    """
    there = tuple(present)
    known = {(item.family, item.table, rule) for group in there for item in group.chains for rule in item.rules}
    families = sorted({item.family for item in chains if not _are_known(item, known)})
    canonical = {}
    for family in families:
        numbered = [(number, item) for number, item in enumerate(chains) if item.family == family]
        _refuse_many_lines(numbered, path_of)
        scratch = _Scratch(variant, family, ownership, _names_beside(numbered, there, variant, family, ownership))
        for item in _in_fresh_namespace(lambda: scratch.load(numbered, path_of)):  # noqa: B023 - called at once
            canonical[item.key] = item.rules
    return tuple(replace(item, rules=canonical.get(item.key, item.rules)) for item in chains)


def _are_known(chain: Chain, known: Collection[tuple[str, str, str]]) -> bool:
    return all((chain.family, chain.table, rule) in known for rule in chain.rules)


def _refuse_many_lines(numbered: Iterable[tuple[int, Chain]], path_of: PathOf) -> None:
    for number, item in numbered:
        for position, rule in enumerate(item.rules):
            if any(ord(letter) < ord(" ") and letter != "\t" for letter in rule):
                raise InputError(path_of(number, position), "a rule is one line of text", "Make each line a rule.")


def _names_beside(
    numbered: Sequence[tuple[int, Chain]], present: Iterable[ChainSet], variant: str, family: str, ownership: Ownership
) -> frozenset[tuple[str, str]]:
    """Return table and name of the chains that a rule may lead to beside those in ``numbered``.

    Ours are known; those of others are looked up on the node, and only where a rule leads to what is not ours.
    """
    ours = {(item.table, item.name) for group in present if group.family == family for item in group.chains}
    loaded = {(item.table, item.name) for _number, item in numbered}
    wanted = {
        (item.table, name)
        for _number, item in numbered
        for rule in item.rules
        for name in destinations(split_rule(rule))
    }
    unknown = wanted - ours - loaded
    beside = ours & wanted
    if unknown:
        completed = programs.run(_program(variant, family, "save"))
        beside |= unknown & parse_save(completed.stdout, variant, family, ownership).foreign_chains
    return frozenset(beside - loaded)


def _program(variant: str, family: str, purpose: str) -> tuple[str, ...]:
    found = programs.find(variant, family, purpose)
    if not found:
        raise NodeError(
            f"rules of {family} cannot be checked: no iptables-{purpose} of variant {variant} was found."
            " Install the package iptables, or leave out the chains of that family."
        )
    return found


class _Scratch:
    """Loads chains of one family into the namespace of the calling thread."""

    def __init__(self, variant: str, family: str, ownership: Ownership, beside: Iterable[tuple[str, str]]) -> None:
        self.ownership = ownership
        self.empty = ChainSet(variant, family)
        self.beside = frozenset(Chain(family, table, name) for table, name in beside)
        self.restore = (*_program(variant, family, "restore"), "-w", str(programs.LOCK_WAIT))
        self.save = _program(variant, family, "save")

    def load(self, numbered: Sequence[tuple[int, Chain]], path_of: PathOf) -> Iterable[Chain]:
        """Return the chains as iptables has understood them."""
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
        """Load the chains in place of all there is; return what iptables has against it."""
        after = replace(self.empty, chains=frozenset(chains) | self.beside)
        completed = programs.run(self.restore, render_restore(self.empty, after, self.ownership))
        # The number of a line says nothing to someone who has not seen our text.
        return (
            re.sub(r";? ?Error occurred at line: \d+", "", programs.complaint(completed))
            if completed.returncode
            else ""
        )

    def _culprit(self, numbered: Sequence[tuple[int, Chain]], path_of: PathOf, complaint: str) -> InputError:
        """Return the error about the first rule that is refused even alone.

        The line that the message names is no use: it may be the end of the table, where the kernel looked at all rules.
        """
        bare = {item.key: replace(item, rules=()) for _number, item in numbered}
        for number, item in numbered:
            for position, rule in enumerate(item.rules):
                alone = self._try({**bare, item.key: replace(item, rules=(rule,))}.values())
                if alone:
                    return InputError(
                        path_of(number, position), f"iptables refuses the rule: {alone}", _remedy(rule, alone)
                    )
        remedy = "Each rule alone is accepted: look for chains that lead to each other in a circle."
        return InputError("chains", f"iptables refuses the rules together: {complaint}", remedy)


def _remedy(rule: str, complaint: str) -> str:
    if _MISSING_SET.search(complaint):
        return (
            f"The rule is: {rule}. It is tried in a network namespace of its own, which has none of the node's ipsets, so a"
            " rule with one cannot be given here, whether the set exists or not. List the addresses themselves, or write"
            " that rule by other means, into a chain of another prefix."
        )
    quotes = " Words with spaces go into double quotes." if "'" in rule else ""
    return f"The rule is: {rule}. Correct it as iptables-extensions(8) of this node says.{quotes}"


def _in_fresh_namespace(function: Callable[[], Result]) -> Result:
    """Call the function in a thread that alone is in a new network namespace, which ends with it."""
    outcome: list[Result] = []
    errors: list[BaseException] = []
    outside = _OWN_NAMESPACE.stat().st_ino

    def leave_and_call() -> None:
        try:
            _unshare(outside)
            outcome.append(function())
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread
            errors.append(error)

    thread = threading.Thread(target=leave_and_call, name="scratch")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return outcome[0]


def _unshare(outside: int) -> None:
    """Move the calling thread, and no other, into a new network namespace."""
    library = ctypes.CDLL(None, use_errno=True)
    code = ctypes.get_errno() if library.unshare(_CLONE_NEWNET) else 0
    if not code and _OWN_NAMESPACE.stat().st_ino != outside:
        return
    reason = os.strerror(code) if code else "the kernel said it did, but it did not"
    raise NodeError(
        f"rules cannot be checked: no network namespace could be made (unshare: {reason}). It takes root"
        " (CAP_SYS_ADMIN) and a kernel with CONFIG_NET_NS. Rules that are on the node already need no check."
    )
