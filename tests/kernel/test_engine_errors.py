# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node lacks or a user gets wrong is refused in clear words before anything is written, by the real modules."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyroute2
import pytest

from tests.kernel.engine import MODULES, EngineNode, assert_same, warnings_of
from tests.kernel.engine_pools import ABSENT, EXTERNAL, SECOND, SHARED, STORAGE, Parameters, declared
from tests.lab import kernel

POOLS = "pool_routing"
SOUND = declared(EXTERNAL, STORAGE)
VLAN = {**EXTERNAL, "interface": "eth0.300", "vlan": {"parent": "eth0", "id": 300}}
ROUTES: Parameters = {"routes": [{"destination": "5.6.7.0/24", "interface": "eth1", "table": "100"}]}


@pytest.fixture(scope="module")
def node() -> Iterator[EngineNode]:
    """A node on which nothing is ever written but by tests that put it back."""
    with EngineNode() as made:
        yield made


# --- what the node lacks


def become_nobody() -> None:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)


def test_not_root(node: EngineNode) -> None:
    for variant in ("nft", "legacy", "auto"):
        answer = node.refuse(POOLS, {**SOUND, "iptables_variant": variant}, before=become_nobody)
        assert "Run as root (become: true)" in answer["msg"], answer["msg"]
    answer = node.refuse("iptables_chains", {"prefix": "SITE-", "chains": []}, before=become_nobody)
    assert "Run as root" in answer["msg"]


@pytest.fixture
def bare() -> Iterator[EngineNode]:
    """A node of its own for a test that takes something away from it."""
    with EngineNode() as made:
        yield made


def hide(node: EngineNode, *programs: str) -> None:
    """Take programs off the node, so that not even their names are left: a node without a package has none."""
    folders = {"/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", *os.environ["PATH"].split(os.pathsep)}
    for folder in sorted({os.path.realpath(folder) for folder in folders if Path(folder).is_dir()}):
        found = [path.name for path in Path(folder).iterdir() if any(program in path.name for program in programs)]
        if not found:
            continue
        names = " ".join(f"{folder}/{name}" for name in found)
        layers = f"/run/.lab/hide{folder}"
        node.host.run(
            f"mkdir -p {layers}/upper {layers}/work;"
            f" mount -t overlay -o lowerdir={folder},upperdir={layers}/upper,workdir={layers}/work hide {folder}; rm {names}"
        )


def test_no_iptables_at_all(bare: EngineNode) -> None:
    with bare_picture(bare):
        hide(bare, "iptables", "ip6tables", "xtables")
        for parameters in (SOUND, ABSENT):
            for check in (True, False):
                answer = bare.module(POOLS, parameters, check=check)
                assert answer.get("failed"), answer
                assert "no iptables was found" in answer["msg"]
                assert "Install the package iptables" in answer["msg"]


class bare_picture:  # noqa: N801 - reads as a statement
    """Compare without iptables' own listings, which a node without iptables cannot give."""

    def __init__(self, node: EngineNode) -> None:
        self._node = node

    def __enter__(self) -> None:
        self._before = self._seen()

    def __exit__(self, *_others: object) -> None:
        assert self._seen() == self._before

    def _seen(self) -> list[str]:
        lines = ("ip -d link", "ip address", "ip route show table all", "ip rule", "ip -6 rule", "nft list ruleset")
        return [
            *(self._node.host.output(line) for line in lines),
            self._node.host.sysctl("net/ipv4/conf/eth0.100/rp_filter"),
        ]


def test_the_wanted_variant_is_missing(bare: EngineNode) -> None:
    hide(bare, "legacy")
    answer = bare.module(POOLS, {**SOUND, "iptables_variant": "legacy"})
    assert answer.get("failed")
    assert "legacy is wanted, but only nft is installed" in answer["msg"]


def old_pyroute2(folder: Path) -> Path:
    """Copy the pyroute2 that is here, and make its copy say that it is Debian 11's."""
    package = Path(pyroute2.__file__).parent
    shutil.copytree(package, folder / "pyroute2", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "pyroute2/config/version.py").write_text('__version__ = "0.5.14"\n')
    return folder


