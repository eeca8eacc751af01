# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real modules refuse a node that lacks a prerequisite before anything is written, and name what is missing."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pyroute2
import pytest

from tests.lab import Host, kernel_features
from tests.support.modules import MODULES, warnings_of
from tests.support.node import Node
from tests.support.pools import ABSENT, EXTERNAL, STORAGE, Parameters, declared
from tests.support.snapshots import unchanged

POOLS = "pool_routing"
SOUND = declared(EXTERNAL, STORAGE)
VLAN = {**EXTERNAL, "interface": "eth0.300", "vlan": {"parent": "eth0", "id": 300}}
ROUTES: Parameters = {"routes": [{"destination": "5.6.7.0/24", "interface": "eth1", "table": "100"}]}


def become_nobody() -> None:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)


def test_modules_require_root(node: Node) -> None:
    for variant in ("nft", "legacy", "auto"):
        answer = node.refuse(POOLS, {**SOUND, "iptables_variant": variant}, before=become_nobody)
        assert "Run as root (become: true)" in answer["msg"], answer["msg"]
    answer = node.refuse("iptables_chains", {"prefix": "SITE-", "chains": []}, before=become_nobody)
    assert "Run as root" in answer["msg"]


def hide(node: Node, *programs: str) -> None:
    """Hide programs from the node, including their names, as on a node without their package."""
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


def test_a_node_without_iptables_is_refused(bare: Node) -> None:
    machine = Host("machine", bare.name)  # the node's network namespace, with this machine's iptables
    with unchanged(machine):
        hide(bare, "iptables", "ip6tables", "xtables")
        for check in (True, False):
            answer = bare.module(POOLS, SOUND, check=check)
            assert answer.get("failed"), answer
            assert "no iptables to mark its packets" in answer["msg"]
            assert "Install iptables" in answer["msg"]
            assert bare.change(POOLS, ABSENT, check=check)["changed"] is False, "a removal needs none"


