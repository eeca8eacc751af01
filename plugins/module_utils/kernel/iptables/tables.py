# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and writes our chains in iptables, in the variant that the rest of the node uses."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import NodeError
from ...paths import XTABLES_LOCK_FILE
from ...state import ChainSet, Ownership
from ...state.chain import VARIANTS
from ...state.family import FAMILIES, IPV4, IPV6
from ...state.iptables_text import ParsedTables, Signs, parse_save, render_restore
from ...state.step import Step, StepsFailed
from ..families import NETWORK, kernel_families
from ..netlink.nf_tables import kernel_has_nf_tables, nft_chains
from . import programs

_LEGACY_TABLES = {IPV4: "ip_tables_names", IPV6: "ip6_tables_names"}
# kube-proxy's own canary is no hint: its image follows the kubelet, and leaves the canary behind where that has changed.
_OF_KUBELET = frozenset({"KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY"})
_REMEDY = "Install the package iptables (1.8 or newer)"

Parsed = Mapping[tuple[str, str], ParsedTables]


@dataclass(frozen=True)
class IptablesState:
    """What the node has in iptables.

    :param variant: the one to write to: ``nft`` or ``legacy``.
    :param reason: why that one, in words.
    :param chain_sets: ours: of ``variant`` one per member of ``families``, even if empty; of the other variant where it
        has any.
    :param signs: of Kubernetes and network plugins, in both variants and families together.
    :param families: that can be read and written here; ``ipv6`` is missing where the kernel or ip6tables is.
    :param default_variant: what plain ``iptables`` is here, ``""`` where there is none.
    :param incompatible: family and table of what ``variant`` cannot read, as ``nft`` wrote to it directly.
    :param hidden: family and table of what nft cannot read either, chosen or not, where there are chains of ours.
    """

    variant: str
    reason: str
    chain_sets: frozenset[ChainSet] = frozenset()
    signs: Signs = field(default_factory=Signs)
    families: tuple[str, ...] = FAMILIES
    default_variant: str = ""
    incompatible: frozenset[tuple[str, str]] = frozenset()
    hidden: frozenset[tuple[str, str]] = frozenset()


def read(wanted_variant: str, ownership: Ownership) -> IptablesState:
    """Read all tables once.

    :param wanted_variant: ``nft``, ``legacy``, or ``auto`` for what the kubelet, kube-proxy and the network plugin use.
    :raises NodeError: no iptables, not the wanted variant, or a program that cannot read tables which the node may have:
        to take another variant then, or to take the tables for empty, would leave what is in them in force beside what
        is written.
    """
    installed = programs.installed()
    variants = [variant for variant in VARIANTS if (variant, IPV4) in installed]
    if not variants:
        raise NodeError(f"no iptables was found in PATH, /usr/sbin or /sbin. {_REMEDY}.")
    if wanted_variant != "auto" and wanted_variant not in variants:
        raise NodeError(
            f"iptables of variant {wanted_variant} is wanted, but only {variants[0]} is installed. {_REMEDY}."
        )
    parsed, unusable = _read_variants(variants, installed, ownership)
    usable = [name for name in variants if name not in unusable]
    if wanted_variant in unusable or not usable:
        raise NodeError(unusable["nft"])
    variant, reason = _choose(wanted_variant, parsed, usable)
    families = tuple(family for family in kernel_families() if (variant, family) in installed)
    return _state(variant, reason, families, parsed, ownership)


def _has_legacy_tables(family: str) -> bool:
    """Whether the kernel has any legacy table, found without loading the module that would make one."""
    try:
        return bool((NETWORK / _LEGACY_TABLES[family]).read_text(encoding="ascii").strip())
    except FileNotFoundError:
        return False
    except PermissionError as error:
        raise NodeError("iptables' tables may be read by root only. Run as root (become: true).") from error


