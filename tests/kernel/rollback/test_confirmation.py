# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An unconfirmed change is rolled back completely; a confirmed one stays."""

from __future__ import annotations

import errno
import inspect
import json
import os
import signal
import syslog
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils import rollback
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel import writer
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.lock import write_lock
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rules import write_rules
from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import LOCK_FILE, STATE_FILE
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import Step, StepsFailed
from tests.kernel.rollback.failure import ROLLED_BACK, fail_reverting
from tests.kernel.rollback.pending import (
    CHANGED,
    FIRST,
    LATER,
    SOON,
    let_time_run_out,
    markers,
    pending_processes,
    time_is_up,
    until_none_pending,
    wait_for_the_test,
    waiting,
)
from tests.lab.snapshot import assert_same
from tests.lab.waiting import wait_until
from tests.support.agent import apply, command, persist, read_state
from tests.support.locks import held
from tests.support.node import Node
from tests.support.playbooks import Played, play
from tests.support.pools import ABSENT, CLUSTER, EXTERNAL, Parameters, declared
from tests.support.snapshots import assert_equivalent, unchanged

POOLS = "pool_routing"
PLUGINS = Path(__file__).parent / "connection_plugins"


@pytest.mark.parametrize("parameters", [FIRST, CHANGED, ABSENT], ids=["first", "changed", "absent"])
def test_an_unconfirmed_change_is_rolled_back(node: Node, parameters: Parameters) -> None:
    if parameters is not FIRST:
        node.change(POOLS, FIRST)
    before = node.snapshot()
    assert node.change(POOLS, {**parameters, **SOON}, before=wait_for_the_test)["changed"]
    assert before.difference(node.snapshot())
    let_time_run_out(node)
    assert_equivalent(before, node.snapshot())


def test_the_files_of_the_agent_are_rolled_back_too(node: Node) -> None:
    """Otherwise the agent would reconcile to the unconfirmed state."""
    before = node.snapshot()
    apply(node.host, {**FIRST, **SOON}, before=wait_for_the_test)
    assert before.difference(node.snapshot(), "files")
    assert not node.host.path(STATE_FILE).exists()
    let_time_run_out(node)
    assert_equivalent(before, node.snapshot())
    apply(node.host, FIRST)
    saved = read_state(node.host)
    apply(node.host, {**CHANGED, **SOON}, before=wait_for_the_test)
    assert read_state(node.host) == saved, "the next boot would have an unconfirmed state"
    let_time_run_out(node)
    assert read_state(node.host) == saved


def test_a_confirmed_change_stays(node: Node) -> None:
    pending = node.change(POOLS, {**FIRST, **LATER})["unconfirmed"]
    (marker,) = markers(node)
    assert pending_processes(node)
    assert (pending["path"], pending["seconds"]) == (f"/run/homeward.metallb_routing/{marker.name}", 60)
    marker.unlink()
    made = node.snapshot()
    until_none_pending(node)
    assert_same(made, node.snapshot(), *(made.keys() - {"files"}))
    assert not markers(node, "until")
    assert not node.change(POOLS, FIRST, check=True)["changed"]


def test_another_run_confirms(node: Node) -> None:
    """It has reached the node; a run in check mode confirms nothing."""
    node.change(POOLS, {**FIRST, **LATER})
    assert pending_processes(node)
    node.change(POOLS, FIRST, check=True)
    assert markers(node)
    assert not node.change(POOLS, {**FIRST, **LATER})["changed"]
    assert not markers(node)
    assert markers(node, "confirmed"), "the controller of the first run may still try to confirm"
    assert not node.change(POOLS, {**FIRST, **LATER})["changed"]
    assert not markers(node, "confirmed")
    until_none_pending(node)
    assert not node.change(POOLS, FIRST, check=True)["changed"]


def test_another_change_confirms_the_first_and_stays_pending(node: Node) -> None:
    node.change(POOLS, {**FIRST, **LATER})
    (first,) = markers(node)
    pending = node.change(POOLS, {**CHANGED, **LATER})["unconfirmed"]
    (second,) = markers(node)
    assert (first != second, pending["path"].endswith(second.name)) == (True, True)
    assert [path.name.partition(".")[2] for path in markers(node, "confirmed")] == [first.name.partition(".")[2]]
    for marker in (second, *markers(node, "confirmed")):
        marker.unlink()
    until_none_pending(node)
    assert not node.change(POOLS, CHANGED, check=True)["changed"]