@pytest.mark.parametrize("program", ["iptables", "ip6tables"])
def test_a_rule_that_the_kernel_does_not_support_is_refused(node: Node, tmp_path: Path, program: str) -> None:
    """A stub prints the error of such a kernel for one match, and runs the real program for everything else."""
    real = shutil.which(f"{program}-nft-restore", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    stub = tmp_path / f"{program}-nft-restore"
    error = "Warning: Extension CONNMARK revision 0 not supported, missing kernel module?"
    stub.write_text(
        f"""#!/bin/sh
text=$(cat)
case $text in *CONNMARK*) echo '{error}' >&2; echo "$0: line 3 failed" >&2; exit 2;; esac
printf '%s\\n' "$text" | {real} "$@"
"""
    )
    stub.chmod(0o755)

    def prepend_path() -> None:
        os.environ["PATH"] = f"{tmp_path}:{os.environ['PATH']}"

    answer = node.refuse(POOLS, {**SOUND, "iptables_variant": "nft"}, before=prepend_path)
    assert error in answer["msg"]
    assert "Nothing was written" in answer["msg"]


def test_a_declared_variant_that_is_not_installed_is_refused(bare: Node) -> None:
    hide(bare, "legacy")
    answer = bare.module(POOLS, {**SOUND, "iptables_variant": "legacy"})
    assert answer.get("failed")
    assert "iptables_variant is legacy, but only nft is installed" in answer["msg"]


def old_pyroute2(folder: Path) -> Path:
    """Copy the installed pyroute2 with the version number of Debian 11."""
    package = Path(pyroute2.__file__).parent
    shutil.copytree(package, folder / "pyroute2", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "pyroute2/config/version.py").write_text('__version__ = "0.5.14"\n')
    return folder


@pytest.mark.parametrize("which", ["none", "0.5.14"])
def test_a_missing_or_old_pyroute2_is_refused(node: Node, tmp_path: Path, which: str) -> None:
    path = str(old_pyroute2(tmp_path)) if which != "none" else str(tmp_path)

    def hide_pyroute2() -> None:
        sys.path[:] = [folder for folder in sys.path if not Path(folder, "pyroute2").is_dir()] + [path]

    for module, parameters in ((POOLS, SOUND), (POOLS, ABSENT), ("ip_routes", ROUTES), ("routing_info", {})):
        answer = node.refuse(module, {**parameters, "pyroute2_path": str(tmp_path / "nothing")}, before=hide_pyroute2)
        assert answer["pyroute2_missing"] is True, "the action plugin reads this"
        assert ("no pyroute2" if which == "none" else "only pyroute2 0.5.14 in") in answer["msg"]
        assert "pyroute2 >= 0.7.2 is needed" in answer["msg"]
        assert "python3-pyroute2" in answer["msg"]


@pytest.mark.skipif(kernel_features.supports("vlan"), reason="this kernel has 8021q, which cannot be removed")
@pytest.mark.parametrize("module", [POOLS, "ip_links"])
def test_a_vlan_without_8021q_is_refused(node: Node, module: str) -> None:
    links = {"links": [{"name": "eth0.300", "parent": "eth0", "vlan_id": 300}]}
    answer = node.refuse(module, declared(VLAN, STORAGE) if module == POOLS else links)
    assert "does not support links of type vlan (module 8021q)" in answer["msg"]
    assert "modprobe 8021q" in answer["msg"]


@pytest.mark.skipif(not kernel_features.supports("vlan"), reason="needs 8021q in the kernel (tests/vm has it)")
def test_a_vlan_is_created_and_removed(bare: Node) -> None:
    with unchanged(bare):
        assert bare.change(POOLS, declared(VLAN))["changed"]
        assert not bare.change(POOLS, declared(VLAN))["changed"]
        bare.change(POOLS, ABSENT)


@pytest.mark.parametrize("name", ["cilium_host", "bpfin.cali", "lxc0123456789ab"])
def test_ebpf_in_place_of_kube_proxy_is_refused(bare: Node, name: str) -> None:
    bare.host.run(f"ip link add {name} type veth peer name other")
    answer = bare.refuse(POOLS, SOUND)
    assert answer["errors"][0]["path"] == "cluster.kube_proxy_mode"
    assert name in answer["msg"]
    assert "eBPF" in answer["msg"]
    given = declared(EXTERNAL, cluster={"kube_proxy_mode": "iptables"})
    assert bare.change(POOLS, given)["changed"], "a declared mode is used"
    assert bare.change(POOLS, ABSENT)["changed"], "removal is always possible"


@pytest.mark.parametrize("scope", ["all", "eth0.100"])
def test_ipv6_networks_on_a_link_with_ipv6_disabled_are_refused(bare: Node, scope: str) -> None:
    bare.host.run(f"sysctl -qw net/ipv6/conf/{scope}/disable_ipv6=1")
    answer = bare.refuse(POOLS, SOUND)
    assert answer["errors"][0]["path"] == "pools[0].networks"
    assert "disabled on eth0.100 (net/ipv6/conf/eth0.100/disable_ipv6)" in answer["msg"]
    bare.host.run("sysctl -qw net/ipv6/conf/eth0.100/disable_ipv6=0")
    assert bare.change(POOLS, SOUND)["changed"], "the sysctl of the link decides"


def test_an_interface_that_is_down_is_refused(bare: Node) -> None:
    bare.host.run("ip link set eth0.100 down")
    answer = bare.refuse(POOLS, SOUND)
    assert answer["errors"][0]["path"] == "pools[0].interface"
    assert "ip link set eth0.100 up" in answer["msg"]


def test_an_undetected_kube_proxy_mode_is_a_warning(node: Node) -> None:
    answer = node.change(POOLS, declared(EXTERNAL), check=True)
    assert any(text.startswith("cluster.kube_proxy_mode: ") for text in warnings_of(answer))


@pytest.mark.parametrize("module", MODULES)
def test_an_unknown_option_is_refused(node: Node, module: str) -> None:
    required = {
        "ip_links": {"links": []},
        "ip_routes": {"routes": []},
        "ip_rules": {"rules": []},
        "iptables_chains": {"chains": [], "prefix": "X-"},
    }
    answer = node.refuse(module, {**required.get(module, {}), "frobnicate": 1})
    assert "frobnicate" in answer["msg"]
