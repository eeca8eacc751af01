# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about a node: kube-proxy's mode by evidence, the SSH connection, the Kubernetes API."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel import facts
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Interface, KubeProxy, Ownership
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.iptables_save import (
    ClusterChains,
    parse_save,
)
from tests.conftest import ROOT

LINKS = {
    "lo": Interface("lo", 1, True, addresses=("127.0.0.1/8", "::1/128")),
    "eth0": Interface("eth0", 2, True, addresses=("192.168.1.11/24", "fd00:192:168:1::11/64", "fe80::1/64")),
    "eth1": Interface("eth1", 3, True, addresses=("10.0.0.11/24", "fe80::1/64")),
}


NFT = {("ip", "kube-proxy")}


def judged(
    links: Collection[str] = ("lo",),
    chains: Collection[str] = (),
    content: Collection[str] = (),
    tables: Collection[tuple[str, str]] = (),
    services: int = 0,
    answer: str = "",
) -> KubeProxy:
    """Return what is found on a node with this evidence."""
    read = ClusterChains(names=frozenset(chains), services=frozenset(content))
    return facts.judge(links, read, lambda: tables, lambda: services, lambda: answer)


@pytest.mark.parametrize(
    ("evidence", "mode", "contradicted"),
    [
        ({}, "", False),
        ({"links": ["kube-dummy-if"]}, "ipvs", False),
        ({"services": 3}, "ipvs", False),
        ({"chains": ["KUBE-SERVICES"], "services": 3}, "iptables", False),
        ({"chains": ["KUBE-FIREWALL"], "tables": NFT, "services": 3}, "nftables", False),
        ({"links": ["cilium_net"], "services": 3}, "ipvs", False),
        ({"links": ["cilium_net"], "chains": ["KUBE-FIREWALL"], "tables": [("ip", "nat")]}, "ebpf", False),
        # The rules of KUBE-SERVICES are those of the current mode.
        ({"links": ["kube-ipvs0"], "chains": ["KUBE-SERVICES", "KUBE-SVC-X"], "content": ["ipvs"]}, "ipvs", False),
        (
            {"links": ["kube-ipvs0"], "chains": ["KUBE-SERVICES"], "content": ["iptables"], "services": 9},
            "iptables",
            True,
        ),
        ({"links": ["kube-ipvs0"], "chains": ["KUBE-SERVICES"]}, "ipvs", False),
        ({"links": ["kube-ipvs0"], "tables": NFT}, "nftables", True),
        ({"content": ["iptables"], "tables": NFT}, "iptables", True),
        ({"content": ["iptables", "ipvs"]}, "iptables", True),
        # kube-proxy itself knows, if there is evidence of the mode that it names.
        ({"content": ["iptables"], "tables": NFT, "answer": "nftables"}, "nftables", True),
        ({"content": ["iptables", "ipvs"], "answer": "ipvs"}, "ipvs", True),
        ({"content": ["iptables"], "tables": NFT, "answer": "404"}, "iptables", True),
        ({"content": ["iptables"], "answer": "nftables"}, "iptables", False),
    ],
)
def test_the_strongest_evidence_decides(evidence: dict[str, Any], mode: str, contradicted: bool) -> None:
    found = judged(**evidence)
    assert found.mode == mode
    assert bool(found.contradiction) == contradicted
    assert found.reason


def test_evidence_is_read_only_if_it_decides() -> None:
    def unneeded() -> NoReturn:
        raise AssertionError("stronger evidence exists")

    for content in ("iptables", "ipvs"):
        chains = ClusterChains(services=frozenset({content}))
        assert facts.judge({"lo"}, chains, lambda: (), unneeded, unneeded).mode == content
    assert facts.judge({"kube-ipvs0"}, ClusterChains(), lambda: (), unneeded, unneeded).mode == "ipvs"