def _read_variants(
    variants: Sequence[str], installed: Collection[tuple[str, str]], ownership: Ownership
) -> tuple[Parsed, dict[str, str]]:
    """Return what each variant and family has, and by variant why it cannot be used on this kernel at all.

    :raises NodeError: a program failed that should have shown what is there.
    """
    keys = [
        (variant, family)
        for variant in variants
        for family in kernel_families()
        if (variant, family) in installed and (variant == "nft" or _has_legacy_tables(family))
    ]
    commands = [programs.find(variant, family, "save") for variant, family in keys]
    parsed: dict[tuple[str, str], ParsedTables] = {}
    unusable: dict[str, str] = {}
    for key, command, completed in zip(keys, commands, programs.run_together(commands)):
        if completed.returncode == 0:
            parsed[key] = parse_save(completed.stdout + completed.stderr, *key, ownership)
        elif key[0] == "nft" and not kernel_has_nf_tables():
            unusable["nft"] = f"{_failure(command, completed)}. This kernel has no nf_tables. Install iptables-legacy."
        else:
            raise NodeError(
                f"{_failure(command, completed)}. What is in the {key[1]} tables of iptables-{key[0]} is not known, so"
                " nothing was changed. Run it as root on the node to see more, and try again when it works."
            )
    return parsed, unusable


def _failure(command: Sequence[str], completed: programs.Completed[str]) -> str:
    return f"{' '.join(command)} failed: {programs.complaint(completed)}"


def _choose(wanted: str, parsed: Parsed, variants: Sequence[str]) -> tuple[str, str]:
    """Return the variant and the reason for it; ``variants`` are those that work here, nft first."""
    if wanted != "auto":
        return wanted, "as declared"
    signs = {variant: _signs(variant, parsed) for variant in variants}
    # Both have hints after a kubelet has changed over; kube-proxy's image looks for them in nft first, so do we.
    for variant, found in signs.items():
        hints = sorted(found.hints & _OF_KUBELET)
        if hints:
            return variant, f"{hints[0]} is in its table mangle"
    busy = {variant: len(found.chains) for variant, found in signs.items() if found.chains}
    if busy:
        variant = max(busy, key=lambda name: busy[name])
        return (
            variant,
            f"it has {busy[variant]} chains of Kubernetes or a network plugin ({min(signs[variant].chains)} ...)",
        )
    for variant in variants:
        if any(tables.chain_set.chains for key, tables in parsed.items() if key[0] == variant):
            return variant, "our own chains are there"
    default = programs.default_variant(IPV4)
    if default in variants:
        return default, "it is what iptables is on this node"
    return variants[0], "it is the only one that works on this node"


def _signs(variant: str, parsed: Parsed) -> Signs:
    signs = Signs()
    for key, tables in parsed.items():
        if key[0] == variant:
            signs |= tables.signs
    return signs


def _state(variant: str, reason: str, families: tuple[str, ...], parsed: Parsed, ownership: Ownership) -> IptablesState:
    chosen = {family: parsed.get((variant, family), ParsedTables(ChainSet(variant, family))) for family in families}
    others = {tables.chain_set for key, tables in parsed.items() if key[0] != variant}
    return IptablesState(
        variant,
        reason,
        frozenset(tables.chain_set for tables in chosen.values())
        | {ours for ours in others if ours.chains or ours.stray_jumps},
        _signs("nft", parsed) | _signs("legacy", parsed),
        families,
        programs.default_variant(IPV4),
        frozenset((family, table) for family, tables in chosen.items() for table in tables.incompatible),
        frozenset(_hidden(parsed, ownership)),
    )


def require_extensions(steps: Sequence[Step], ownership: Ownership) -> None:
    """Refuse chains that this kernel has no means for, before anything is written.

    The first ones of a family are read by ``iptables-restore --test``, which asks the kernel for every match and target
    and writes nothing. Where there are some already, the kernel has what they need. The legacy variant is not asked: it
    would make the tables that it reads, and wait for the lock; there the step that fails tells.

    :raises NodeError: with the program's own words, which name what is missing.
    """
    for step in steps:
        before, after = step.before, step.after
        is_first = not (isinstance(before, ChainSet) and before.chains)
        if isinstance(after, ChainSet) and after.chains and is_first and after.variant == "nft":
            text = render_restore(ChainSet(after.variant, after.family), after, ownership)
            command = programs.find(after.variant, after.family, "restore")
            completed = programs.run((*command, "--noflush", "--test"), text) if command else None
            if completed and completed.returncode:
                said = programs.complaint(completed)
                raise NodeError(
                    f"This node's {after.family} iptables ({after.variant}) cannot have the chains that are needed here:"
                    f" {said}{_offending_line(said, text)}. Load the kernel's module for it (xt_connmark for CONNMARK, for"
                    " instance), or install the package that has it. Nothing was written."
                )