@pytest.mark.parametrize("which", ["none", "0.5.14"])
def test_pyroute2_is_missing_or_too_old(node: EngineNode, tmp_path: Path, which: str) -> None:
    path = str(old_pyroute2(tmp_path)) if which != "none" else str(tmp_path)

    def take_away() -> None:
        sys.path[:] = [folder for folder in sys.path if not Path(folder, "pyroute2").is_dir()] + [path]

    for module, parameters in ((POOLS, SOUND), (POOLS, ABSENT), ("ip_routes", ROUTES), ("routing_info", {})):
        answer = node.refuse(module, {**parameters, "pyroute2_path": str(tmp_path / "nothing")}, before=take_away)
        assert answer["pyroute2_missing"] is True, "the action plugin reads this"
        assert ("no pyroute2" if which == "none" else "only pyroute2 0.5.14 in") in answer["msg"]
        assert "pyroute2 >= 0.7.2 is needed" in answer["msg"]
        assert "python3-pyroute2" in answer["msg"]


@pytest.mark.skipif(kernel.can("vlan"), reason="this kernel has 8021q, so its lack cannot be shown")
@pytest.mark.parametrize("module", [POOLS, "ip_links"])
def test_no_8021q(node: EngineNode, module: str) -> None:
    links = {"links": [{"name": "eth0.300", "parent": "eth0", "vlan_id": 300}]}
    answer = node.refuse(module, declared(VLAN, STORAGE) if module == POOLS else links)
    assert "no links of type vlan (module 8021q)" in answer["msg"]
    assert "modprobe 8021q" in answer["msg"]


@pytest.mark.skipif(not kernel.can("vlan"), reason="needs 8021q in the kernel (tests/vm has it)")
def test_8021q_makes_the_vlan(bare: EngineNode) -> None:
    before = bare.picture()
    assert bare.change(POOLS, declared(VLAN))["changed"]
    assert not bare.change(POOLS, declared(VLAN))["changed"]
    bare.change(POOLS, ABSENT)
    assert_same(before, bare.picture())


@pytest.mark.parametrize("name", ["cilium_host", "bpfin.cali", "lxc0123456789ab"])
def test_ebpf_in_the_place_of_kube_proxy(bare: EngineNode, name: str) -> None:
    bare.host.run(f"ip link add {name} type veth peer name other")
    answer = bare.refuse(POOLS, SOUND)
    assert answer["errors"][0]["path"] == "cluster.kube_proxy_mode"
    assert name in answer["msg"]
    assert "eBPF" in answer["msg"]
    given = declared(EXTERNAL, cluster={"kube_proxy_mode": "iptables"})
    assert bare.change(POOLS, given)["changed"], "who says that kube-proxy runs is believed"
    assert bare.change(POOLS, ABSENT)["changed"], "what is there can always be removed"


def test_ipv6_is_switched_off(bare: EngineNode) -> None:
    bare.host.run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
    answer = bare.refuse(POOLS, SOUND)
    assert answer["errors"][0]["path"] == "pools[0].networks"
    assert "switched off" in answer["msg"]


def test_an_interface_that_is_down(bare: EngineNode) -> None:
    bare.host.run("ip link set eth0.100 down")
    answer = bare.refuse(POOLS, SOUND)
    assert answer["errors"][0]["path"] == "pools[0].interface"
    assert "ip link set eth0.100 up" in answer["msg"]


def test_a_truth_about_kube_proxy_that_nobody_saw(node: EngineNode) -> None:
    answer = node.change(POOLS, declared(EXTERNAL), check=True)
    assert any(text.startswith("cluster.kube_proxy_mode: ") for text in warnings_of(answer))


# --- what a user gets wrong, through the real module


def pool(**options: Any) -> Parameters:
    return declared({**EXTERNAL, **options})


