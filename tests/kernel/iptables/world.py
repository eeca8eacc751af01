# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Helpers of the tests of iptables: rules of kube-proxy in a namespace, and witnesses that are not the code under test."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.iptables import restore, tables
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Chain, ChainSet, Ownership
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import Step, StepsFailed
from tests.support.namespace import Namespace

OURS = Ownership()
VARIANTS = ("nft", "legacy")
STEMS = {"ipv4": "iptables", "ipv6": "ip6tables"}
KUBE_PROXY = Path(__file__).resolve().parents[2] / "lab/kube_proxy"


def load(namespace: Namespace, variant: str, family: str, text: str) -> None:
    """Load the text with iptables-restore in the namespace, without removing other rules."""
    namespace.run([f"{STEMS[family]}-{variant}-restore", "--noflush", "-w"], text)


def load_kube_proxy(namespace: Namespace, variant: str) -> None:
    """Load the rules of a real kube-proxy, of both families."""
    for family, stem in STEMS.items():
        load(
            namespace, variant, family, (KUBE_PROXY / f"kube-proxy-1.36-node1.{stem}-save").read_text(encoding="utf-8")
        )


def saved(namespace: Namespace, variant: str, family: str = "ipv4", leave_out: str = "#") -> list[str]:
    """Return what iptables-save prints, each line behind the name of its table.

    Left out are comments, counters, and tables without a rule or a chain: iptables makes a whole table for the first
    rule, and shows the tables in the order in which they were made.

    :param leave_out: also lines with this in them.
    """
    tables: dict[str, list[str]] = {}
    table: list[str] = []
    for line in namespace.run([f"{STEMS[family]}-{variant}-save"]).splitlines():
        if line.startswith("*"):
            table = tables.setdefault(line[1:], [])
        elif line.startswith((":", "-A ")) and leave_out not in line:
            table.append(line.split(" [")[0] if line.startswith(":") else line)
    used = {name for name, lines in tables.items() if any(line.startswith("-A ") or line[-1] == "-" for line in lines)}
    return [f"{name} {line}" for name in sorted(used) for line in tables[name]]


def foreign(namespace: Namespace, variant: str, family: str = "ipv4") -> list[str]:
    """Return the lines of iptables-save about foreign chains and rules."""
    return saved(namespace, variant, family, leave_out="HOMEWARD-")


def rules_of(namespace: Namespace, variant: str, family: str, table: str, chain: str) -> list[str]:
    """Return the rules of one chain as iptables-save prints them, without ``-A NAME``."""
    lines = namespace.run([f"{STEMS[family]}-{variant}-save", "-t", table]).splitlines()
    own = [line.split(" ", 2) for line in lines if line.startswith("-A ") and line.split(" ", 2)[1] == chain]
    return ["".join(words[2:]) for words in own]


def chain(name: str, *rules: str, hook: str = "", table: str = "mangle", family: str = "ipv4") -> Chain:
    return Chain(family, table, f"HOMEWARD-{name}", rules, hook)


def chains(variant: str, *members: Chain, family: str = "ipv4", stray: Iterable[tuple[str, str, str]] = ()) -> ChainSet:
    return ChainSet(variant, family, frozenset(members), tuple(sorted(stray)))


def current(namespace: Namespace, variant: str, family: str = "ipv4") -> ChainSet:
    """Return the managed chains by the reader under test."""
    state = namespace.call(tables.read, variant, OURS)
    return next(item for item in state.chain_sets if item.key == (variant, family))


def outcome(steps: list[Step], lock_wait: int) -> tuple[tuple[Step, ...], Step, str] | None:
    """Return the parts of a failure, which can be pickled; None for success."""
    try:
        restore.write(steps, OURS, lock_wait)
    except StepsFailed as failure:
        return failure.done, failure.failed, failure.reason
    return None


def write(namespace: Namespace, before: ChainSet, after: ChainSet) -> None:
    namespace.call(restore.write, [Step("chains", before, after)], OURS)
