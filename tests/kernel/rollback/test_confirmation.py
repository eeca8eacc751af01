# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change that nobody confirms goes, all of it; one that is confirmed stays."""

from __future__ import annotations

import errno
import inspect
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel import writer
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.lock import write_lock
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rules import write_rules
from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import LOCK_FILE as LOCK
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import Step, StepsFailed
from tests.kernel.rollback.failure import ROLLED_BACK
from tests.lab.namespaces import processes_in
from tests.lab.snapshot import assert_same
from tests.lab.waiting import wait_until
from tests.support.agent import apply, command, persist, read_state
from tests.support.node import Node
from tests.support.playbooks import Played, play
from tests.support.pools import ABSENT, CLUSTER, EXTERNAL, SECOND, STORAGE, Parameters, declared
from tests.support.snapshots import assert_equivalent

POOLS = "pool_routing"
SOON = {"confirm_timeout": 2}
LATER = {"confirm_timeout": 60}  # for what is confirmed, however slow the machine is
FIRST = declared(EXTERNAL, STORAGE)
CHANGED = declared({**EXTERNAL, "gateways": ["1.2.3.2", "fd00:1:2:3::2"]}, SECOND)
PLUGINS = Path(__file__).parent / "connection_plugins"


def waiting(node: Node) -> list[int]:
    """Return the processes that will roll a change back."""
    return [pid for pid in processes_in([node.name]) if pid != node.host.holder]


def until_none_waits(node: Node) -> None:
    wait_until(lambda: not waiting(node), lambda: f"processes {waiting(node)} still wait for a confirmation")


def until_rolled_back(node: Node) -> None:
    assert waiting(node), "nobody waits for a confirmation"
    until_none_waits(node)


def markers(node: Node, state: str = "unconfirmed") -> list[Path]:
    """Return the marker files of changes in this state."""
    return list(node.host.path("/run/homeward.metallb_routing").glob(f"{state}.*"))


@pytest.mark.parametrize("parameters", [FIRST, CHANGED, ABSENT], ids=["first", "changed", "absent"])
def test_what_nobody_confirms_is_rolled_back(node: Node, parameters: Parameters) -> None:
    if parameters is not FIRST:
        node.change(POOLS, FIRST)
    before = node.snapshot()
    assert node.change(POOLS, {**parameters, **SOON})["changed"]
    assert before.difference(node.snapshot())
    until_rolled_back(node)
    assert_equivalent(before, node.snapshot())


def test_what_keeps_the_state_is_rolled_back_with_it(node: Node) -> None:
    """Or the service would put back at once, and at every boot, what nobody confirmed."""
    before = node.snapshot()
    apply(node.host, {**FIRST, **SOON})
    assert before.difference(node.snapshot(), "files")
    until_rolled_back(node)
    assert_equivalent(before, node.snapshot())
    apply(node.host, FIRST)
    kept = read_state(node.host)
    apply(node.host, {**CHANGED, **SOON})
    assert read_state(node.host) != kept
    until_rolled_back(node)
    assert read_state(node.host) == kept


def test_what_is_confirmed_stays(node: Node) -> None:
    pending = node.change(POOLS, {**FIRST, **LATER})["unconfirmed"]
    (marker,) = markers(node)
    assert waiting(node)
    assert (pending["path"], pending["seconds"]) == (f"/run/homeward.metallb_routing/{marker.name}", 60)
    marker.unlink()
    made = node.snapshot()
    until_none_waits(node)
    assert_same(made, node.snapshot())
    assert not node.change(POOLS, FIRST, check=True)["changed"]


def test_another_run_confirms(node: Node) -> None:
    """It has found its way to the node; a run in check mode decides nothing."""
    node.change(POOLS, {**FIRST, **LATER})
    assert waiting(node)
    node.change(POOLS, FIRST, check=True)
    assert markers(node)
    assert not node.change(POOLS, {**FIRST, **LATER})["changed"]
    assert not markers(node)
    assert markers(node, "confirmed"), "the first run's controller may still be asking"
    assert not node.change(POOLS, {**FIRST, **LATER})["changed"]
    assert not markers(node, "confirmed")
    until_none_waits(node)
    assert not node.change(POOLS, FIRST, check=True)["changed"]


def test_another_run_that_is_refused_confirms_nothing(node: Node) -> None:
    before = node.snapshot()
    node.change(POOLS, {**FIRST, "confirm_timeout": 3})
    assert node.module(POOLS, declared({**EXTERNAL, "interface": "nosuch0"})).get("failed")
    assert markers(node)
    until_rolled_back(node)
    assert_same(before, node.snapshot())