def test_a_refused_run_confirms_nothing(node: Node) -> None:
    with unchanged(node):
        node.change(POOLS, {**FIRST, **SOON}, before=wait_for_the_test)
        assert node.module(POOLS, declared({**EXTERNAL, "interface": "nosuch0"})).get("failed")
        assert markers(node)
        let_time_run_out(node)


def test_a_run_during_the_first_one_confirms_nothing(node: Node) -> None:
    with unchanged(node):
        writing, go_on, counting = (node.host.path(f"/run/.lab/{name}") for name in ("writing", "go-on", "counting"))

        def pause(*arguments: Any) -> None:
            Path("/run/.lab/writing").touch()
            wait_until(Path("/run/.lab/go-on").exists, "the first run may continue")
            write_rules(*arguments)

        def arm() -> None:
            replace_rule_writer(pause)
            wait_and_roll_back = rollback.wait_and_roll_back

            def count(*arguments: Any) -> None:
                Path("/run/.lab/counting").touch()
                wait_and_roll_back(*arguments)

            rollback.wait_and_roll_back = count

        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(node.change, POOLS, {**FIRST, **SOON}, before=arm)
            wait_until(writing.exists, "the first run writes")
            try:
                answer = node.module(POOLS, FIRST, before=shorten_lock_wait)
                assert "Another run on this node has held the lock" in answer["msg"]
                assert markers(node)
                assert not counting.exists(), "the time to confirm has begun before the change is complete"
            finally:
                go_on.touch()
            first.result()
        until_none_pending(node)
        for file in (writing, go_on, counting):
            file.unlink()


def shorten_lock_wait() -> None:
    """Wait 0.1 seconds for the lock instead of a minute."""
    inspect.unwrap(write_lock).__defaults__ = (0.1,)  # type: ignore[attr-defined]


def replace_rule_writer(instead: Callable[..., None]) -> None:
    """Call this instead of writing rules."""
    writer.WRITERS["rule"] = instead


