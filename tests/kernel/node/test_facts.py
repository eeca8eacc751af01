# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of a node: kube-proxy by evidence in the kernel, the SSH connection, the servers of the Kubernetes API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel import facts
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.iptables import tables
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink import nf_tables
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Interface, KubeProxy
from tests.kernel.iptables.world import OWNERSHIP, VARIANTS, load_kube_proxy
from tests.lab.kube_proxy_rules import fixture
from tests.support.namespace import Namespace

LINKS = {
    "lo": Interface("lo", 1, True, addresses=("127.0.0.1/8", "::1/128")),
    "eth0": Interface("eth0", 2, True, addresses=("192.168.1.11/24", "fd00:192:168:1::11/64", "fe80::1/64")),
    "eth1": Interface("eth1", 3, True, addresses=("10.0.0.11/24", "fe80::1/64")),
}


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with Namespace("homeward-around") as made:
        yield made


def links(namespace: Namespace) -> dict[str, Interface]:
    return {item["ifname"]: Interface(item["ifname"], item["ifindex"], True) for item in namespace.ip_json("link")}


def seen() -> KubeProxy:
    """Return what is found in the current namespace, by the calls that a run makes."""
    found = json.loads(subprocess.run(["ip", "-json", "link"], check=True, capture_output=True, text=True).stdout)
    names = {item["ifname"]: Interface(item["ifname"], item["ifindex"], True) for item in found}
    return facts.kube_proxy(names, tables.read("auto", OWNERSHIP).cluster_chains)


def load_nft(namespace: Namespace, text: str) -> None:
    namespace.run(["nft", "-f", "-"], text)


def test_an_empty_node_has_no_kube_proxy(namespace: Namespace) -> None:
    assert namespace.call(seen) == KubeProxy("", "no trace of kube-proxy was found")


@pytest.mark.parametrize("variant", VARIANTS)
def test_iptables_mode(namespace: Namespace, variant: str) -> None:
    load_kube_proxy(namespace, variant)
    assert namespace.call(seen).mode == "iptables"


def test_nftables_mode(namespace: Namespace) -> None:
    load_nft(namespace, fixture("node1", "nft"))
    kube_proxy = namespace.call(seen)
    assert kube_proxy == KubeProxy("nftables", "there is a table ip kube-proxy in nftables")


def test_nftables_mode_of_a_node_with_ipv6_only(namespace: Namespace) -> None:
    load_nft(namespace, "table ip6 kube-proxy { }")
    assert namespace.call(seen).mode == "nftables"


def test_a_table_of_another_family_is_not_kube_proxys(namespace: Namespace) -> None:
    load_nft(namespace, "table inet kube-proxy { }\ntable ip kube-proxy-2 { }")
    assert namespace.call(seen).mode == ""


def test_ipvs_mode_despite_chains_of_kube_proxy(namespace: Namespace) -> None:
    load_kube_proxy(namespace, "nft")
    namespace.ip("link add name kube-ipvs0 type bridge")
    assert namespace.call(seen) == KubeProxy("ipvs", "there is a link kube-ipvs0")


@pytest.mark.parametrize("name", ["cilium_host", "bpfin.cali", "lxc_health", "lxc0123456789ab"])
def test_replacements_of_kube_proxy(namespace: Namespace, name: str) -> None:
    namespace.ip(f"link add name {name} type bridge")
    assert namespace.call(seen).mode == "ebpf"


def test_a_bridge_of_linux_containers_is_no_replacement(namespace: Namespace) -> None:
    namespace.ip("link add name lxcbr0 type bridge")
    assert namespace.call(seen).mode == ""


def test_cilium_with_kube_proxy_is_no_replacement(namespace: Namespace) -> None:
    namespace.ip("link add name cilium_host type bridge")
    load_kube_proxy(namespace, "nft")
    assert namespace.call(seen).mode == "iptables"


