# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a node: pods as namespaces, the rules that a real kube-proxy wrote for node1, and the lab's servers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

from tests.lab import LabOptions, kube_proxy_rules, namespaces
from tests.lab.servers import listeners, open_sockets, serve
from tests.lab.topology import POD_GATEWAY, POD_GATEWAY6, POD_GATEWAY_MAC

POD = "pod1"


def make_pod() -> None:
    """Make the namespace of pod1 as the lab makes it: a /32, and a gateway that is only a neighbour entry."""
    subprocess.run(["ip", "netns", "del", POD], capture_output=True, check=False)
    namespaces.ip_batch(
        [
            f"netns add {POD}",
            f"link add pod-server address {POD_GATEWAY_MAC} type veth peer name eth0 netns {POD}",
            "link set pod-server up",
            "route add 10.112.1.10 dev pod-server",
            "route add fd00:112:1::10 dev pod-server",
        ]
    )
    namespaces.ip_batch(
        [
            "link set lo up",
            "link set eth0 up",
            "address add 10.112.1.10/32 dev eth0",
            "address add fd00:112:1::10/128 dev eth0 nodad",
            f"route add {POD_GATEWAY} dev eth0",
            f"neighbour add {POD_GATEWAY} lladdr {POD_GATEWAY_MAC} dev eth0 nud permanent",
            f"neighbour add {POD_GATEWAY6} lladdr {POD_GATEWAY_MAC} dev eth0 nud permanent",
            f"route add default via {POD_GATEWAY} dev eth0",
            f"route add default via {POD_GATEWAY6} dev eth0",
        ],
        POD,
    )


def load_rules() -> None:
    """Load kube-proxy's rules, for TCP and UDP, in both families."""
    for program, kind in (("iptables-restore", "iptables-save"), ("ip6tables-restore", "ip6tables-save")):
        text = kube_proxy_rules.with_udp(kube_proxy_rules.fixture("node1", kind))
        subprocess.run([program, "-w"], input=text, text=True, check=True)


async def main() -> None:
    """Serve until ended."""
    make_pod()
    load_rules()
    # The node's own address may come after us, with its link
    subprocess.run(["sysctl", "-qw", "net.ipv4.ip_nonlocal_bind=1", "net.ipv6.ip_nonlocal_bind=1"], check=True)
    kept: list[object] = []
    for listener in listeners(LabOptions()):
        if listener.host not in ("server1", "node1"):
            continue
        opened = partial(open_sockets, listener)
        stream, datagram = namespaces.in_namespace(POD, opened) if listener.host == "server1" else opened()
        kept += [await serve(listener, stream, datagram), datagram]
    subprocess.run(["systemd-notify", "--ready"], check=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
