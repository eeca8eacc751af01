# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the next boot reads is written by the commit, when the change is confirmed, and not before."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils import pending
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel import systemd
from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import PROTOCOL_FILE, STATE_FILE, UNIT_FILE
from tests.kernel.rollback.pending import (
    CHANGED,
    FIRST,
    LATER,
    SOON,
    markers,
    pending_processes,
    until_none_pending,
    wait_for_the_test,
)
from tests.lab.waiting import wait_until
from tests.support.agent import apply, command, read_state, status_json
from tests.support.node import Node
from tests.support.pools import ABSENT, Parameters
from tests.support.snapshots import assert_equivalent, unchanged

SYSTEMCTL = """\
#!/bin/sh
echo "$@" >> /run/.lab/systemctl.log
[ ! -e /run/.lab/systemctl-fails ] || [ "$1" != restart ] || { echo 'Job failed.' >&2; exit 1; }
"""


@pytest.fixture
def node() -> Iterator[Node]:
    """A node whose systemctl only notes what it is asked for."""
    with Node() as made:
        made.host.path("/run/.lab/systemctl").write_text(SYSTEMCTL)
        made.host.run(
            "chmod 755 /run/.lab/systemctl; mount --bind /run/.lab/systemctl $(readlink -f $(command -v systemctl))"
        )
        yield made


def change(node: Node, parameters: Parameters, before: Callable[[], object] = lambda: None, **options: int) -> str:
    """Apply with the agent's files; return the command line that commits the change."""
    pending = apply(node.host, {**parameters, **(options or LATER)}, before=before)["unconfirmed"]
    return str(pending["commit"])


def commit(node: Node, line: str) -> subprocess.CompletedProcess[str]:
    """Run the command, and forget the confirmation, as the controller does."""
    done = node.host.run(line, check=False)
    node.host.run("rm -f /run/homeward.metallb_routing/confirmed.*")
    return done


WAITING = "/run/.lab/waiting"


def note_waiting() -> None:
    """Have the run create a file when it finds a change that is not decided yet."""
    due = pending.due  # called between two looks at the decision

    def noted(name: str) -> float:
        Path(WAITING).touch()
        return due(name)

    pending.due = noted


def has(node: Node, path: str) -> bool:
    return node.host.path(path).exists()