def test_lists_the_tables_that_nft_lists(namespace: Namespace) -> None:
    assert namespace.call(nf_tables.nft_tables) == frozenset()
    families = ("ip", "ip6", "inet", "arp", "bridge", "netdev")
    load_nft(namespace, "".join(f"table {family} of-{family}-{n} {{ }}\n" for family in families for n in range(400)))
    listed = namespace.run(["nft", "list", "tables"]).split("\n")
    expected = {tuple(line.split()[1:]) for line in listed if line}
    assert len(expected) == 2400, "more than one answer of the kernel holds"
    assert namespace.call(nf_tables.nft_tables) == expected


@pytest.mark.parametrize(
    ("names", "chains", "tables", "services", "mode"),
    [
        ({"lo"}, set(), set(), 0, ""),
        ({"kube-dummy-if"}, set(), set(), 0, "ipvs"),
        ({"lo"}, set(), set(), 3, "ipvs"),
        ({"lo"}, {"KUBE-SERVICES"}, set(), 3, "iptables"),
        ({"lo"}, {"KUBE-FIREWALL", "KUBE-KUBELET-CANARY"}, {("ip", "kube-proxy")}, 3, "nftables"),
        ({"cilium_net"}, set(), set(), 3, "ipvs"),
        ({"cilium_net"}, {"KUBE-FIREWALL"}, {("ip", "nat")}, 0, "ebpf"),
    ],
)
def test_the_strongest_evidence_decides(
    names: set[str], chains: set[str], tables: set[tuple[str, str]], services: int, mode: str
) -> None:
    assert facts.judge(names, chains, lambda: tables, lambda: services).mode == mode


@pytest.mark.parametrize("names", [{"kube-ipvs0"}, {"lo"}])
def test_evidence_is_read_only_if_it_decides(names: set[str]) -> None:
    def unneeded() -> NoReturn:
        raise AssertionError("stronger evidence exists")

    assert facts.judge(names, {"KUBE-SERVICES"}, unneeded, unneeded).mode


def test_counts_ipvs_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_finds_the_ssh_connection(connection: str, answer: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
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


def asked_below(environment: Mapping[str, str], *between: str) -> list[str]:
    """Return what a new Python process finds below a shell with this environment and the commands in between."""
    root = str(Path(__file__).resolve().parents[3])
    command = ["sh", "-c", '"$@"; exit $?', "sh", *between, sys.executable, "-c", ASK, root]
    outside = {name: value for name, value in os.environ.items() if not name.startswith("SSH_")}
    done = subprocess.run(command, env={**outside, **environment}, check=True, capture_output=True, text=True)
    found: list[str] = json.loads(done.stdout)
    return found


CONNECTION = {"SSH_CONNECTION": "203.0.113.7 50000 192.168.1.11 22"}


def test_finds_the_connection_in_its_own_environment() -> None:
    assert asked_below(CONNECTION) == ["203.0.113.7", "eth0"]


def test_finds_the_connection_despite_sudo() -> None:
    strip = ("env", "-i", "HOME=/root", "PATH=/usr/bin:/bin", "sh", "-c", '"$@"; exit $?', "sudo")
    assert asked_below(CONNECTION, *strip, *strip) == ["203.0.113.7", "eth0"]


def test_a_process_without_a_parent_has_no_connection(tmp_path: Path) -> None:
    put(tmp_path, "7/status", "Name:\tPPid: 1\nPPid:\t0\n")
    put(tmp_path, "1/environ", "SSH_CONNECTION=203.0.113.7 50000 192.168.1.11 22\0")
    assert list(facts.environments(7, tmp_path)) == [os.environ]
    assert list(facts.environments(8, tmp_path)) == [os.environ]


def test_reads_no_servers_where_there_is_no_kubernetes(tmp_path: Path) -> None:
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
def test_finds_the_server_of_a_kubeconfig(tmp_path: Path, server: str, found: tuple[str, ...]) -> None:
    put(tmp_path, "etc/kubernetes/kubelet.conf", KUBECONFIG.format(server=server))
    assert facts.api_servers(tmp_path) == found


def test_finds_every_server_once(tmp_path: Path) -> None:
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