def test_another_run_that_comes_while_the_first_is_writing_confirms_nothing(node: Node) -> None:
    before = node.snapshot()
    writing, go_on = node.host.path("/run/.lab/writing"), node.host.path("/run/.lab/go-on")

    def pause(*arguments: Any) -> None:
        Path("/run/.lab/writing").touch()
        wait_until(Path("/run/.lab/go-on").exists, lambda: "nobody lets the first run go on")
        write_rules(*arguments)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(node.change, POOLS, {**FIRST, **SOON}, before=lambda: trap(pause))
        wait_until(writing.exists, lambda: "the first run does not write")
        try:
            answer = node.module(POOLS, FIRST, before=be_impatient)
            assert "Another run on this node has held the lock" in answer["msg"]
            assert markers(node)
        finally:
            go_on.touch()
        first.result()
    until_none_waits(node)
    writing.unlink()
    go_on.unlink()
    assert_same(before, node.snapshot())


@contextmanager
def held_lock(node: Node) -> Iterator[None]:
    """Hold the lock of the node, as a run does that takes long."""
    command = node.host.command(["flock", LOCK, "sh", "-c", "echo held; exec cat"])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        assert holder.stdin is not None
        holder.stdin.close()


def be_impatient() -> None:
    """Wait a moment for the lock, instead of a minute."""
    inspect.unwrap(write_lock).__defaults__ = (0.1,)  # type: ignore[attr-defined]


def trap(instead: Callable[..., None]) -> None:
    """Do this instead of writing rules."""
    writer.WRITERS["rule"] = instead