BAD: list[tuple[str, Parameters, str, str]] = [
    ("host bits", pool(networks=["1.2.3.1/24"]), "pools[0].networks[0]", "1.2.3.0/24"),
    ("gateway outside", pool(gateways=["1.2.4.1"]), "pools[0].gateways[0]", "not inside any of"),
    ("gateway of the other family", pool(networks=["fd00:1:2:3::/64"]), "pools[0].gateways[0]", "IPv4"),
    ("VLAN 0", pool(vlan={"parent": "eth0", "id": 0}), "pools[0].vlan.id", "4094"),
    ("VLAN 4095", pool(vlan={"parent": "eth0", "id": 4095}), "pools[0].vlan.id", "4094"),
    ("16 letters", pool(interface="a" * 16), "pools[0].interface", "16 bytes"),
    ("shell in a name", pool(interface="eth0;reboot"), "pools[0].interface", "eth0;reboot"),
    ("shell in a pool's name", pool(name="$(reboot)"), "pools[0].name", "$(reboot)"),
    ("unknown table", pool(table="nonsense"), "pools[0].table", "nonsense"),
    ("mark outside of the mask", pool(mark="0x4000"), "pools[0].mark", "0x1f00"),
    ("overlapping", declared(EXTERNAL, {**SECOND, "networks": ["1.2.3.128/25"]}), "pools[1].networks[0]", "1.2.3.0/24"),
    ("no networks", pool(networks=[]), "pools[0].networks", "missing"),
    (
        "10,000 networks",
        pool(networks=[f"20.{n >> 8}.{n & 255}.0/24" for n in range(10_000)]),
        "pools[0].networks",
        "256",
    ),
    ("no pools", {"pools": []}, "pools", "none"),
    ("unknown interface", pool(interface="eth9"), "pools[0].interface", "no interface eth9"),
    (
        "covers the node",
        declared(
            {**EXTERNAL, "networks": ["192.168.1.0/24"], "gateways": ["192.168.1.9"]}, cluster={"node_addresses": []}
        ),
        "pools[0].networks",
        "192.168.1.11, this node's own address",
    ),
    (
        "covers the router",
        pool(networks=["192.168.1.0/30"], gateways=["192.168.1.2"]),
        "pools[0].networks",
        "192.168.1.1",
    ),
    (
        "covers the API",
        declared(EXTERNAL, cluster={"api_servers": ["1.2.3.9"]}),
        "pools[0].networks[0]",
        "cluster.api_servers",
    ),
    ("priorities in the way", {**SOUND, "priority_base": 40000}, "priority_base", "40000"),
    (
        "dedicated with the default route",
        declared({**SHARED, "interface": "eth0", "dedicated": True}),
        "pools[0].dedicated",
        "eth0",
    ),
    ("case that does not fit", declared({**STORAGE, "case": "same_subnet"}), "pools[0].case", "onlink_route"),
    ("deny without gateway", declared({**STORAGE, "deny": ["9.0.0.0/8"]}), "pools[0].deny", "no effect"),
]


