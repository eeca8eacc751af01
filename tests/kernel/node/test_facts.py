# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How kube-proxy's mode is detected from what it leaves in the kernel. What is pure is tested in tests/unit/kernel."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel import facts
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.iptables import tables
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Interface, KubeProxy
from tests.kernel.iptables.world import OWNERSHIP, load_kube_proxy
from tests.lab.kube_proxy_rules import fixture
from tests.support.namespace import Namespace


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A namespace without links."""
    with Namespace("homeward-facts") as made:
        yield made


def detected() -> KubeProxy:
    """Return what a run detects in the current namespace."""
    links = json.loads(subprocess.run(["ip", "-json", "link"], check=True, capture_output=True, text=True).stdout)
    names = {link["ifname"]: Interface(link["ifname"], link["ifindex"], True) for link in links}
    return facts.kube_proxy(names, tables.read("auto", OWNERSHIP).cluster_chains)


#: mode, the variant of iptables with kube-proxy's chains, tables of nft, a link
FOUND = [
    ("", "", "", ""),
    ("iptables", "nft", "", ""),
    ("iptables", "legacy", "", ""),
    ("iptables", "nft", "", "cilium_host"),
    ("nftables", "", fixture("node1", "nft"), ""),
    ("nftables", "", "table ip6 kube-proxy { }", ""),
    ("", "", "table inet kube-proxy { }\ntable ip kube-proxy-2 { }", ""),
    ("ipvs", "", "", "kube-ipvs0"),
    # left over by a former IPVS mode
    ("iptables", "nft", "", "kube-ipvs0"),
    ("iptables", "legacy", "", "kube-ipvs0"),
    ("nftables", "", fixture("node1", "nft"), "kube-ipvs0"),
    *(("ebpf", "", "", name) for name in ("cilium_host", "bpfin.cali", "lxc_health", "lxc0123456789ab")),
    ("", "", "", "lxcbr0"),  # a bridge of Linux containers
]


@pytest.mark.parametrize(("mode", "variant", "ruleset", "link"), FOUND, ids=lambda value: value[:30])
def test_kube_proxys_mode_is_detected(namespace: Namespace, mode: str, variant: str, ruleset: str, link: str) -> None:
    if variant:
        load_kube_proxy(namespace, variant)
    namespace.run(["nft", "-f", "-"], ruleset)
    if link:
        namespace.ip(f"link add name {link} type bridge")
    assert namespace.call(detected).mode == mode


@pytest.mark.skipif(not shutil.which("ipset"), reason="needs the program ipset")
@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_ipvs_mode_is_detected_beside_chains_of_services(namespace: Namespace, variant: str) -> None:
    """kube-proxy leaves the chains of a former iptables mode, but not the rules of KUBE-SERVICES."""
    load_kube_proxy(namespace, variant)
    iptables = f"iptables-{variant} -t nat"
    commands = (
        "ipset create KUBE-CLUSTER-IP hash:ip,port",
        f"{iptables} -F KUBE-SERVICES",
        f"{iptables} -A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ",
        "ip link add name kube-ipvs0 type bridge",
    )
    namespace.run(["sh", "-ec", "; ".join(commands)])
    found = namespace.call(detected)
    assert (found.mode, found.contradiction) == ("ipvs", "")


@pytest.mark.parametrize(
    ("mode", "reason", "prepare"),
    [
        ("", "no trace of kube-proxy was found", "true"),
        ("nftables", "there is a table ip kube-proxy in nftables", "nft add table ip kube-proxy"),
        ("ipvs", "there is a link kube-ipvs0", "ip link add name kube-ipvs0 type bridge"),
    ],
)
def test_the_reason_for_the_detected_mode_is_given(namespace: Namespace, mode: str, reason: str, prepare: str) -> None:
    namespace.run(["sh", "-c", prepare])
    assert namespace.call(detected) == KubeProxy(mode, reason)