def die(*_arguments: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(_netlink: object, steps: Sequence[Step], _ownership: object) -> None:
    raise StepsFailed((), steps[0], "somebody pulled the plug")


def make_a_mistake(*_arguments: object) -> None:
    raise ZeroDivisionError


def test_removing_on_the_node_confirms_too(node: Node) -> None:
    """Or what was removed would come back when the time is over."""
    before = node.snapshot()
    persist(node.host, **LATER)
    assert waiting(node)
    node.host.run(command("remove"))
    assert not markers(node)
    until_none_waits(node)
    assert_equivalent(before, node.snapshot())


def fork_no_more() -> None:
    def refuse_to() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    os.fork = refuse_to


def test_a_node_that_could_not_roll_it_back_is_not_changed(node: Node) -> None:
    before = node.snapshot()
    answer = node.module(POOLS, {**FIRST, **SOON}, before=fork_no_more)
    assert "The node cannot prepare to roll back an unconfirmed change" in answer["msg"], answer
    assert "Resource temporarily unavailable" in answer["msg"]
    assert_same(before, node.snapshot())


def test_a_run_without_change_and_one_that_fails_leave_nothing_to_confirm(node: Node) -> None:
    before = node.snapshot()
    assert not node.change(POOLS, {**ABSENT, **SOON})["changed"]
    assert not waiting(node)
    answer = node.module(POOLS, {**FIRST, **SOON}, before=lambda: trap(refuse))
    assert answer["msg"].endswith(ROLLED_BACK), answer
    assert not markers(node)
    assert_same(before, node.snapshot())


def test_a_mistake_of_ours_is_undone_too(node: Node) -> None:
    before = node.snapshot()
    answer = node.module(POOLS, {**FIRST, **SOON}, before=lambda: trap(make_a_mistake))
    assert '"add rule ' in answer["msg"], answer
    assert "failed: ZeroDivisionError" in answer["msg"], answer
    assert answer["msg"].endswith(ROLLED_BACK), answer
    assert not markers(node)
    assert_same(before, node.snapshot())


def test_a_run_that_is_killed_leaves_no_half_of_it(node: Node) -> None:
    before = node.snapshot()

    with pytest.raises(AssertionError, match="died"):
        node.change(POOLS, {**FIRST, **SOON}, before=lambda: trap(die))
    assert before.difference(node.snapshot()), "killed before it had done anything"
    until_rolled_back(node)
    assert_same(before, node.snapshot())


def test_with_a_change_all_goes_that_was_done_after_it(node: Node) -> None:
    """The second run did not come to its end, so nobody knows whether the node can be reached after the first."""
    before = node.snapshot()
    node.change(POOLS, {**FIRST, "confirm_timeout": 4})
    with pytest.raises(AssertionError, match="died"):
        node.change(POOLS, {**CHANGED, **LATER}, before=lambda: trap(die))
    assert len(markers(node)) == 2
    until_rolled_back(node)
    assert_same(before, node.snapshot())


# --- the rollback does not succeed at once


def test_the_lock_is_held_when_the_time_is_over(node: Node) -> None:
    before = node.snapshot()
    node.change(POOLS, {**FIRST, **SOON}, before=be_impatient)
    made = node.snapshot()
    with held_lock(node):
        time.sleep(4)
        assert markers(node), "nobody tries again"
        assert_same(made, node.snapshot())
    until_rolled_back(node)
    assert_same(before, node.snapshot())


def hinder(node: Node, kind: str) -> Path:
    """Return a file on the node; as long as it is there no step of this kind can be undone by a run that :func:`hindered`."""
    file = node.host.path(f"/run/.lab/hinder-{kind}")
    file.touch()
    return file


def hindered() -> None:
    write = writer._write  # noqa: SLF001 - our own seam between the kinds of steps

    def failing(kind: str, steps: Sequence[Step], *others: Any) -> None:
        reverts = steps[0].after is None or (kind == "chains" and not getattr(steps[0].after, "chains", True))
        if reverts and Path(f"/run/.lab/hinder-{kind}").exists():
            raise StepsFailed((), steps[0], "somebody is in the way")
        write(kind, steps, *others)

    writer._write = failing  # type: ignore[assignment] # noqa: SLF001


@pytest.mark.parametrize("kind", ["rule", "chains", "route"])
def test_what_cannot_be_rolled_back_yet_is_tried_again(node: Node, kind: str) -> None:
    before = node.snapshot()
    node.change(POOLS, {**FIRST, **SOON}, before=hindered)
    obstacle = hinder(node, kind)
    wait_until(lambda: markers(node, "rolling-back"), lambda: "nobody rolls it back")
    wait_until(lambda: not before.difference(node.snapshot(), "sysctls"), lambda: "the rest is not rolled back")
    assert before.difference(node.snapshot())
    assert not markers(node)
    obstacle.unlink()
    until_rolled_back(node)
    assert_equivalent(before, node.snapshot())


def test_removing_the_marker_ends_the_tries(node: Node) -> None:
    node.change(POOLS, {**FIRST, **SOON}, before=hindered)
    hinder(node, "rule")
    wait_until(lambda: markers(node, "rolling-back"), lambda: "nobody rolls it back")
    (marker,) = markers(node, "rolling-back")
    marker.unlink()
    until_none_waits(node)


def test_another_run_ends_the_tries(node: Node) -> None:
    """It makes the node as declared, whatever had been rolled back of that."""
    node.change(POOLS, {**FIRST, **SOON}, before=hindered)
    obstacle = hinder(node, "rule")
    wait_until(lambda: markers(node, "rolling-back"), lambda: "nobody rolls it back")
    node.change("ip_rules", {"rules": []})
    assert markers(node, "rolling-back"), "that module says nothing about pools"
    node.change(POOLS, FIRST)
    obstacle.unlink()
    assert not markers(node, "rolling-back")
    until_none_waits(node)
    assert not node.change(POOLS, FIRST, check=True)["changed"]


def test_what_could_not_be_reverted_is_rolled_back(node: Node) -> None:
    before = node.snapshot()
    obstacle = hinder(node, "chains")

    def arm() -> None:
        hindered()
        trap(refuse)

    answer = node.module(POOLS, {**FIRST, **SOON}, before=arm)
    assert "The rollback failed too" in answer["msg"], answer
    assert "the node retries the rollback in 2 s" in answer["msg"], answer
    assert markers(node)
    obstacle.unlink()
    until_rolled_back(node)
    assert_equivalent(before, node.snapshot())


# --- as a user runs it


def play_node(node: Node, folder: Path, connection: str, seconds: int, state: str = "present") -> Played:
    """Run the node's role; the connection named decides about what comes after."""
    book = [{"hosts": "all", "gather_facts": False, "roles": ["homeward.metallb_routing.node"]}]
    (folder / "site.yml").write_text(json.dumps(book))
    values = {
        "metallb_routing_pools": [dict(EXTERNAL)],
        "metallb_routing_cluster": dict(CLUSTER),
        "metallb_routing_confirm_timeout": seconds,
        "metallb_routing_state": state,
        "ansible_connection": connection,
    }
    return play(node, str(folder / "site.yml"), values, connection_plugins=PLUGINS)


def test_the_role_confirms_by_a_new_connection(node: Node, tmp_path: Path) -> None:
    assert play_node(node, tmp_path, "netns", 0).code == 0, "brings pyroute2, which stays"
    node.change(POOLS, ABSENT)
    before = node.snapshot()
    played = play_node(node, tmp_path, "netns", 60)
    assert (played.code, played.changed()) == (0, 1), played.text
    assert not markers(node)
    until_none_waits(node)
    assert play_node(node, tmp_path, "netns", 60).changed() == 0
    assert not waiting(node)
    assert play_node(node, tmp_path, "netns", 60, "absent").changed() == 1
    until_none_waits(node)
    assert_same(before, node.snapshot())


def test_a_node_that_is_cut_off_comes_back(node: Node, tmp_path: Path) -> None:
    """The connection fails as long as the node has our rules: whatever is to blame for that is gone with them."""
    assert play_node(node, tmp_path, "netns", 0).code == 0
    node.change(POOLS, ABSENT)
    before = node.snapshot()
    played = play_node(node, tmp_path, "netns_cut_off_by_rules", 3)
    assert played.code != 0
    assert "could not be confirmed over a new connection within 3 s" in played.text, played.text
    until_none_waits(node)
    assert_same(before, node.snapshot())


def test_an_answer_that_gets_lost_confirms_all_the_same(node: Node, tmp_path: Path) -> None:
    """The task asks once more, and must not tell that the change is rolled back."""
    assert play_node(node, tmp_path, "netns", 0).code == 0
    made = node.snapshot()
    node.change(POOLS, ABSENT)
    played = play_node(node, tmp_path, "netns_loses_an_answer", 60)
    assert (played.code, played.changed()) == (0, 1), played.text
    until_none_waits(node)
    assert_equivalent(made, node.snapshot())
