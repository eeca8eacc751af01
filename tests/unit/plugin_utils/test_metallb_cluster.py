# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that ask a cluster, run in a shell with substitutes of kubectl."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_cluster import (
    host_to_ask,
    question,
    read_answer,
    why,
)
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_selectors import READY_PREFIX
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_sources import Sources
from tests.support.clusters import FakeCluster, metallb, node

OBJECTS = [
    metallb("IPAddressPool", "external", addresses=["1.2.3.0/24"]),
    metallb("L2Advertisement", "edge", nodeSelectors=[{"matchLabels": {"zone": "edge"}}]),
    node("node1", "192.168.1.11", "fd00::11", zone="edge", row="7", **{f"{READY_PREFIX}external": "eth0.100"}),
    node("node2", "192.168.1.12"),
]


def ask(folder: Path, sources: Sources, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        ["/bin/sh", "-c", question(sources)],
        env={"PATH": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_the_answer_has_what_is_needed(tmp_path: Path) -> None:
    cluster = FakeCluster(tmp_path, OBJECTS)
    done = ask(tmp_path, Sources(**cluster.options))
    assert (done["rc"], done["stderr"]) == (0, "")
    found = read_answer(done["stdout"].replace("\n", "\r\n"))  # a terminal
    assert found == read_answer(done["stdout"])
    assert [one["metadata"]["name"] for one in found["resources"]] == ["external", "edge"]
    assert found["nodes"] == [
        {
            "name": "node1",
            "labels": {"zone": "edge", f"{READY_PREFIX}external": "eth0.100"},
            "addresses": ["192.168.1.11", "fd00::11", "node1"],
        },
        {"name": "node2", "labels": {}, "addresses": ["192.168.1.12", "node2"]},
    ]


def test_only_the_namespace_that_is_given_is_read(tmp_path: Path) -> None:
    cluster = FakeCluster(tmp_path, OBJECTS)
    found = read_answer(ask(tmp_path, Sources(namespace="other", **cluster.options))["stdout"])
    assert (found["resources"], len(found["nodes"])) == ([], 2)


@pytest.mark.parametrize("name", ["kubectl", "k3s", "microk8s", "k0s"])
def test_kubectl_of_each_distribution_is_found(tmp_path: Path, name: str) -> None:
    added = "/usr/local/bin:/usr/local/sbin:/opt/bin:/snap/bin:/var/lib/rancher/rke2/bin"
    if any(shutil.which(other, path=added) for other in ("kubectl", "k3s", "microk8s", "k0s")):
        pytest.skip("this machine has a kubectl in a folder that is searched")
    cluster = FakeCluster(tmp_path, OBJECTS)
    shift = "" if name == "kubectl" else '[ "$1" = kubectl ] && shift || exit 9; '
    program(tmp_path, name, f'{shift}exec {cluster.options["kubectl"]} "$@"')
    home = tmp_path / "home"
    assert ask(tmp_path, Sources(), HOME=str(home))["rc"] == 1, "without a kubeconfig"
    (home / ".kube").mkdir(parents=True)
    (home / ".kube/config").write_text("")
    assert read_answer(ask(tmp_path, Sources(), HOME=str(home))["stdout"])["nodes"]


def test_the_reason_of_a_failure_is_kubectls_own(tmp_path: Path) -> None:
    cluster = FakeCluster(tmp_path, OBJECTS, installed=False)
    done = ask(tmp_path, Sources(**cluster.options))
    assert why(done) == (
        'error: the server doesn\'t have a resource type "ipaddresspools". MetalLB is not installed in this cluster'
    )
    assert why({**done, "stdout": done["stderr"], "stderr": ""}) == why(done), "a terminal has only one output"
    done = ask(tmp_path, Sources(kubectl=cluster.options["kubectl"]), HOME="/nonexistent")
    assert why(done) == (
        "The connection to the server localhost:8080 was refused - did you specify the right host or port?"
    )
    assert why({"rc": 7, "stdout": "", "stderr": ""}) == "kubectl ended with status 7"


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", json.dumps({"items": 7}), '{"items": []}\n--- end of resources\nnode1']
)
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(NodeError, match="kubectl printed something else"):
        read_answer(text)


@pytest.mark.parametrize(
    ("given", "groups", "expected"),
    [
        ("bastion", {"kube_control_plane": ["b"]}, "bastion"),
        ("", {"kube_control_plane": ["x", "b"], "kube_node": ["a"]}, "b"),
        ("", {"k3s_cluster": ["a", "b"], "server": ["b"]}, "b"),
        ("", {"master": ["b"]}, "b"),
        ("", {"masters": ["b"]}, "b"),
        ("", {}, "a"),
    ],
)
def test_the_host_that_is_asked(given: str, groups: dict[str, list[str]], expected: str) -> None:
    assert host_to_ask(Sources(cluster_host=given), ["a", "b"], groups) == expected