def die(*_arguments: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(_netlink: object, steps: Sequence[Step], _ownership: object) -> None:
    raise StepsFailed((), steps[0], "this step fails on purpose")


def fail_unexpectedly(*_arguments: object) -> None:
    raise ZeroDivisionError


def test_a_removal_on_the_node_cancels_the_rollback(node: Node) -> None:
    """Otherwise removed objects would come back."""
    with unchanged(node, assert_equivalent):
        persist(node.host)
        apply(node.host, {**CHANGED, **LATER})
        assert pending_processes(node)
        node.host.run(command("remove"))
        assert not markers(node)
        until_none_pending(node)


def forbid_fork() -> None:
    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    os.fork = fork


def test_a_node_that_cannot_prepare_the_rollback_is_not_changed(node: Node) -> None:
    with unchanged(node):
        answer = node.module(POOLS, {**FIRST, **SOON}, before=forbid_fork)
        assert "The node cannot prepare to roll back an unconfirmed change" in answer["msg"], answer
        assert "Resource temporarily unavailable" in answer["msg"]


def test_a_run_without_a_change_and_a_failed_run_leave_nothing_pending(node: Node) -> None:
    with unchanged(node):
        assert not node.change(POOLS, {**ABSENT, **SOON})["changed"]
        assert not pending_processes(node)
        answer = node.module(POOLS, {**FIRST, **SOON}, before=lambda: replace_rule_writer(refuse))
        assert answer["msg"].endswith(ROLLED_BACK), answer
        assert not markers(node)


def test_an_unexpected_exception_is_rolled_back_too(node: Node) -> None:
    with unchanged(node):
        answer = node.module(POOLS, {**FIRST, **SOON}, before=lambda: replace_rule_writer(fail_unexpectedly))
        assert '"add rule ' in answer["msg"], answer
        assert "failed: ZeroDivisionError" in answer["msg"], answer
        assert answer["msg"].endswith(ROLLED_BACK), answer
        assert not markers(node)


def test_a_killed_run_is_rolled_back(node: Node) -> None:
    before = node.snapshot()

    with pytest.raises(AssertionError, match="died"):
        node.change(POOLS, {**FIRST, **SOON}, before=waiting(lambda: replace_rule_writer(die)))
    assert before.difference(node.snapshot()), "killed before it changed anything"
    let_time_run_out(node)
    assert_same(before, node.snapshot())


def test_later_changes_are_rolled_back_with_a_change(node: Node) -> None:
    """The second run did not end, so it is unknown whether the node is reachable after the first."""
    with unchanged(node):
        node.change(POOLS, {**FIRST, **SOON}, before=wait_for_the_test)
        with pytest.raises(AssertionError, match="died"):
            node.change(POOLS, {**CHANGED, **LATER}, before=lambda: replace_rule_writer(die))
        assert len(markers(node)) == 2
        let_time_run_out(node)


# --- the rollback does not succeed at first


def test_a_held_lock_only_delays_the_rollback(node: Node) -> None:
    with unchanged(node):
        node.change(POOLS, {**FIRST, **SOON}, before=waiting(shorten_lock_wait, log_to_file))
        made, log = node.snapshot(), node.host.path(LOG)
        with held(node.host, "flock", LOCK_FILE):
            time_is_up(node)
            wait_until(log.exists, "a rollback has been tried")
            assert markers(node), "the rollback is not retried"
            assert_same(made, node.snapshot())
        until_none_pending(node)
        first, last = log.read_text().splitlines()
        assert "its rollback failed; retrying: Another run on this node has held the lock" in first
        assert last == "The last change was not confirmed in time and was rolled back."


LOG = "/run/.lab/syslog"


def log_to_file() -> None:
    """Have the background process write to a file what it writes to the system log."""

    def write(_priority: int, text: str) -> None:
        if text.startswith("The last change"):  # modules log their parameters, too
            with Path(LOG).open("a", encoding="utf-8") as log:
                print(text, file=log)

    syslog.syslog = write  # type: ignore[assignment]


def block(node: Node, kind: str) -> Path:
    """Create a file on the node, and return it; while it exists, :func:`blockable` makes reverting this kind of step fail."""
    file = node.host.path(f"/run/.lab/block-{kind}")
    file.touch()
    return file


def blockable() -> None:
    for kind in ("rule", "chains", "route"):
        fail_reverting(kind, "blocked by the test", when=Path(f"/run/.lab/block-{kind}").exists)


@pytest.mark.parametrize("kind", ["rule", "chains", "route"])
def test_a_blocked_rollback_is_retried(node: Node, kind: str) -> None:
    before = node.snapshot()
    node.change(POOLS, {**FIRST, **SOON}, before=waiting(blockable))
    obstacle = block(node, kind)
    time_is_up(node)
    wait_until(lambda: markers(node, "rolling-back"), "a rollback starts")
    chains, others = (
        ("iptables-nft-save", "ip6tables-nft-save"),
        ("sysctls", "routes4" if kind != "route" else "rules4"),
    )
    rest = (*others, *(chains if kind != "chains" else ("rules4", "rules6")))
    wait_until(lambda: not before.difference(node.snapshot(), *rest), "the rest is rolled back")
    assert before.difference(node.snapshot())
    assert not markers(node)
    obstacle.unlink()
    until_none_pending(node)
    assert_equivalent(before, node.snapshot())


def test_removing_the_marker_ends_the_retries(node: Node) -> None:
    node.change(POOLS, {**FIRST, **SOON}, before=waiting(blockable))
    block(node, "rule")
    time_is_up(node)
    wait_until(lambda: markers(node, "rolling-back"), "a rollback starts")
    (marker,) = markers(node, "rolling-back")
    marker.unlink()
    until_none_pending(node)


def test_another_run_ends_the_retries(node: Node) -> None:
    """It applies the desired state, whichever part was rolled back."""
    node.change(POOLS, {**FIRST, **SOON}, before=waiting(blockable))
    obstacle = block(node, "rule")
    time_is_up(node)
    wait_until(lambda: markers(node, "rolling-back"), "a rollback starts")
    node.change("ip_rules", {"rules": []})
    assert markers(node, "rolling-back"), "that module does not cover the state of the pools"
    node.change(POOLS, FIRST)
    obstacle.unlink()
    assert not markers(node, "rolling-back")
    until_none_pending(node)
    assert not node.change(POOLS, FIRST, check=True)["changed"]


def test_a_failed_rollback_of_a_failed_run_is_retried(node: Node) -> None:
    with unchanged(node, assert_equivalent):
        obstacle = block(node, "chains")

        arm = waiting(blockable, lambda: replace_rule_writer(refuse))
        answer = node.module(POOLS, {**FIRST, **SOON}, before=arm)
        assert "The rollback failed too" in answer["msg"], answer
        assert "The node retries the rollback in 2 s" in answer["msg"], answer
        assert markers(node)
        obstacle.unlink()
        let_time_run_out(node)


# --- with Ansible


def role_values(seconds: int) -> dict[str, Any]:
    return {
        "metallb_routing_pools": [dict(EXTERNAL)],
        "metallb_routing_cluster": dict(CLUSTER),
        "metallb_routing_confirm_timeout": seconds,
    }


def play_node(node: Node, folder: Path, seconds: int, state: str = "present", fault: str = "") -> Played:
    """Run the role node.

    :param fault: fault of the connection, see ``connection_plugins/netns_with_fault.py``.
    """
    book = [{"hosts": "all", "gather_facts": False, "roles": ["homeward.metallb_routing.node"]}]
    (folder / "site.yml").write_text(json.dumps(book))
    values = {
        **role_values(seconds),
        "metallb_routing_state": state,
        **({"ansible_connection": "netns_with_fault", "ansible_netns_fault": fault} if fault else {}),
    }
    return play(node, str(folder / "site.yml"), values, connection_plugins=PLUGINS)


def test_the_role_confirms_over_a_new_connection(node: Node, tmp_path: Path) -> None:
    assert play_node(node, tmp_path, 0).code == 0
    node.change(POOLS, ABSENT)
    with unchanged(node):
        played = play_node(node, tmp_path, 60)
        assert (played.code, played.changed()) == (0, 1), played.text
        assert not markers(node)
        until_none_pending(node)
        assert play_node(node, tmp_path, 60).changed() == 0
        assert not pending_processes(node)
        assert play_node(node, tmp_path, 60, "absent").changed() == 1
        until_none_pending(node)


def test_a_node_that_is_cut_off_becomes_reachable_again(node: Node, tmp_path: Path) -> None:
    """The connection fails while the node has managed rules."""
    assert play_node(node, tmp_path, 0).code == 0
    node.change(POOLS, ABSENT)
    with unchanged(node):
        played = play_node(node, tmp_path, 3, fault="cut_off")
        assert played.code != 0
        assert "could not be confirmed over a new connection within 3 s" in played.text, played.text
        assert "The node has rolled it back and is as before." in played.text, played.text
        assert "node1: waiting up to 3 s for a new connection, which confirms the change" in played.text
        assert "node1: not confirmed within 3 s; waiting up to 60 s until the node has rolled back." in played.text
        assert played.counts["node1"]["failed"] == 1
        assert played.counts["node1"]["unreachable"] == 0
        until_none_pending(node)


def test_a_rescue_sees_that_a_node_was_cut_off(node: Node, tmp_path: Path) -> None:
    """The connection fails until the node has rolled back: also when temporary files are removed."""
    role = {"name": "apply", "ansible.builtin.include_role": {"name": "homeward.metallb_routing.node"}}
    seen = {"name": "see", "ansible.builtin.debug": {"msg": "rescued: {{ ansible_failed_result.msg }}"}}
    book = [{"hosts": "all", "gather_facts": False, "tasks": [{"block": [role], "rescue": [seen]}]}]
    (tmp_path / "site.yml").write_text(json.dumps(book))
    with unchanged(node):
        values = {**role_values(2), "ansible_connection": "netns_with_fault", "ansible_netns_fault": "cut_off"}
        played = play(node, str(tmp_path / "site.yml"), values, connection_plugins=PLUGINS)
        assert played.code == 0, played.text
        assert "rescued: The change was applied, but could not be confirmed" in played.text, played.text
        until_none_pending(node)


def test_a_confirmation_whose_reply_gets_lost_counts(node: Node, tmp_path: Path) -> None:
    """The task tries again, and must not report a rollback."""
    assert play_node(node, tmp_path, 0).code == 0
    with unchanged(node, assert_equivalent):
        node.change(POOLS, ABSENT)
        played = play_node(node, tmp_path, 60, fault="lost_reply")
        assert (played.code, played.changed()) == (0, 1), played.text
        until_none_pending(node)
