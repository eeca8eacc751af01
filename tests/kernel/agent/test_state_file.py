# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command with an unusable state file, with and without an agent; and the status of a node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import STATE_FILE
from tests.lab.host import Host
from tests.lab.snapshot import assert_same
from tests.lab.waiting import wait_until
from tests.support.agent import Agent, apply, command, metrics, persist, read_state, status_json, write_state
from tests.support.modules import Answer, warnings_of
from tests.support.node import Node
from tests.support.pools import EXTERNAL, STORAGE, declared
from tests.support.prometheus import Metric, parse
from tests.support.snapshots import restorable

#: How the file is damaged, and a part of the error
DAMAGES = {
    "truncated": (f"truncate -s -20 {STATE_FILE}", "damaged or incomplete"),
    "empty": (f"truncate -s 0 {STATE_FILE}", "damaged or incomplete"),
    "newer": (
        f"""sed -i 's/"format": 1/"format": 2/' {STATE_FILE}""",
        "has format 2, and this version of the collection supports 1",
    ),
    "wrong owner": (f"chown 1000 {STATE_FILE}", "belongs to user 1000 and has mode 0600. It must belong to root"),
    "wrong mode": (f"chmod 0644 {STATE_FILE}", "belongs to user 0 and has mode 0644"),
    "symbolic link": (f"mv {STATE_FILE} /run/elsewhere; ln -s /run/elsewhere {STATE_FILE}", "is a symbolic link"),
    "pipe": (f"rm {STATE_FILE}; mkfifo -m 0600 {STATE_FILE}", "is not a regular file"),
    "missing": (f"rm {STATE_FILE}", "No such file"),
    "no list": (
        f"""sed -i 's/"rules": \\[$/"rules": {{}}, "rest": [/' {STATE_FILE}""",
        "rules is not of type list",
    ),
}
SPOIL = [pytest.param(*damage, id=name) for name, damage in DAMAGES.items()]
LOSS = "ip rule flush protocol 77; ip route flush table 7701"


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with Node() as made:
        persist(made.host)
        yield made


@pytest.fixture
def state_text(node: Node) -> Iterator[str]:
    """The text of the state file; after the test the file is restored, and so is the node."""
    text = read_state(node.host)
    yield text
    node.host.run(f"rm -rf {STATE_FILE}")
    write_state(node.host, text)
    node.host.run(command("restore"))


@pytest.mark.usefixtures("state_text")
@pytest.mark.parametrize(("spoil", "words"), SPOIL)
def test_an_unusable_state_file_is_refused_and_changes_nothing(node: Node, spoil: str, words: str) -> None:
    host = node.host
    host.run(LOSS)  # so that there is drift
    host.run(spoil)
    before = restorable(host)
    for word in ("restore", "agent", "guard", "status"):
        done = host.run(command(word), check=False, timeout=60)
        assert (done.returncode, done.stdout) == (2, ""), word
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert "Run the playbook homeward.metallb_routing.apply to rewrite it." in done.stderr
    code, facts = status_json(host)
    assert (code, facts["right"]) == (2, False)
    assert words in facts["error"]
    assert_same(before, restorable(host))


@pytest.mark.parametrize(("spoil", "words"), SPOIL)
def test_a_running_agent_keeps_the_last_usable_state_and_reports_so(
    node: Node, state_text: str, tmp_path: Path, spoil: str, words: str
) -> None:
    host = node.host
    right = restorable(host)
    with Agent(host, tmp_path) as agent:
        host.run(spoil)
        host.run(LOSS)
        agent.wait_until_restored(right)
        wait_until(lambda: words in agent.report()["trouble"], agent.log)
        assert "Until then, the previous state stays in effect." in agent.log()
        assert agent.log().count(words) == 1, "printed once, not at every check"

        host.run(f"rm -rf {STATE_FILE}")
        write_state(host, state_text)
        agent.reset_backoff()
        assert agent.report()["trouble"] == ""
        assert agent.stop() == 0


def test_restore_prints_its_steps_and_the_result(node: Node) -> None:
    host = node.host
    right = restorable(host)
    host.run(LOSS)
    done = host.run(command("restore"))
    assert "add rule priority 2800" in done.stdout
    assert done.stdout.endswith("The node is in the desired state.\n")
    assert_same(right, restorable(host))
    assert host.run(command("restore")).stdout == "The node is in the desired state.\n"


def test_status_shows_drift_without_an_agent(node: Node) -> None:
    host = node.host
    assert status_json(host)[0] == 0
    host.run("ip rule del priority 2800")
    code, facts = status_json(host)
    assert (code, facts["right"], facts["guard"]["running"]) == (1, False, False)
    (missing,) = facts["missing"]
    assert missing.startswith("add rule priority 2800")
    assert facts["declared"]["addresses"] == 2
    printed = host.run(command("status"), check=False)
    assert printed.returncode == 1
    assert f"To reconcile: {missing}" in printed.stdout
    assert "The agent is not running" in printed.stdout
    assert "The node is in the desired state" not in printed.stdout
    assert host.output("ip rule list priority 2800") == "", "status changes nothing"
    host.run(command("restore"))
    assert "The node is in the desired state." in host.output(command("status"))


