# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing chains: one restore, the same by commands, foreign rules unchanged, failures that leave nothing behind."""

from __future__ import annotations

import fcntl
import os
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.iptables import restore
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import ChainSet
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.iptables_restore import render_commands
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.iptables_rule import jump_rule
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import Step, StepsFailed
from tests.kernel.iptables.world import (
    OWNERSHIP,
    chain,
    chains,
    current,
    foreign,
    load_kube_proxy,
    rules_of,
    saved,
    write,
)
from tests.support.namespace import Namespace

MARK = "-j MARK --set-xmark 0x100/0x1f00"
COMMENTED = r'-m comment --comment "it\'s \"quoted\" \\ $HOME" -j RETURN'
TO_A = jump_rule("HOMEWARD-A", OWNERSHIP)


def stages(variant: str) -> list[ChainSet]:
    """Return sets to write one after the other: every kind of change, in one table and in two."""
    guard = chain("GUARD", "! -d 1.2.3.0/24 -j DROP", hook="PREROUTING", table="raw")
    return [
        chains(variant),
        chains(variant, chain("A", "-d 1.2.3.0/24 -g HOMEWARD-B", hook="PREROUTING"), chain("B", MARK), guard),
        chains(variant, chain("A", COMMENTED, "-d 1.2.3.0/24 -g HOMEWARD-B", hook="OUTPUT"), chain("B", MARK), guard),
        chains(variant, chain("A", "-g HOMEWARD-C", hook="OUTPUT"), chain("C", MARK, hook="PREROUTING")),
        chains(variant, chain("A", hook="PREROUTING"), chain("C", MARK, hook="PREROUTING"), guard),
        chains(variant),
    ]


def test_reads_back_what_it_wrote(namespace: Namespace, variant: str) -> None:
    for before, after in pairwise(stages(variant)):
        write(namespace, before, after)
        assert current(namespace, variant) == after


def test_foreign_rules_remain_unchanged(namespace: Namespace, variant: str) -> None:
    load_kube_proxy(namespace, variant)
    before = {family: foreign(namespace, variant, family) for family in ("ipv4", "ipv6")}
    assert len(before["ipv4"]) > 200, "kube-proxy's rules are loaded"
    for old, new in pairwise(stages(variant)):
        write(namespace, old, new)
        assert {family: foreign(namespace, variant, family) for family in ("ipv4", "ipv6")} == before
    assert saved(namespace, variant) == before["ipv4"], "managed chains are left"


def test_the_commands_do_the_same(namespace: Namespace, variant: str) -> None:
    with Namespace("homeward-typed") as typed:
        for space in (namespace, typed):
            load_kube_proxy(space, variant)
        for before, after in pairwise(stages(variant)):
            write(namespace, before, after)
            commands = render_commands(before, after, OWNERSHIP, f"iptables-{variant}")
            assert commands
            typed.run(["sh", "-ec", "\n".join(commands)])
            assert saved(typed, variant) == saved(namespace, variant)


def test_the_jump_is_the_first_rule(namespace: Namespace, variant: str) -> None:
    namespace.run([f"iptables-{variant}", "-t", "mangle", "-A", "PREROUTING", "-j", "ACCEPT"])
    write(namespace, chains(variant), chains(variant, chain("A", MARK, hook="PREROUTING")))
    assert rules_of(namespace, variant, "ipv4", "mangle", "PREROUTING") == [TO_A, "-j ACCEPT"]


