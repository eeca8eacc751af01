# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's report: metrics in Prometheus' text format, its memory, and files that are written atomically."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.homeward.metallb_routing.plugins.module_utils.agent import report, status
from ansible_collections.homeward.metallb_routing.plugins.module_utils.agent.report import REMEMBERED, Report
from ansible_collections.homeward.metallb_routing.plugins.module_utils.diagnosis.differences import IDENTIFIERS
from ansible_collections.homeward.metallb_routing.plugins.module_utils.diagnosis.finding import WARNING, Finding
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.kinds import SAVED
from tests.support.prometheus import Metric, parse

KINDS = tuple(kind.name for kind in SAVED)

FINDING = Finding("reply-diverted", ("external",), "replies go elsewhere", "ip route get 192.0.2.1", "Remove it.")


@given(
    st.dictionaries(st.sampled_from(KINDS), st.integers(1, 10**9)),
    st.integers(0, 1000),
    st.lists(st.text(), max_size=3),
    st.floats(0, 4e9),
)
def test_the_metrics_have_the_values_of_the_report(
    reconciled: dict[str, int], drift: int, sentences: list[str], checked: float
) -> None:
    known = Report(
        reconciled=reconciled,
        drift=drift,
        waiting=sentences,
        backing_off=sentences[1:],
        checked=checked,
        findings=[FINDING.as_json()] * len(sentences),
        state_hash="ab12",
        groups_held=drift + 1,
        speaker_missing=drift + 2,
    )
    found = parse(known.metrics())
    prefix = "homeward_metallb_routing"
    assert found == {
        f"{prefix}_reconciled_total": Metric(
            "counter", {(("kind", kind),): float(reconciled.get(kind, 0)) for kind in KINDS}
        ),
        f"{prefix}_drift": Metric("gauge", {(): float(drift)}),
        f"{prefix}_waiting": Metric("gauge", {(): float(len(sentences))}),
        f"{prefix}_backing_off": Metric("gauge", {(): float(len(sentences[1:]))}),
        f"{prefix}_speaker_groups_held": Metric("gauge", {(): drift + 1.0}),
        f"{prefix}_speaker_missing_links": Metric("gauge", {(): drift + 2.0}),
        f"{prefix}_findings": Metric(
            "gauge",
            {
                (("identifier", name),): float(len(sentences) if name == FINDING.identifier else 0)
                for name in IDENTIFIERS.values()
            },
        ),
        f"{prefix}_last_check_timestamp_seconds": Metric("gauge", {(): round(checked, 3)}),
        f"{prefix}_state_info": Metric("gauge", {(("hash", "ab12"),): 1.0}),
    }