def _hidden(parsed: Parsed, ownership: Ownership) -> Iterator[tuple[str, str]]:
    """Yield family and table of what cannot be shown and has chains of ours: of those the kernel itself tells the names."""
    for (_variant, family), tables in parsed.items():
        for table in tables.incompatible:
            if any(name.startswith(ownership.chain_prefix) for name in nft_chains(family, table)):
                yield family, table


def write(steps: Sequence[Step], ownership: Ownership, lock_wait: int = programs.LOCK_WAIT) -> None:
    """Carry out steps of the kind ``chains``, one ``iptables-restore`` each.

    A step that fails leaves its chains as they were before it.

    :param lock_wait: seconds to wait for others to release the lock of the legacy variant.
    :raises StepsFailed: with the program's own words and the line they are about.
    """
    done: list[Step] = []
    for step in steps:
        reason = _write(step, ownership, lock_wait)
        if reason:
            raise StepsFailed(tuple(done), step, reason)
        done.append(step)


def _write(step: Step, ownership: Ownership, lock_wait: int) -> str:
    """Carry out one step; return why it failed, ``""`` for success."""
    subject = step.subject
    if not isinstance(subject, ChainSet):
        raise TypeError(f"not a step of the kind chains: {step}")
    empty = ChainSet(subject.variant, subject.family)
    before = step.before if isinstance(step.before, ChainSet) else empty
    after = step.after if isinstance(step.after, ChainSet) else empty
    text = render_restore(before, after, ownership)
    if not text:
        return ""
    command = programs.find(subject.variant, subject.family, "restore")
    if not command:
        return f"no iptables-restore for {subject.family} of variant {subject.variant} was found. {_REMEDY}"
    reason = _restore(command, text, lock_wait)
    if reason and text.count("\nCOMMIT\n") > 1:
        # Tables are written one after the other: those before the failing one have changed already.
        reason += _repair(command, before, ownership, lock_wait)
    return reason


def _restore(command: Sequence[str], text: str, lock_wait: int) -> str:
    try:
        completed = programs.run((*command, "--noflush", "-w", str(lock_wait)), text)
    except NodeError as error:
        return str(error)
    if completed.returncode == 0:
        return ""
    said = programs.complaint(completed)
    if "xtables lock" in said:
        return f"the xtables lock is held by {_lock_holder()}; waited {lock_wait} s. Run again when that has ended"
    return said + _offending_line(said, text)


def _offending_line(said: str, text: str) -> str:
    """Return the line that the program's message is about, for the reader, who has not seen our text."""
    match = re.search(r"line:? (\d+)", said)
    lines = text.split("\n")
    number = int(match.group(1)) if match else 0
    return f' (line {number}: "{lines[number - 1]}")' if 0 < number <= len(lines) else ""


def _repair(command: Sequence[str], before: ChainSet, ownership: Ownership, lock_wait: int) -> str:
    """Bring back what the tables had before a restore failed half-way; return what to add to the reason."""
    failed = ""
    try:
        present = programs.run(programs.find(before.variant, before.family, "save"))
        current = parse_save(present.stdout, before.variant, before.family, ownership).chain_set
        text = render_restore(current, before, ownership)
        if present.returncode:
            failed = programs.complaint(present)
        elif text:
            failed = _restore(command, text, lock_wait)
    except NodeError as error:
        failed = str(error)
    return f"; the tables written before it could not be brought back: {failed}" if failed else ""


def _lock_holder() -> str:
    """Return who holds the lock of the legacy variant, as far as ``/proc/locks`` tells."""
    lock = os.environ.get("XTABLES_LOCKFILE", XTABLES_LOCK_FILE)
    try:
        inode = Path(lock).stat().st_ino
        locks = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return "another process"
    for line in locks.splitlines():
        words = line.split()
        if "->" not in words and len(words) > 5 and words[5].endswith(f":{inode}"):
            return f"pid {words[4]}{_program_of(words[4])}"
    return "another process"


def _program_of(pid: str) -> str:
    try:
        name = Path("/proc", pid, "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
    return f" ({name})"