def test_a_first_change_writes_nothing_for_the_boot_before_it_is_committed(node: Node) -> None:
    line = change(node, FIRST)
    assert node.host.output("ip route show table 7701"), "the kernel has it"
    assert not has(node, STATE_FILE)
    assert not has(node, UNIT_FILE)
    assert not has(node, PROTOCOL_FILE)
    done = node.host.run(line, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert markers(node, "confirmed"), "the answer may get lost, and the controller asks again"
    node.host.run("rm -f /run/homeward.metallb_routing/confirmed.*")
    assert has(node, STATE_FILE)
    assert "restart homeward-metallb-routing.service" in node.host.path("/run/.lab/systemctl.log").read_text()
    assert not markers(node)
    assert not list(node.host.path("/run/homeward.metallb_routing").glob("change.*"))
    until_none_pending(node)
    assert status_json(node.host)[1]["right"] is True


def test_the_boot_has_the_former_state_until_the_commit(node: Node) -> None:
    commit(node, change(node, FIRST))
    saved = read_state(node.host)
    line = change(node, CHANGED)
    assert read_state(node.host) == saved
    commit(node, line)
    assert read_state(node.host) != saved
    saved = read_state(node.host)
    line = change(node, ABSENT)
    assert read_state(node.host) == saved
    assert not node.host.output("ip rule show | grep 7701 || true")
    commit(node, line)
    assert not has(node, STATE_FILE)
    until_none_pending(node)


def test_an_uncommitted_change_is_rolled_back_without_a_trace(node: Node) -> None:
    commit(node, change(node, FIRST))
    until_none_pending(node)
    with unchanged(node, assert_equivalent):
        for parameters in (CHANGED, ABSENT):
            line = change(node, parameters, **SOON)
            until_none_pending(node)
            assert not has(node, line.split()[1])
        node.host.path("/run/.lab/systemctl.log").unlink()


def test_a_repeated_commit_succeeds_and_a_late_one_is_refused(node: Node) -> None:
    line = change(node, FIRST)
    node.host.run("kill -9 " + " ".join(map(str, pending_processes(node))))  # it would end with the marker file
    (marker,) = markers(node)
    marker.rename(marker.with_name(marker.name.replace("unconfirmed", "confirmed")))
    assert node.host.run(line, check=False).returncode == 0, "the answer to the first may have got lost"
    (marker,) = markers(node, "confirmed")
    marker.rename(marker.with_name(marker.name.replace("confirmed", "rolling-back")))
    late = commit(node, line)
    assert late.returncode == 3
    assert "was not confirmed in time" in late.stderr


def test_a_commit_that_fails_rolls_everything_back(node: Node) -> None:
    with unchanged(node):
        node.host.path("/run/.lab/systemctl-fails").touch()
        done = commit(node, change(node, FIRST))
        assert done.returncode == 3
        assert '"systemctl restart homeward-metallb-routing.service" failed: Job failed.' in done.stderr
        assert done.stderr.endswith("The change was rolled back; the node is as before.\n")
        until_none_pending(node)


def test_another_run_waits_for_the_decision_and_builds_on_it(node: Node) -> None:
    """It cannot know what the node will be like, and would take the first change for granted."""
    line = change(node, FIRST)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(apply, node.host, CHANGED, before=note_waiting)
        wait_until(node.host.path(WAITING).exists, "the second run waits for the decision")
        assert not second.done()
        assert markers(node)
        assert commit(node, line).returncode == 0
        assert second.result()["changed"]
    assert "1.2.3.2" in read_state(node.host)
    assert status_json(node.host)[1]["right"] is True
    until_none_pending(node)


def test_another_run_waits_for_a_rollback_too(node: Node) -> None:
    change(node, FIRST, confirm_timeout=3)
    assert apply(node.host, CHANGED)["changed"]
    assert "1.2.3.2" in node.host.output("ip route show table 7701")
    until_none_pending(node)
    assert status_json(node.host)[1]["right"] is True


def test_a_rollback_whose_process_was_killed_is_done_by_the_next_run(node: Node) -> None:
    change(node, FIRST, wait_for_the_test, confirm_timeout=1)
    for pid in pending_processes(node):
        node.host.run(f"kill -9 {pid}")
    assert apply(node.host, ABSENT)["changed"] is False
    assert not markers(node)
    assert not has(node, STATE_FILE)


def test_a_rollback_that_was_killed_is_continued(node: Node) -> None:
    """By the script of the change, as the service manager starts it again."""
    before = node.snapshot()
    name = change(node, FIRST, wait_for_the_test, **SOON).split()[-1]
    (marker,) = markers(node)
    for pid in pending_processes(node):
        node.host.run(f"kill -9 {pid}")
    marker.rename(marker.with_name(marker.name.replace("unconfirmed", "rolling-back")))
    node.host.run(f"/bin/sh /run/homeward.metallb_routing/change.{name}/run rollback {name}")
    assert_equivalent(before, node.snapshot())
    node.host.run(f"! /bin/sh /run/homeward.metallb_routing/change.{name}/run rollback {name} 2>/dev/null")


def test_status_says_who_rolls_back(node: Node) -> None:
    commit(node, change(node, FIRST))
    until_none_pending(node)
    line = change(node, CHANGED)
    assert status_json(node.host)[1]["undecided"] == [
        "A change is not confirmed yet; the node rolls it back unless it is confirmed in time."
    ]
    for pid in pending_processes(node):
        node.host.run(f"kill -9 {pid}")
    (sentence,) = status_json(node.host)[1]["undecided"]
    script = line.split()[1]
    assert f'"sh {script} rollback ' in sentence
    assert "nothing on this node is going to roll it back" in sentence
    assert sentence in node.host.run(command("status"), check=False).stdout
    commit(node, line)
    wait_until(lambda: not markers(node), "it is committed")


def test_no_timer_is_started_for_another_network_namespace(node: Node) -> None:
    """Its command would act on that of systemd."""

    def start() -> bool:
        systemd.systemd_runs = lambda: True
        systemd._run = lambda *_words: ""  # noqa: SLF001 - systemd-run would succeed
        return systemd.start_timer("homeward-test", 1, ("true",))

    assert node.call(start) is False