@pytest.mark.parametrize("how", ["displaced", "doubled", "doubled next to it", "from elsewhere"])
def test_stray_jumps_are_moved(namespace: Namespace, variant: str, how: str) -> None:
    desired = chains(variant, chain("A", MARK, hook="PREROUTING"))
    write(namespace, chains(variant), desired)
    mangle = [f"iptables-{variant}", "-t", "mangle"]
    if how == "displaced":
        namespace.run([*mangle, "-I", "PREROUTING", "-p", "tcp", "-j", "ACCEPT"])
    elif how == "doubled":
        namespace.run([*mangle, "-A", "PREROUTING", "-p", "tcp", "-j", "ACCEPT"])
        namespace.run([*mangle, "-A", "PREROUTING", *shlex.split(TO_A)])
    elif how == "doubled next to it":
        namespace.run([*mangle, "-A", "PREROUTING", *shlex.split(TO_A)])
        namespace.run([*mangle, "-A", "PREROUTING", "-p", "tcp", "-j", "ACCEPT"])
    else:
        namespace.run([*mangle, "-A", "PREROUTING", "-p", "tcp", "-j", "ACCEPT"])
        namespace.run([*mangle, "-A", "FORWARD", "-i", "eth0", "-j", "HOMEWARD-A"])
    found = current(namespace, variant)
    assert len(found.stray_jumps) == 1
    write(namespace, found, desired)
    assert rules_of(namespace, variant, "ipv4", "mangle", "PREROUTING") == [TO_A, "-p tcp -j ACCEPT"]
    assert current(namespace, variant) == desired
    write(namespace, desired, found)
    # A rollback restores the stray jump, but not behind the foreign rule: there, it would lose replies.
    restored = desired if how == "displaced" else found
    assert current(namespace, variant) == restored
    write(namespace, restored, chains(variant))
    assert "HOMEWARD" not in "".join(saved(namespace, variant))


def test_writes_ipv6(namespace: Namespace, variant: str) -> None:
    desired = chains(
        variant,
        chain("A", "-s fe80::/10 -d fe80::/10 -j RETURN", hook="PREROUTING", table="raw", family="ipv6"),
        family="ipv6",
    )
    write(namespace, chains(variant, family="ipv6"), desired)
    assert current(namespace, variant, "ipv6") == desired
    assert current(namespace, variant, "ipv4") == chains(variant)


def test_a_step_without_before_or_after_is_a_set_without_chains(namespace: Namespace, variant: str) -> None:
    made = chains(variant, chain("A", MARK, hook="PREROUTING"))
    namespace.call(restore.write, [Step("chains", None, made)], OWNERSHIP)
    assert current(namespace, variant) == made
    namespace.call(restore.write, [Step("chains", made, None)], OWNERSHIP)
    assert current(namespace, variant) == chains(variant)


def failure(namespace: Namespace, *steps: Step, wait: int = 10) -> StepsFailed:
    with pytest.raises(StepsFailed) as caught:
        namespace.call(restore.write, list(steps), OWNERSHIP, wait)
    return caught.value


def test_a_failure_names_the_step_the_reason_and_the_line(namespace: Namespace, variant: str) -> None:
    good = Step("chains", chains(variant), chains(variant, chain("A", MARK)))
    bad_rule = chain("B", "-m conntrack --ctdir SIDEWAYS -j RETURN", family="ipv6")
    bad = Step("chains", None, chains(variant, bad_rule, family="ipv6"))
    failed = failure(namespace, good, bad)
    reason = failed.reason
    assert (failed.done, failed.failed) == ((good,), bad)
    assert "SIDEWAYS" in reason.split("(line")[0], "the program's own words"
    assert reason.endswith('(line 3: "-A HOMEWARD-B -m conntrack --ctdir SIDEWAYS -j RETURN")')
    assert "Try `" not in reason


def test_a_failure_changes_no_table(namespace: Namespace, variant: str) -> None:
    load_kube_proxy(namespace, variant)
    before = chains(variant, chain("A", MARK, hook="PREROUTING"))
    write(namespace, chains(variant), before)
    witness = saved(namespace, variant)
    after = chains(variant, chain("A", "-j RETURN"), chain("N", MARK), chain("G", "-j NO-SUCH-CHAIN", table="raw"))
    reason = failure(namespace, Step("chains", before, after)).reason
    assert "NO-SUCH-CHAIN" in reason
    assert "could not be brought back" not in reason
    assert saved(namespace, variant) == witness


def test_a_failure_names_the_holder_of_the_lock(
    namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "xtables.lock"
    monkeypatch.setenv("XTABLES_LOCKFILE", str(lock))
    step = Step("chains", None, chains("legacy", chain("A", MARK)))
    with lock.open("w", encoding="ascii") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        reason = failure(namespace, step, wait=1).reason
    assert f"held by pid {os.getpid()} (" in reason
    assert "waited 1 s" in reason
    namespace.call(restore.write, [step], OWNERSHIP, 1)


def test_nft_needs_no_lock(namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "xtables.lock"
    monkeypatch.setenv("XTABLES_LOCKFILE", str(lock))
    desired = chains("nft", chain("A", MARK))
    with lock.open("w", encoding="ascii") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        write(namespace, chains("nft"), desired)
    assert current(namespace, "nft") == desired