@pytest.mark.parametrize(("parameters", "path", "word"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_pools(node: EngineNode, parameters: Parameters, path: str, word: str) -> None:
    answer = node.refuse(POOLS, parameters)
    assert path in [error["path"] for error in answer["errors"]], answer["errors"]
    assert word in answer["msg"]
    for error in answer["errors"]:
        assert re.match(rf"{re.escape(error['path'])}( \(pool \w+\))?: ", error["message"])


def test_all_errors_at_once(node: EngineNode) -> None:
    answer = node.refuse(
        POOLS, declared({**EXTERNAL, "interface": "a" * 16, "mark": "0x4000"}, {**SECOND, "networks": ["x"]})
    )
    assert {error["path"] for error in answer["errors"]} >= {
        "pools[0].interface",
        "pools[0].mark",
        "pools[1].networks[0]",
    }


def test_the_ssh_connection_is_safe(node: EngineNode) -> None:
    def come_over_ssh() -> None:
        os.environ["SSH_CONNECTION"] = "1.2.3.99 40000 172.16.0.11 22"

    answer = node.refuse(POOLS, SOUND, before=come_over_ssh)
    assert "1.2.3.99, the other end of the connection" in answer["msg"]

    def come_by_eth2() -> None:
        os.environ["SSH_CONNECTION"] = "9.9.9.9 40000 172.16.0.11 22"

    answer = node.refuse(POOLS, declared({**SHARED, "dedicated": True}), before=come_by_eth2)
    assert answer["errors"][0]["path"] == "pools[0].dedicated"


@pytest.mark.parametrize("module", MODULES)
def test_unknown_options(node: EngineNode, module: str) -> None:
    required = {
        "ip_links": {"links": []},
        "ip_routes": {"routes": []},
        "ip_rules": {"rules": []},
        "iptables_chains": {"chains": [], "prefix": "X-"},
    }
    answer = node.refuse(module, {**required.get(module, {}), "frobnicate": 1})
    assert "frobnicate" in answer["msg"]


BAD_OBJECTS: list[tuple[str, Parameters, str]] = [
    ("ip_links", {"links": [{"name": "x" * 16, "kind": "dummy"}]}, "links[0].name"),
    ("ip_links", {"links": [{"name": "mv0", "kind": "macvlan"}]}, "links[0].parent"),
    ("ip_links", {"links": [{"name": "v", "parent": "eth0", "vlan_id": 4095}]}, "links[0].vlan_id"),
    ("ip_links", {"links": [{"name": "v", "parent": "eth0"}]}, "links[0].vlan_id"),
    ("ip_links", {"links": [{"name": "d", "kind": "dummy", "mtu": 99999}]}, "links[0].mtu"),
    ("ip_routes", {"routes": [{"destination": "5.6.7.1/24", "interface": "eth1"}]}, "routes[0].destination"),
    ("ip_routes", {"routes": [{"destination": "5.6.7.0/24"}]}, "routes[0].interface"),
    ("ip_routes", {"routes": [{"destination": "nonsense", "interface": "eth1"}]}, "routes[0].destination"),
    (
        "ip_routes",
        {"routes": [{"destination": "5.6.7.0/24", "gateway": "fd00::1", "interface": "eth1"}]},
        "routes[0].gateway",
    ),
    ("ip_routes", {"routes": [{"destination": "5.6.7.0/24", "interface": "eth1", "table": "nine"}]}, "routes[0].table"),
    (
        "ip_routes",
        {
            "routes": [
                {"destination": "5.6.7.0/24", "interface": "eth1"},
                {"destination": "5.6.7.0/24", "interface": "eth2"},
            ]
        },
        "routes[1]",
    ),
    ("ip_rules", {"rules": [{"priority": 0, "table": "100"}]}, "rules[0].priority"),
    ("ip_rules", {"rules": [{"priority": 5}]}, "rules[0].table"),
    ("ip_rules", {"rules": [{"priority": 5, "action": "goto", "goto": 4}]}, "rules[0].goto"),
    ("ip_rules", {"rules": [{"priority": 5, "table": "100", "fwmark": "0x2000/0x1f00"}]}, "rules[0].fwmark"),
    ("ip_rules", {"rules": [{"priority": 5, "table": "100", "source": "1.2.3.4/8"}]}, "rules[0].source"),
    ("iptables_chains", {"prefix": "SITE-", "chains": [{"name": "OTHER", "table": "raw"}]}, "chains[0].name"),
    (
        "iptables_chains",
        {"prefix": "SITE-", "chains": [{"name": "SITE-" + "x" * 30, "table": "raw"}]},
        "chains[0].name",
    ),
    (
        "iptables_chains",
        {"prefix": "SITE-", "chains": [{"name": "SITE-A", "table": "raw", "hook": "FORWARD"}]},
        "chains[0].hook",
    ),
    (
        "iptables_chains",
        {"prefix": "SITE-", "chains": [{"name": "SITE-A", "table": "raw", "rules": ["-j NOWHERE"]}]},
        "chains[0].rules[0]",
    ),
    (
        "iptables_chains",
        {"prefix": "SITE-", "chains": [{"name": "SITE-A", "table": "raw", "rules": ["-j DROP", "-s x\n-j DROP"]}]},
        "chains[0].rules[1]",
    ),
    ("ip_links", {"links": [], "purge": True, "owner": ""}, "owner"),
    ("ip_routes", {"routes": [], "purge": True, "protocol": 2}, "protocol"),
    ("ip_rules", {"rules": [], "purge": True, "protocol": 77}, "protocol"),
    ("iptables_chains", {"chains": [], "purge": True, "prefix": "KUBE-"}, "prefix"),
    ("iptables_chains", {"chains": [], "prefix": "SITE-", "comment": "a\n-j ACCEPT"}, "comment"),
]


@pytest.mark.parametrize(("module", "parameters", "path"), BAD_OBJECTS, ids=[f"{m} {p}" for m, _o, p in BAD_OBJECTS])
def test_bad_objects(node: EngineNode, module: str, parameters: Parameters, path: str) -> None:
    answer = node.refuse(module, parameters)
    assert path in answer["msg"]
    assert [error["path"] for error in answer.get("errors", ())] == [path], answer
