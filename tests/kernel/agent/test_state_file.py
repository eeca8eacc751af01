# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command with a state file that is not right, while nobody or the guard runs; and what status tells of a node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import STATE_FILE
from tests.support.agent import (
    Guard,
    apply,
    command,
    differences,
    keep,
    metrics,
    picture,
    read_state,
    tell_status,
    until,
    until_same,
    write_state,
)
from tests.support.node import Answer, EngineNode, warnings_of
from tests.support.pools import EXTERNAL, STORAGE, declared
from tests.support.prometheus import Metric, parse

#: How the file is spoiled, and the words of the refusal
DAMAGES = {
    "truncated": (f"truncate -s -20 {STATE_FILE}", "damaged or not whole"),
    "empty": (f"truncate -s 0 {STATE_FILE}", "damaged or not whole"),
    "newer": (
        f"""sed -i 's/"format": 1/"format": 2/' {STATE_FILE}""",
        "has format 2, and this version of the collection knows 1",
    ),
    "wrong owner": (f"chown 1000 {STATE_FILE}", "belongs to user 1000 with mode 0600; it must be root's"),
    "wrong mode": (f"chmod 0644 {STATE_FILE}", "belongs to user 0 with mode 0644"),
    "symbolic link": (f"mv {STATE_FILE} /run/elsewhere; ln -s /run/elsewhere {STATE_FILE}", "is a symbolic link"),
    "pipe": (f"rm {STATE_FILE}; mkfifo -m 0600 {STATE_FILE}", "is not a regular file"),
    "missing": (f"rm {STATE_FILE}", "No such file"),
    "nothing wanted": (
        f"""sed -i 's/"rules": \\[$/"rules": {{}}, "rest": [/' {STATE_FILE}""",
        "rules is not of type list",
    ),
}
SPOIL = [pytest.param(*damage, id=name) for name, damage in DAMAGES.items()]
LOSS = "ip rule flush protocol 77; ip route flush table 7701"


@pytest.fixture(scope="module")
def node() -> Iterator[EngineNode]:
    with EngineNode() as made:
        keep(made.host)
        yield made


@pytest.fixture
def kept(node: EngineNode) -> Iterator[str]:
    """The text of the state file, which is right again after the test, and so is the node."""
    text = read_state(node.host)
    yield text
    node.host.run(f"rm -rf {STATE_FILE}")
    write_state(node.host, text)
    node.host.run(command("restore"))


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(("spoil", "words"), SPOIL)
def test_a_state_file_that_is_not_right_is_refused_and_changes_nothing(
    node: EngineNode, spoil: str, words: str
) -> None:
    host = node.host
    host.run(LOSS)  # so that there is something to do
    host.run(spoil)
    before = picture(host)
    for word in ("restore", "guard", "status"):
        done = host.run(command(word), check=False, timeout=60)
        assert (done.returncode, done.stdout) == (2, ""), word
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert "Run the playbook homeward.metallb_routing.apply to write it anew." in done.stderr
    code, facts = tell_status(host)
    assert (code, facts["right"]) == (2, False)
    assert words in facts["error"]
    assert differences(before, picture(host)) == []


@pytest.mark.parametrize(("spoil", "words"), SPOIL)
def test_a_guard_that_runs_keeps_the_last_good_state_and_says_so(
    node: EngineNode, kept: str, tmp_path: Path, spoil: str, words: str
) -> None:
    host = node.host
    right = picture(host)
    with Guard(host, tmp_path) as guard:
        host.run(spoil)
        host.run(LOSS)
        until_same(host, right, guard)
        until(lambda: words in guard.report()["trouble"], guard.said)
        assert "Until then the state that was read before is kept." in guard.said()
        assert guard.said().count(words) == 1, "told once, not at every look"

        host.run(f"rm -rf {STATE_FILE}")
        write_state(host, kept)
        guard.forgive()
        assert guard.report()["trouble"] == ""
        assert guard.stop() == 0


def test_restore_tells_what_it_does_and_that_nothing_is_left(node: EngineNode) -> None:
    host = node.host
    right = picture(host)
    host.run(LOSS)
    done = host.run(command("restore"))
    assert "add rule priority 2800" in done.stdout
    assert done.stdout.endswith("The node is as declared.\n")
    assert differences(right, picture(host)) == []
    assert host.run(command("restore")).stdout == "The node is as declared.\n"