def test_all_objects_are_counted_and_the_last_are_listed() -> None:
    known = Report()
    for number in range(REMEMBERED + 5):
        known.record(float(number), "rule", f"rule {number}", "nft (pid 7)", 1.26)
    assert known.reconciled == {"rule": REMEMBERED + 5}
    assert [entry["what"] for entry in known.recent] == [f"rule {number}" for number in range(5, REMEMBERED + 5)]
    assert known.recent[0] == {"when": 5.0, "kind": "rule", "what": "rule 5", "who": "nft (pid 7)", "milliseconds": 1.3}


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the report in a directory that does not exist yet."""
    folder = tmp_path / "run"
    monkeypatch.setattr(report, "REPORT_FILE", str(folder / "agent.json"))
    monkeypatch.setattr(report, "AGENT_DIRECTORY", str(folder))
    return folder


def test_the_files_are_readable_by_everybody_and_the_only_ones(places: Path, tmp_path: Path) -> None:
    collector = tmp_path / "collector"
    collector.mkdir()
    known = Report(drift=3)
    for folder, metrics in ((places, ""), (collector, str(collector))):
        known.write(metrics)
        text = (folder / "homeward_metallb_routing.prom").read_text()
        assert parse(text)["homeward_metallb_routing_drift"].values == {(): 3.0}
    assert sorted(path.name for path in places.iterdir()) == ["agent.json", "homeward_metallb_routing.prom"]
    assert {path.stat().st_mode & 0o777 for path in places.iterdir()} == {0o644}
    assert report.read_report()["drift"] == 3


@pytest.mark.parametrize("kind", ["link", "pipe", "dangling"])
def test_whatever_is_in_place_of_the_metrics_is_replaced_and_not_followed(
    places: Path, tmp_path: Path, kind: str
) -> None:
    """The directory may belong to another user, who puts a name there that leads to a file of root."""
    secret = tmp_path / "shadow"
    secret.write_text("secret")
    secret.chmod(0o600)
    metrics = tmp_path / "homeward_metallb_routing.prom"
    if kind == "pipe":
        os.mkfifo(metrics)
    else:
        metrics.symlink_to(secret if kind == "link" else tmp_path / "absent")
    Report(drift=3).write(str(tmp_path))
    assert stat.S_ISREG(metrics.lstat().st_mode)
    assert (secret.read_text(), secret.stat().st_mode & 0o777) == ("secret", 0o600)
    assert not (tmp_path / "absent").exists()
    assert places.is_dir()


def test_a_temporary_file_that_is_swapped_for_a_link_changes_nothing_else(
    places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "shadow"
    secret.write_text("secret")
    secret.chmod(0o600)
    collector = tmp_path / "collector"
    collector.mkdir()
    fdopen = os.fdopen

    def swapping(descriptor: int, *arguments: Any, **options: Any) -> Any:
        for file in collector.iterdir():
            file.unlink()
            file.symlink_to(secret)
        return fdopen(descriptor, *arguments, **options)

    monkeypatch.setattr(report.os, "fdopen", swapping)
    Report(drift=3).write(str(collector))
    assert (secret.read_text(), secret.stat().st_mode & 0o777) == ("secret", 0o600)
    assert places.is_dir()


def test_a_directory_that_cannot_be_written_is_reported_and_stops_nothing(
    places: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    Report().write(str(tmp_path / "file" / "collector"))
    assert "cannot be written" in capsys.readouterr().out
    assert report.read_report() != {}
    assert places.is_dir()


def test_a_failed_write_leaves_no_temporary_file(places: Path) -> None:
    metrics = places / "homeward_metallb_routing.prom"
    metrics.mkdir(parents=True)
    Report().write("")
    assert sorted(path.name for path in places.iterdir()) == ["agent.json", metrics.name]


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "\udcff"])
def test_a_damaged_report_is_no_report(places: Path, text: str) -> None:
    places.mkdir()
    (places / "agent.json").write_text(text, errors="surrogateescape")
    assert report.read_report() == {}


def test_status_as_text_shows_everything() -> None:
    known = Report(started=1.0, waiting=["link eth0.100 waits: its parent eth0 is down"], problem="no iptables")
    known.record(2.0, "rule", "add rule 2800", "nm (pid 7)", 12.0)
    known.backing_off = ["rule 2700 keeps being changed by felix (pid 9)"]
    facts = {
        "declared": {"links": 1, "rules": 0},
        "cases": [{"pool": "external", "interface": "eth0.100", "case": "policy_routing", "reason": "so"}],
        "right": False,
        "missing": ["add rule 2700"],
        "waiting": known.waiting,
        "notes": ["the rules are moved"],
        "findings": [FINDING.as_json(), replace(FINDING, severity=WARNING).as_json()],
        "undecided": ["A change is not confirmed."],
        "guard": {**json.loads(json.dumps(known.as_json())), "running": True},
    }
    text = status.as_text(facts)
    for words in (
        "Desired: 1 links.",
        "external on eth0.100: policy_routing (so)",
        "To reconcile: add rule 2700",
        "Waiting: link eth0.100 waits: its parent eth0 is down",
        "Note: the rules are moved",
        "Failure: pool external: replies go elsewhere (ip route get 192.0.2.1). Remove it. [reply-diverted]",
        "Warning: pool external: replies go elsewhere",
        "A change is not confirmed.",
        "has reconciled 1 object.",
        "add rule 2800 (after 12 ms, changed by nm (pid 7))",
        "Backing off: rule 2700 keeps being changed by felix (pid 9)",
        "Problem: no iptables",
    ):
        assert words in text
    assert "in the desired state" not in text
    assert "The agent is stopped until that is decided" in status.as_text({**facts, "guard": {"running": False}})
    nothing_pending = {**facts, "undecided": [], "guard": {"running": False}}
    assert "The agent is not running" in status.as_text(nothing_pending)
    assert "has not checked the node yet" in status.as_text({**facts, "guard": {"running": True}})
