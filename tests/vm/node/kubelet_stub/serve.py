# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the node: a pod in a namespace, the rules of a real kube-proxy for node1, and the lab's servers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

from tests.lab import LabOptions, kube_proxy_rules, namespaces
from tests.lab.servers import listeners, open_sockets, serve
from tests.lab.topology import POD_GATEWAY_MAC, host_commands, pod, pod_routes

POD = "pod1"


def create_pod() -> None:
    """Create the namespace of pod1, as in the lab."""
    subprocess.run(["ip", "netns", "del", POD], capture_output=True, check=False)
    namespaces.ip_batch(
        [
            f"netns add {POD}",
            f"link add pod-server address {POD_GATEWAY_MAC} type veth peer name eth0 netns {POD}",
            *pod_routes(1, "server", 10),
        ]
    )
    namespaces.ip_batch(host_commands(pod("server1", 1, 10)), POD)


def load_rules() -> None:
    """Load kube-proxy's rules for TCP and UDP in both families."""
    for program, kind in (("iptables-restore", "iptables-save"), ("ip6tables-restore", "ip6tables-save")):
        text = kube_proxy_rules.with_udp(kube_proxy_rules.fixture("node1", kind))
        subprocess.run([program, "-w"], input=text, text=True, check=True)


async def main() -> None:
    """Serve until terminated."""
    create_pod()
    load_rules()
    # The node's address may be added later, with its link
    subprocess.run(["sysctl", "-qw", "net.ipv4.ip_nonlocal_bind=1", "net.ipv6.ip_nonlocal_bind=1"], check=True)
    opened: list[object] = []
    for listener in listeners(LabOptions()):
        if listener.host not in ("server1", "node1"):
            continue
        open_both = partial(open_sockets, listener)
        stream, datagram = namespaces.in_namespace(POD, open_both) if listener.host == "server1" else open_both()
        opened += [await serve(listener, stream, datagram), datagram]
    subprocess.run(["systemd-notify", "--ready"], check=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