@pytest.mark.parametrize(
    ("answer", "mode"),
    [
        (b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nnftables", "nftables"),
        (b"HTTP/1.1 200 OK\r\n\r\niptables\n", "iptables"),
        (b"", ""),
        (b"\r\n\r\n" + b"x" * 9000, "x" * 4092),
    ],
)
def test_kube_proxy_is_asked_for_its_mode(monkeypatch: pytest.MonkeyPatch, answer: bytes, mode: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(facts, "_KUBE_PROXY", server.getsockname())
        monkeypatch.setattr(facts, "_KUBE_PROXY_TIMEOUT", 30)

        def serve() -> None:
            connection, _address = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        with ThreadPoolExecutor() as pool:
            served = pool.submit(serve)
            assert facts.answered_mode() == mode
            served.result()
    assert facts.answered_mode() == "", "nobody listens any more"


@pytest.mark.parametrize(("mode", "content"), [("iptables", {"iptables"}), ("nftables", set())])
def test_the_rules_that_kube_proxy_wrote_are_recognised(mode: str, content: set[str]) -> None:
    saved = (ROOT / "tests/lab/kube_proxy/kube-proxy-1.36-node1.iptables-save").read_text(encoding="utf-8")
    text = saved if mode == "iptables" else ""
    assert parse_save(text, "nft", "ipv4", Ownership()).cluster_chains.services == content


#: Of kube-proxy 1.36 in IPVS mode
IPVS_SAVED = """*nat
:KUBE-SERVICES - [0:0]
:KUBE-SVC-LEFTOVER - [0:0]
-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN
-A KUBE-SERVICES -m comment --comment portal -m set --match-set KUBE-LOAD-BALANCER dst,dst -j KUBE-LOAD-BALANCER
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT
COMMIT
"""


def test_the_rules_of_ipvs_mode_are_recognised() -> None:
    assert parse_save(IPVS_SAVED, "nft", "ipv4", Ownership()).cluster_chains.services == {"ipvs"}


def test_ipvs_services_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = tmp_path / "ip_vs"
    monkeypatch.setattr(facts, "IPVS_SERVICES", listing)
    assert facts.ipvs_services() == 0
    listing.write_text(
        "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n"
        "  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n"
        "TCP  0A600001:01BB rr  \n  -> C0A8010B:192B      Masq    1      0          0         \n"
        "UDP  [fd00:0001:0002:0003:0000:0000:0000:0020]:0035 rr  \nFWM  00000001 wlc  \n",
        encoding="ascii",
    )
    assert facts.ipvs_services() == 3


@pytest.mark.parametrize(
    ("connection", "answer"),
    [
        ("203.0.113.7 50000 192.168.1.11 22", ("203.0.113.7", "eth0")),
        ("FD00::7 50000 fd00:192:168:1:0:0:0:11 22", ("fd00::7", "eth0")),
        ("::ffff:203.0.113.7 50000 ::ffff:10.0.0.11 22", ("203.0.113.7", "eth1")),
        ("fe80::9%eth1 50000 fe80::1%eth1 22", ("fe80::9", "eth1")),
        ("203.0.113.7 50000 198.51.100.1 22", ("203.0.113.7", "")),
        ("UNKNOWN 65535 UNKNOWN 65535", ("", "")),
        ("", ("", "")),
        ("203.0.113.7 50000", ("", "")),
    ],
)
def test_the_ssh_connection_is_found(connection: str, answer: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "environments", lambda _pid: iter([{"SSH_CONNECTION": connection}]))
    assert facts.ssh_peer(LINKS) == answer


ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
import tests.conftest
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel import facts
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Interface
print(json.dumps(facts.ssh_peer({"eth0": Interface("eth0", 2, True, addresses=("192.168.1.11/24",))})))
"""


def answer_below(environment: Mapping[str, str], *between: str) -> list[str]:
    """Return the answer of a Python that a shell with the environment starts through the commands between."""
    command = ["sh", "-c", '"$@"; exit $?', "sh", *between, sys.executable, "-c", ASK, str(ROOT)]
    outside = {name: value for name, value in os.environ.items() if not name.startswith("SSH_")}
    done = subprocess.run(command, env={**outside, **environment}, check=True, capture_output=True, text=True)
    found: list[str] = json.loads(done.stdout)
    return found


CONNECTION = {"SSH_CONNECTION": "203.0.113.7 50000 192.168.1.11 22"}


def test_the_connection_is_in_the_own_environment() -> None:
    assert answer_below(CONNECTION) == ["203.0.113.7", "eth0"]


def test_the_connection_is_found_although_sudo_cleared_the_environment() -> None:
    strip = ("env", "-i", "HOME=/root", "PATH=/usr/bin:/bin", "sh", "-c", '"$@"; exit $?', "sudo")
    assert answer_below(CONNECTION, *strip, *strip) == ["203.0.113.7", "eth0"]


def test_a_process_without_a_parent_has_no_connection(tmp_path: Path) -> None:
    put(tmp_path, "7/status", "Name:\tPPid: 1\nPPid:\t0\n")
    put(tmp_path, "1/environ", "SSH_CONNECTION=203.0.113.7 50000 192.168.1.11 22\0")
    assert list(facts.environments(7, tmp_path)) == [os.environ]
    assert list(facts.environments(8, tmp_path)) == [os.environ]


def test_without_kubernetes_there_is_no_api_server(tmp_path: Path) -> None:
    assert facts.api_servers(tmp_path) == ()


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


KUBECONFIG = """apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: c2VydmVyOiBodHRwczovLzkuOS45Ljk6NjQ0Mw==
    server: {server}
  name: default
kind: Config
users:
- name: "server: nobody"
"""


@pytest.mark.parametrize(
    ("server", "found"),
    [
        ("https://192.168.1.10:6443", ("192.168.1.10",)),
        ("https://192.168.1.10", ("192.168.1.10",)),
        ("https://192.168.1.10:6443/k8s/clusters/c-1", ("192.168.1.10",)),
        ('"https://192.168.1.10:6443"', ("192.168.1.10",)),
        ("'https://[FD00::10]:6443'", ("fd00::10",)),
        ("https://127.0.0.1:6443", ()),
        ("https://[::1]:6443", ()),
        ("https://localhost:6443", ()),
        ("https://api.example.org:6443", ()),
        ("https://10.example.org:6443", ()),
        ("", ()),
    ],
)
def test_the_api_server_of_a_kubeconfig_is_found(tmp_path: Path, server: str, found: tuple[str, ...]) -> None:
    put(tmp_path, "etc/kubernetes/kubelet.conf", KUBECONFIG.format(server=server))
    assert facts.api_servers(tmp_path) == found


def test_every_api_server_is_found_once(tmp_path: Path) -> None:
    put(tmp_path, "etc/kubernetes/kubelet.conf", KUBECONFIG.format(server="https://192.168.1.10:6443"))
    put(tmp_path, "var/lib/kubelet/kubeconfig", KUBECONFIG.format(server="https://192.168.1.10:6443"))
    put(tmp_path, "etc/rancher/k3s/k3s.yaml", KUBECONFIG.format(server="https://127.0.0.1:6443"))
    put(
        tmp_path,
        "var/lib/rancher/k3s/agent/etc/k3s-agent-load-balancer.json",
        '{\n  "ServerURL": "https://192.168.1.12:6443",\n  "ServerAddresses": ["192.168.1.12:6443", "[fd00::13]:6443"],\n'
        '  "Listener": null\n}',
    )
    assert facts.api_servers(tmp_path) == ("192.168.1.10", "192.168.1.12", "fd00::13")


def test_dns_servers_are_found_behind_the_local_one(tmp_path: Path) -> None:
    assert facts.dns_servers(tmp_path) == ()
    put(
        tmp_path,
        "etc/resolv.conf",
        "# nameserver 9.9.9.9\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nsearch example.org\n",
    )
    assert facts.dns_servers(tmp_path) == ()
    put(tmp_path, "run/systemd/resolve/resolv.conf", "nameserver 192.168.1.1\n nameserver FD00::53\nnameserver oops\n")
    assert facts.dns_servers(tmp_path) == ("192.168.1.1", "fd00::53")
