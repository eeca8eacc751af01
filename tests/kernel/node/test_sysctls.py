# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel settings: read, managed, changed, released; their original values, and values that the kernel rejects."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel import sysctls
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Sysctl
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import Step, StepsFailed
from tests.support.namespace import Namespace

LINK = "pool.100"
RP_FILTER = f"net/ipv4/conf/{LINK}/rp_filter"
VALID_MARK = f"net/ipv4/conf/{LINK}/src_valid_mark"
PORTS = "net/ipv4/ip_local_port_range"
RESERVED = "net/ipv4/ip_local_reserved_ports"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that replaces the one in /run."""
    folder = tmp_path / "originals"
    monkeypatch.setattr(sysctls, "ORIGINALS", folder)
    return folder


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with Namespace("homeward-sysctl") as made:
        made.ip(f"link add name {LINK} type bridge")
        yield made


def value(namespace: Namespace, name: str) -> str:
    return namespace.run(["cat", f"/proc/sys/{name}"]).strip()


def give(namespace: Namespace, name: str, text: str) -> None:
    namespace.run(["sh", "-c", f"echo '{text}' > /proc/sys/{name}"])


def take(name: str, text: str) -> Step:
    return Step("sysctl", None, Sysctl(name, text))


def change(name: str, old: str, new: str) -> Step:
    return Step("sysctl", Sysctl(name, old), Sysctl(name, new))


def release(name: str, text: str) -> Step:
    return Step("sysctl", Sysctl(name, text), None)


def write(namespace: Namespace, *steps: Step) -> None:
    namespace.call(sysctls.write, list(steps))


def failure(namespace: Namespace, *steps: Step) -> tuple[Sequence[Step], Step, str]:
    with pytest.raises(StepsFailed) as caught:
        write(namespace, *steps)
    return caught.value.done, caught.value.failed, caught.value.reason


def records(namespace: Namespace) -> dict[str, tuple[str, str]]:
    return {name: (item.was, item.set) for name, item in namespace.call(sysctls.read_originals).items()}


def test_reads_the_settings_that_exist(namespace: Namespace) -> None:
    give(namespace, RP_FILTER, "1")
    names = [RP_FILTER, PORTS, "net/ipv4/conf/absent/rp_filter", "net/absent/x"]
    assert namespace.call(sysctls.read, names) == {RP_FILTER: "1", PORTS: value(namespace, PORTS)}


@pytest.mark.parametrize(
    "name",
    [
        "kernel/panic",
        "net/../kernel/panic",
        "/proc/sys/net/ipv4/ip_forward",
        "net.ipv4.ip_forward",
        "net//ip_forward",
        "net",
    ],
)
def test_refuses_names_outside_the_network_settings(name: str) -> None:
    with pytest.raises(NodeError, match=re.escape(repr(name))):
        sysctls.read([name])


def test_stores_the_original_value_and_restores_it(namespace: Namespace, directory: Path) -> None:
    give(namespace, RP_FILTER, "2")
    write(namespace, take(RP_FILTER, "1"), take(VALID_MARK, "1"))
    assert (value(namespace, RP_FILTER), value(namespace, VALID_MARK)) == ("1", "1")
    assert records(namespace) == {RP_FILTER: ("2", "1"), VALID_MARK: ("0", "1")}
    write(namespace, release(RP_FILTER, "1"))
    assert (value(namespace, RP_FILTER), value(namespace, VALID_MARK)) == ("2", "1")
    assert records(namespace) == {VALID_MARK: ("0", "1")}
    write(namespace, release(VALID_MARK, "1"))
    assert value(namespace, VALID_MARK) == "0"
    assert not directory.exists(), "the directory is left"


def test_only_root_can_read_the_original_values(namespace: Namespace, directory: Path) -> None:
    directory.mkdir(mode=0o755)
    write(namespace, take(RP_FILTER, "1"))
    inode = namespace.run(["stat", "-L", "-c", "%i", "/proc/self/ns/net"]).strip()
    (file,) = directory.iterdir()
    assert file.name == f"originals.{inode}.json"
    assert (stat.S_IMODE(directory.stat().st_mode), stat.S_IMODE(file.stat().st_mode)) == (0o700, 0o600)
    assert json.loads(file.read_text(encoding="utf-8"))["settings"] == {RP_FILTER: {"was": "0", "set": "1"}}


def test_a_change_keeps_the_first_original(namespace: Namespace, directory: Path) -> None:
    assert not directory.exists()
    give(namespace, RP_FILTER, "2")
    write(namespace, take(RP_FILTER, "1"))
    write(namespace, change(RP_FILTER, "1", "0"))
    assert records(namespace) == {RP_FILTER: ("2", "0")}
    give(namespace, RP_FILTER, "1")
    write(namespace, change(RP_FILTER, "1", "0"))
    assert records(namespace) == {RP_FILTER: ("2", "0")}, "regardless of the values in between"


def test_a_foreign_change_is_not_reverted(namespace: Namespace, directory: Path) -> None:
    write(namespace, take(RP_FILTER, "1"))
    give(namespace, RP_FILTER, "2")
    write(namespace, release(RP_FILTER, "2"))
    assert value(namespace, RP_FILTER) == "2"
    assert not directory.exists()


def test_a_second_start_uses_the_record_only_while_the_value_is_the_managed_one(
    namespace: Namespace, directory: Path
) -> None:
    assert not directory.exists()
    write(namespace, take(RP_FILTER, "1"))
    write(namespace, take(RP_FILTER, "1"))
    assert records(namespace) == {RP_FILTER: ("0", "1")}
    give(namespace, RP_FILTER, "2")
    write(namespace, take(RP_FILTER, "1"))
    assert records(namespace) == {RP_FILTER: ("2", "1")}


def test_the_record_of_a_removed_link_is_deleted(namespace: Namespace, directory: Path) -> None:
    write(namespace, take(RP_FILTER, "1"))
    namespace.ip(f"link del {LINK}")
    write(namespace, release(RP_FILTER, "1"))
    assert not directory.exists()


def test_the_inverse_reverts(namespace: Namespace, directory: Path) -> None:
    taken = take(RP_FILTER, "1")
    write(namespace, taken, taken.inverse(), taken)
    assert records(namespace) == {RP_FILTER: ("0", "1")}
    write(namespace, taken.inverse())
    assert value(namespace, RP_FILTER) == "0"
    assert not directory.exists()


def test_steps_about_one_setting_are_done_one_after_the_other(namespace: Namespace, directory: Path) -> None:
    taken, bad = take(RP_FILTER, "1"), take(RP_FILTER, "much")
    done, failed, _reason = failure(namespace, taken, taken.inverse(), bad)
    assert (done, failed) == ((taken, taken.inverse()), bad)
    assert value(namespace, RP_FILTER) == "0"
    assert not directory.exists()


def test_a_value_of_several_numbers_has_any_separator(namespace: Namespace, directory: Path) -> None:
    before = value(namespace, PORTS)
    write(namespace, take(PORTS, "40000 50000"))
    assert value(namespace, PORTS) == "40000\t50000"
    write(namespace, release(PORTS, "40000\t50000"))
    assert value(namespace, PORTS) == before
    assert not directory.exists()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("net/ipv4/conf/absent/rp_filter", "1", "the link absent does not exist or has no ipv4 settings"),
        ("net/ipv4/absent", "1", "the setting does not exist: the kernel"),
        (RP_FILTER, "much", "Invalid argument (EINVAL)"),
        (RP_FILTER, "01", "accepted the value, but"),
        ("net/ipv4/conf/lo/mc_forwarding", "1", "EACCES"),
    ],
)
def test_a_rejected_value_stops_the_run_and_leaves_no_record(
    namespace: Namespace, directory: Path, name: str, text: str, words: str
) -> None:
    assert not directory.exists()
    good, bad, later = take(VALID_MARK, "1"), take(name, text), take("net/ipv4/conf/lo/rp_filter", "2")
    done, failed, reason = failure(namespace, good, bad, later)
    assert (done, failed) == ((good,), bad)
    assert words in reason
    assert records(namespace) == {VALID_MARK: ("0", "1")}
    assert value(namespace, "net/ipv4/conf/lo/rp_filter") == "0"
    if name == RP_FILTER:
        assert value(namespace, RP_FILTER) == "0"


def test_a_value_that_the_kernel_rewrites_is_reverted(namespace: Namespace, directory: Path) -> None:
    give(namespace, RESERVED, "1000")
    _done, _failed, reason = failure(namespace, take(RESERVED, "8080,8081"))
    assert "reads '8080-8081'" in reason
    assert value(namespace, RESERVED) == "1000"
    assert not directory.exists()


def test_the_record_comes_before_the_change(namespace: Namespace, directory: Path) -> None:
    """If the record cannot be written, no value changes."""
    directory.write_text("a file in the folder's place", encoding="ascii")
    done, failed, reason = failure(namespace, take(RP_FILTER, "1"))
    assert (done, failed.subject) == ((), Sysctl(RP_FILTER, "1"))
    assert str(directory) in reason
    assert value(namespace, RP_FILTER) == "0"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"settings": {}}', '{"namespace": "", "settings": {"net/x": {}}}'])
def test_damaged_records_are_refused(namespace: Namespace, directory: Path, content: str) -> None:
    write(namespace, take(RP_FILTER, "1"))
    (file,) = directory.iterdir()
    file.write_text(content, encoding="ascii")
    with pytest.raises(NodeError, match=rf"{re.escape(str(file))}[\s\S]*delete it"):
        namespace.call(sysctls.read_originals)
    _done, _failed, reason = failure(namespace, release(RP_FILTER, "1"))
    assert str(file) in reason
    assert value(namespace, RP_FILTER) == "1", "nothing was written without knowing what was before"


def test_the_records_of_a_removed_namespace_do_not_count(namespace: Namespace, directory: Path) -> None:
    """The kernel gives the inode of a removed namespace to the next one, whose settings have not been changed."""
    write(namespace, take(RP_FILTER, "1"))
    (file,) = directory.iterdir()
    with Namespace("homeward-later") as later:
        inode = later.run(["stat", "-L", "-c", "%i", "/proc/self/ns/net"]).strip()
        file.rename(directory / f"originals.{inode}.json")
        assert later.call(sysctls.read_originals) == {}