def test_status_tells_what_is_missing_without_a_guard(node: EngineNode) -> None:
    host = node.host
    assert tell_status(host)[0] == 0
    host.run("ip rule del priority 2800")
    code, facts = tell_status(host)
    assert (code, facts["right"], facts["guard"]["running"]) == (1, False, False)
    (missing,) = facts["missing"]
    assert missing.startswith("add rule priority 2800")
    assert facts["declared"]["addresses"] == 2
    told = host.run(command("status"), check=False)
    assert told.returncode == 1
    assert f"Missing: would {missing}" in told.stdout
    assert "The guard is not running" in told.stdout
    assert "The node is as declared" not in told.stdout
    assert host.output("ip rule list priority 2800") == "", "looking changes nothing"
    host.run(command("restore"))
    assert "The node is as declared." in host.output(command("status"))


def test_status_tells_of_a_change_that_nobody_confirmed(node: EngineNode) -> None:
    host = node.host
    keep(host, priority_base=5000, confirm_timeout=600)
    (marker,) = host.path("/run/homeward.metallb_routing").glob("unconfirmed.*")
    code, facts = tell_status(host)
    assert (code, facts["right"]) == (0, True)
    assert [text.partition(";")[0] for text in facts["undecided"]] == ["A change is not confirmed"]
    marker.rename(marker.with_name(marker.name.replace("unconfirmed", "rolling-back")))
    assert "A change is being rolled back, which is not complete" in host.output(command("status"))
    host.run(f"mv {STATE_FILE} {STATE_FILE}.away")
    assert tell_status(host)[1]["undecided"], "the state file goes early"
    assert "is being rolled back" in host.run(command("status"), check=False).stderr
    host.run(f"mv {STATE_FILE}.away {STATE_FILE}")
    keep(host)
    assert tell_status(host)[1]["undecided"] == []


def healed(**counts: int) -> dict[tuple[tuple[str, str], ...], float]:
    kinds = ("address", "chains", "link", "route", "rule", "sysctl")
    return {(("kind", kind),): float(counts.get(kind, 0)) for kind in kinds}


def test_status_and_metrics_tell_what_was_put_back_and_when(node: EngineNode, tmp_path: Path) -> None:
    host = node.host
    right = picture(host)
    prefix = "homeward_metallb_routing"
    with Guard(host, tmp_path) as guard:
        fresh = parse(metrics(host))
        assert fresh[f"{prefix}_healed_total"] == Metric("counter", healed())
        host.run("ip rule del priority 2800")
        host.run("ip -6 route del default table 7701 metric 1024")
        until_same(host, right, guard)
        until(lambda: guard.report()["healed"] == {"rule": 1, "route": 1}, guard.said)
        code, facts = tell_status(host)
        told = host.output(command("status"))
        guard.forgive()
        found = parse(metrics(host))
        report = guard.report()
    assert (code, facts["right"], facts["missing"], facts["guard"]["running"]) == (0, True, [], True)
    (rule,) = (entry for entry in facts["guard"]["recent"] if entry["kind"] == "rule")
    assert report["started"] < rule["when"] < report["checked"]
    assert rule["what"].startswith("add rule priority 2800")
    assert "put back 2 objects" in told
    assert rule["what"] in told
    assert found[f"{prefix}_healed_total"].values == healed(rule=1, route=1)
    for name, value in (("drift", 0), ("waiting", 0), ("left_alone", 0)):
        assert found[f"{prefix}_{name}"] == Metric("gauge", {(): float(value)})
    assert found[f"{prefix}_last_check_timestamp_seconds"].values == {(): round(report["checked"], 3)}
    assert found[f"{prefix}_state_info"].values == {(("hash", report["state_hash"]),): 1.0}
    assert "The guard is not running" in host.output(command("status")), "its report is there, but it has ended"


def test_a_pool_that_is_left_out_is_named(node: EngineNode) -> None:
    """Two roles one after the other, each with its own pools, would take away each other's without a word."""
    assert not told_of_pools(apply(node.host, declared(EXTERNAL, STORAGE)))
    assert not told_of_pools(apply(node.host, declared(EXTERNAL, STORAGE)))
    (text,) = told_of_pools(apply(node.host, declared(EXTERNAL)))
    assert text.startswith("pools: storage no longer declared and therefore removed from this node.")
    assert not told_of_pools(apply(node.host, declared(EXTERNAL)))


def told_of_pools(answer: Answer) -> list[str]:
    return [text for text in warnings_of(answer) if text.startswith("pools: ")]


def test_metrics_go_where_they_are_declared_to(node: EngineNode, tmp_path: Path) -> None:
    host = node.host
    host.run("mkdir /var/lib/collector")
    keep(host, metrics_directory="/var/lib/collector")
    with Guard(host, tmp_path):
        text = host.run("cat /var/lib/collector/*.prom").stdout
    assert parse(text)["homeward_metallb_routing_drift"].values == {(): 0.0}
    keep(host)