def test_status_shows_an_unconfirmed_change(node: Node) -> None:
    """Until its commit, the state file and therefore the desired state are the former ones, to which a rollback leads."""
    host = node.host
    saved = read_state(host)
    persist(host, priority_base=5000, confirm_timeout=600)
    (marker,) = host.path("/run/homeward.metallb_routing").glob("unconfirmed.*")
    assert read_state(host) == saved
    code, facts = status_json(host)
    assert (code, facts["right"]) == (1, False)
    assert any(step.startswith("add rule priority 2800") for step in facts["missing"]), facts["missing"]
    assert any(step.startswith("delete rule priority 5") for step in facts["missing"]), facts["missing"]
    assert [text.partition(";")[0] for text in facts["undecided"]] == ["A change is not confirmed yet"]
    printed = host.run(command("status"), check=False).stdout
    assert facts["undecided"][0] in printed
    assert "The agent is stopped until that is decided." in printed
    assert "The node is in the desired state" not in printed
    marker.rename(marker.with_name(marker.name.replace("unconfirmed", "rolling-back")))
    printed = host.run(command("status"), check=False).stdout
    assert "A change is being rolled back; this is not complete yet" in printed
    host.run(f"mv {STATE_FILE} {STATE_FILE}.away")
    assert status_json(host)[1]["undecided"], "the state file is deleted early"
    assert "is being rolled back" in host.run(command("status"), check=False).stderr
    host.run(f"mv {STATE_FILE}.away {STATE_FILE}")
    persist(host)
    code, facts = status_json(host)
    assert (code, facts["right"], facts["missing"], facts["undecided"]) == (0, True, [], [])


def reconciled_total(**counts: int) -> dict[tuple[tuple[str, str], ...], float]:
    kinds = ("address", "chains", "link", "route", "rule", "sysctl")
    return {(("kind", kind),): float(counts.get(kind, 0)) for kind in kinds}


def test_status_and_metrics_show_what_was_reconciled_and_when(node: Node, tmp_path: Path) -> None:
    host = node.host
    right = restorable(host)
    prefix = "homeward_metallb_routing"
    with Agent(host, tmp_path) as agent:
        fresh = parse(metrics(host))
        assert fresh[f"{prefix}_reconciled_total"] == Metric("counter", reconciled_total())
        host.run("ip rule del priority 2800")
        host.run("ip -6 route del default table 7701 metric 1024")
        agent.wait_until_restored(right)
        wait_until(lambda: agent.report()["healed"] == {"rule": 1, "route": 1}, agent.log)
        code, facts = status_json(host)
        printed = host.output(command("status"))
        agent.reset_backoff()
        found, report = same_check(agent, host)
    assert (code, facts["right"], facts["missing"], facts["guard"]["running"]) == (0, True, [], True)
    (rule,) = (entry for entry in facts["guard"]["recent"] if entry["kind"] == "rule")
    assert report["started"] < rule["when"] < report["checked"]
    assert rule["what"].startswith("add rule priority 2800")
    assert "has reconciled 2 objects" in printed
    assert rule["what"] in printed
    assert found[f"{prefix}_reconciled_total"].values == reconciled_total(rule=1, route=1)
    for name, value in (("drift", 0), ("waiting", 0), ("backing_off", 0)):
        assert found[f"{prefix}_{name}"] == Metric("gauge", {(): float(value)})
    assert found[f"{prefix}_state_info"].values == {(("hash", report["state_hash"]),): 1.0}
    assert "The agent is not running" in host.output(command("status")), "its report exists, but it has ended"


def same_check(agent: Agent, host: Host) -> tuple[dict[str, Metric], dict[str, Any]]:
    """Return metrics and report of one check: the agent writes them one after the other, and may check again in between."""
    pairs: list[tuple[dict[str, Metric], dict[str, Any]]] = []

    def is_one_check() -> bool:
        pairs.append((parse(metrics(host)), agent.report()))
        found, report = pairs[-1]
        checked = found["homeward_metallb_routing_last_check_timestamp_seconds"].values
        return checked == {(): round(report["checked"], 3)}

    wait_until(is_one_check, agent.log)
    return pairs[-1]


def test_a_pool_that_is_left_out_is_named(node: Node) -> None:
    """Two roles one after the other, each with its own pools, would otherwise remove each other's pools silently."""
    assert not told_of_pools(apply(node.host, declared(EXTERNAL, STORAGE)))
    assert not told_of_pools(apply(node.host, declared(EXTERNAL, STORAGE)))
    (text,) = told_of_pools(apply(node.host, declared(EXTERNAL)))
    assert text.startswith("pools: storage no longer declared and therefore removed from this node.")
    assert not told_of_pools(apply(node.host, declared(EXTERNAL)))


def told_of_pools(answer: Answer) -> list[str]:
    return [text for text in warnings_of(answer) if text.startswith("pools: ")]


def test_metrics_go_where_they_are_declared_to(node: Node, tmp_path: Path) -> None:
    host = node.host
    host.run("mkdir /var/lib/collector")
    persist(host, metrics_directory="/var/lib/collector")
    with Agent(host, tmp_path):
        text = host.run("cat /var/lib/collector/*.prom").stdout
    assert parse(text)["homeward_metallb_routing_drift"].values == {(): 0.0}
    persist(host)
