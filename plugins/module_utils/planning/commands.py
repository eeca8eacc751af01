# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps as equivalent shell commands."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..paths import BLOCK_HEADER
from ..state import Address, ChainSet, File, Link, Ownership, Route, Rule, Sysctl, Unit
from ..state.chain import PROGRAMS
from ..state.family import IPV4, IPV6
from ..state.iptables_restore import render_commands
from ..state.iptables_rule import shell_line
from ..state.kinds import ADDRESS, CHAINS, FILE, LINK, ROUTE, RULE, SYSCTL, UNIT
from ..state.managers import RELOADS, SHARED_FILES
from ..state.step import Step

LONGEST_FILE = 100  # lines; the program of the agent is longer
FLAG = {IPV4: "-4", IPV6: "-6"}


@dataclass(frozen=True)
class Shell:
    """What the commands depend on besides the steps.

    :param originals: value that each managed setting had before the first change, and gets again when it is released.
    :param default_variant: what plain ``iptables`` is on the node; the other variant is called by its full name.
    """

    ownership: Ownership
    originals: Mapping[str, str]
    default_variant: str


Renderer = Callable[[Step, Any, Shell], list[str]]  # of a step and its subject


def commands(
    steps: Iterable[Step], ownership: Ownership, originals: Mapping[str, str], default_variant: str
) -> list[str]:
    """Return the steps as ``ip``, ``iptables`` and ``sysctl`` command lines, quoted for a POSIX shell.

    For the parameters see :class:`Shell`.
    """
    shell = Shell(ownership, originals, default_variant)
    return [line for step in _as_typed(tuple(steps)) for line in RENDERERS[step.kind](step, step.subject, shell)]


def _as_typed(steps: Sequence[Step]) -> Iterator[Step]:
    """Yield the steps, but the deletion of a rule before the addition of one with the same priority.

    ``ip rule add`` asks the kernel not to add what exists, and for the kernel a rule exists if there is one with all of its
    selectors and more (``rule_exists``, net/core/fib_rules.c).
    """
    rules = [(step, step.subject) for step in steps if isinstance(step.subject, Rule)]
    deleted: dict[tuple[str, int], list[Step]] = {}
    for step, rule in rules:
        if step.verb == "delete":
            deleted.setdefault((rule.family, rule.priority), []).append(step)
    early = {step: deleted.pop((rule.family, rule.priority), []) for step, rule in rules if step.verb == "add"}
    moved = {step for found in early.values() for step in found}
    for step in steps:
        yield from early.get(step, ())
        if step not in moved:
            yield step


def _line(*words: str) -> str:
    return shell_line(words)


def _link(step: Step, link: Link, shell: Shell) -> list[str]:
    if step.verb == "delete":
        return [_line("ip", "link", "del", link.name)]
    lines = []
    if step.verb == "add":
        parent = ["link", link.parent] if link.parent else []
        options = (
            ["id", str(link.vlan_id)] if link.kind == "vlan" else ["mode", "bridge"] if link.kind == "macvlan" else []
        )
        lines += [_line("ip", "link", "add", *parent, "name", link.name, "type", link.kind, *options)]
        lines += [_line("ip", "link", "set", link.name, "alias", shell.ownership.alias)]
    lines += [_line("ip", "link", "set", link.name, "mtu", str(link.mtu))] if link.mtu else []
    if step.verb == "add" and not link.up:
        return lines  # new links are down
    return [*lines, _line("ip", "link", "set", link.name, "up" if link.up else "down")]


def _sysctl(step: Step, sysctl: Sysctl, shell: Shell) -> list[str]:
    value = shell.originals.get(sysctl.name) if step.verb == "delete" else sysctl.value
    return [] if value is None else [_line("sysctl", "-w", f"{sysctl.name}={value}")]


def _address(step: Step, address: Address, shell: Shell) -> list[str]:
    if step.verb == "delete":
        return [_line("ip", "address", "del", address.address, "dev", address.interface)]
    options = ["noprefixroute", *(["nodad", "preferred_lft", "0"] if address.family == IPV6 else [])]
    plain = ["ip", "address", "add", address.address, "dev", address.interface, *options]
    # The iproute2 of Debian 12 and Ubuntu 24.04 (6.1) does not support ``proto`` for addresses.
    return [f"{_line(*plain, 'proto', f'{shell.ownership.protocol:#x}')} 2>/dev/null || {_line(*plain)}"]


def _route(step: Step, route: Route, shell: Shell) -> list[str]:
    verb = {"add": "add", "change": "replace", "delete": "del"}[step.verb]
    return [_line("ip", FLAG[route.family], "route", verb, *route.words(), "protocol", str(shell.ownership.protocol))]


def _chains(step: Step, chains: ChainSet, shell: Shell) -> list[str]:
    empty = ChainSet(chains.variant, chains.family)
    before, after = (item if isinstance(item, ChainSet) else empty for item in (step.before, step.after))
    name = PROGRAMS[chains.family]
    program = name if chains.variant == shell.default_variant else f"{name}-{chains.variant}"
    return render_commands(before, after, shell.ownership, program)


def _rule(step: Step, rule: Rule, shell: Shell) -> list[str]:
    verb = "del" if step.verb == "delete" else "add"
    return [_line("ip", FLAG[rule.family], "rule", verb, *rule.words(), "protocol", str(shell.ownership.protocol))]


def _file(step: Step, file: File, _shell: Shell) -> list[str]:
    reloads = [_line(*one.command) for one in RELOADS.values() if file.path in one.files]
    return [*(_block_lines if file.path in SHARED_FILES else _file_lines)(step, file), *reloads]


def _block_lines(step: Step, file: File) -> list[str]:
    """Return the commands for the managed lines in a file of another program."""
    lines = [] if step.before is None else [_line("sed", "-i", f"/^{BLOCK_HEADER.partition(':')[0]}/,+1d", file.path)]
    if step.verb != "delete":
        path = shlex.quote(file.path)
        lines.append(f"rest=$(cat {path} 2>/dev/null); printf '%s%s\\n' {shlex.quote(file.content)} \"$rest\" > {path}")
    return lines


def _file_lines(step: Step, file: File) -> list[str]:
    if step.verb == "delete":
        return [_line("rm", "-f", file.path)]
    directory = file.path.rpartition("/")[0]
    lines = file.content.count("\n")
    if lines > LONGEST_FILE:
        return [f"# apply writes {file.path} ({lines} lines, mode {file.mode:04o})"]
    return [
        _line("mkdir", "-p", directory),
        f"printf %s {shlex.quote(file.content)} > {shlex.quote(file.path)}",
        _line("chmod", f"{file.mode:04o}", file.path),
    ]


def _unit(step: Step, unit: Unit, _shell: Shell) -> list[str]:
    if step.verb == "delete":
        return [_line("systemctl", "disable", "--now", unit.name)]
    return [
        _line("systemctl", "daemon-reload"),
        _line("systemctl", "enable" if unit.enabled else "disable", unit.name),
        _line("systemctl", "restart" if unit.running else "stop", unit.name),
    ]


RENDERERS: Mapping[str, Renderer] = {
    FILE.name: _file,
    LINK.name: _link,
    SYSCTL.name: _sysctl,
    ADDRESS.name: _address,
    ROUTE.name: _route,
    CHAINS.name: _chains,
    RULE.name: _rule,
    UNIT.name: _unit,
}
