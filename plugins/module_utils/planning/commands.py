# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same change as lines that a person could type on the node."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..state import Address, ChainSet, File, Link, Ownership, Route, Rule, Sysctl, Unit
from ..state.family import IPV6
from ..state.iptables_text import render_commands
from ..state.step import Step

LONGEST_FILE = 100  # lines; nobody types a program
PROGRAMS = {"ipv4": "iptables", "ipv6": "ip6tables"}
FLAG = {"ipv4": "-4", "ipv6": "-6"}


def commands(
    steps: Iterable[Step], ownership: Ownership, originals: Mapping[str, str], default_variant: str
) -> list[str]:
    """Return the steps as ``ip``, ``iptables`` and ``sysctl`` command lines, quoted for a POSIX shell.

    :param originals: what each setting of ours was before, for those that are given back.
    :param default_variant: what plain ``iptables`` is on the node; the other one is called by its whole name.
    """
    lines: list[str] = []
    for step in _as_typed(tuple(steps)):
        lines += _render(step, ownership, originals, default_variant)
    return lines


def _as_typed(steps: Sequence[Step]) -> Iterator[Step]:
    """Yield the steps, but a rule that goes before one of the same priority comes.

    ``ip rule add`` asks the kernel not to make what is there, and to the kernel a rule is there if one asks for all of
    that and for more (``rule_exists``, net/core/fib_rules.c).
    """
    going: dict[tuple[str, int], list[Step]] = {}
    for step in steps:
        if isinstance(step.subject, Rule) and step.verb == "delete":
            going.setdefault((step.subject.family, step.subject.priority), []).append(step)
    early = {
        step: going.pop((step.subject.family, step.subject.priority), [])
        for step in steps
        if isinstance(step.subject, Rule) and step.verb == "add"
    }
    moved = {step for found in early.values() for step in found}
    for step in steps:
        yield from early.get(step, ())
        if step not in moved:
            yield step


def _render(step: Step, ownership: Ownership, originals: Mapping[str, str], default_variant: str) -> list[str]:
    subject = step.subject
    if isinstance(subject, Link):
        return _link(step, subject, ownership)
    if isinstance(subject, Address):
        return [_address(step, subject, ownership)]
    if isinstance(subject, Sysctl):
        return _sysctl(step, subject, originals)
    if isinstance(subject, Route):
        verb = {"add": "add", "change": "replace", "delete": "del"}[step.verb]
        return [_line("ip", FLAG[subject.family], "route", verb, *subject.words(), "protocol", str(ownership.protocol))]
    if isinstance(subject, Rule):
        verb = "del" if step.verb == "delete" else "add"
        return [_line("ip", FLAG[subject.family], "rule", verb, *subject.words(), "protocol", str(ownership.protocol))]
    if isinstance(subject, ChainSet):
        before = step.before if isinstance(step.before, ChainSet) else ChainSet(*subject.key)
        after = step.after if isinstance(step.after, ChainSet) else ChainSet(*subject.key)
        name = PROGRAMS[subject.family]
        program = name if subject.variant == default_variant else f"{name}-{subject.variant}"
        return render_commands(before, after, ownership, program)
    return _unit(step, subject) if isinstance(subject, Unit) else _file(step, subject)


def _line(*words: str) -> str:
    return " ".join(shlex.quote(word) for word in words)


def _link(step: Step, link: Link, ownership: Ownership) -> list[str]:
    if step.verb == "delete":
        return [_line("ip", "link", "del", link.name)]
    lines = []
    if step.verb == "add":
        parent = ["link", link.parent] if link.parent else []
        options = (
            ["id", str(link.vlan_id)] if link.kind == "vlan" else ["mode", "bridge"] if link.kind == "macvlan" else []
        )
        lines += [_line("ip", "link", "add", *parent, "name", link.name, "type", link.kind, *options)]
        lines += [_line("ip", "link", "set", link.name, "alias", ownership.alias)]
    lines += [_line("ip", "link", "set", link.name, "mtu", str(link.mtu))] if link.mtu else []
    if step.verb == "add" and not link.up:
        return lines  # new links are down
    return [*lines, _line("ip", "link", "set", link.name, "up" if link.up else "down")]


def _address(step: Step, address: Address, ownership: Ownership) -> str:
    if step.verb == "delete":
        return _line("ip", "address", "del", address.address, "dev", address.interface)
    options = ["noprefixroute", *(["nodad", "preferred_lft", "0"] if address.family == IPV6 else [])]
    plain = ["ip", "address", "add", address.address, "dev", address.interface, *options]
    # The iproute2 of Debian 12 and Ubuntu 24.04 (6.1) knows no protocol of an address.
    return f"{_line(*plain, 'proto', f'{ownership.protocol:#x}')} 2>/dev/null || {_line(*plain)}"


def _sysctl(step: Step, sysctl: Sysctl, originals: Mapping[str, str]) -> list[str]:
    value = originals.get(sysctl.name) if step.verb == "delete" else sysctl.value
    return [] if value is None else [_line("sysctl", "-w", f"{sysctl.name}={value}")]


def _unit(step: Step, unit: Unit) -> list[str]:
    if step.verb == "delete":
        return [_line("systemctl", "disable", "--now", unit.name)]
    return [
        _line("systemctl", "daemon-reload"),
        _line("systemctl", "enable" if unit.enabled else "disable", unit.name),
        _line("systemctl", "restart" if unit.running else "stop", unit.name),
    ]


def _file(step: Step, item: File) -> list[str]:
    if step.verb == "delete":
        return [_line("rm", "-f", item.path)]
    directory = item.path.rpartition("/")[0]
    lines = item.content.count("\n")
    if lines > LONGEST_FILE:
        return [f"# apply writes {item.path} ({lines} lines, mode {item.mode:04o})"]
    return [
        _line("mkdir", "-p", directory),
        f"printf %s {shlex.quote(item.content)} > {shlex.quote(item.path)}",
        _line("chmod", f"{item.mode:04o}", item.path),
    ]
