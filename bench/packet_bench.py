# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cost of the rules for a packet that does not belong to a pool: ``python -m bench.packet_bench``.

A node forwards a pod's UDP packets, with each set of rules by turns. Pod, node and outside are network namespaces.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.engine import Run, converge_pools
from bench.frames import FRAMES, Ring, udp_frame
from bench.measure import heading, say
from bench.scale import create_links, interfaces, parameters
from tests.support.namespace import Namespace

LINKS, POOLS_PER_LINK = 100, 10
TARGET = "<= 1.3"
STRAY = 100  # maximum number of packets that the node itself sends, such as router solicitations
POD, NODE, OUTER, OUTSIDE, NOBODY = (f"02:00:00:00:00:{number:02}" for number in (1, 2, 3, 4, 99))
POD_ADDRESS, OUTSIDE_ADDRESS = "10.112.1.20", "203.0.113.50"
KUBE_PROXY = Path(__file__).parents[1] / "tests" / "lab" / "kube_proxy" / "kube-proxy-1.36-node1.iptables-save"
CONNTRACK = ("*filter", "-A FORWARD -m conntrack --ctstate INVALID -j DROP", "COMMIT")  # a rule of kube-proxy


@dataclass(frozen=True)
class Topology:
    """A pod, its node, and the network outside."""

    pod: Namespace
    node: Namespace
    outside: Namespace


def build(stack: ExitStack, name: str) -> Topology:
    """Create and connect the three namespaces, with links for the pools on the node."""
    pod, node, outside = (
        stack.enter_context(Namespace(f"homeward-{name}-{part}")) for part in ("pod", "node", "outside")
    )
    node.ip(
        f"link add cali0 address {NODE} type veth peer name eth0 address {POD} netns {pod.name}",
        f"link add eth0 address {OUTER} type veth peer name eth0 address {OUTSIDE} netns {outside.name}",
        "link set cali0 up",
        "link set eth0 up",
        "address add 192.168.1.11/24 dev eth0",
        f"route add {POD_ADDRESS} dev cali0",
        "route add default via 192.168.1.1",
        # Packets outside are for a different MAC, so that their receiver drops them immediately
        f"neighbour add 192.168.1.1 lladdr {NOBODY} dev eth0 nud permanent",
        f"neighbour add {POD_ADDRESS} lladdr {NOBODY} dev cali0 nud permanent",
    )
    pod.ip("link set eth0 up")
    outside.ip("link set eth0 up")
    create_links(node, LINKS)
    node.call(_forward)
    return Topology(pod, node, outside)


def _forward() -> None:
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")


def _arrived() -> int:
    """Return the number of packets that eth0 in this namespace has received."""
    for line in Path("/proc/thread-self/net/dev").read_text(encoding="ascii").splitlines():
        name, _colon, numbers = line.partition(":")
        if name.strip() == "eth0":
            return int(numbers.split()[1])
    raise AssertionError("no link eth0")


def cost(path: Topology, rounds: int, end: str = NODE) -> float:
    """Return the CPU seconds per packet from the pod to the network outside.

    :param end: destination MAC. The node drops packets for a MAC other than its own immediately.
    """
    frame = udp_frame((POD, end), (POD_ADDRESS, OUTSIDE_ADDRESS), (40000, 53))
    before = path.outside.call(_arrived)
    seconds = path.pod.call(lambda: Ring("eth0", frame).send(rounds))
    arrived = path.outside.call(_arrived) - before
    expected = rounds * FRAMES if end == NODE else 0
    if not expected <= arrived <= expected + STRAY:
        raise RuntimeError(f"{arrived} packets arrived instead of {expected}")
    return seconds


def establish(path: Topology) -> None:
    """Send packets in both directions, so that the connection is established."""
    cost(path, 1)
    back = udp_frame((OUTSIDE, OUTER), (OUTSIDE_ADDRESS, POD_ADDRESS), (53, 40000))
    path.outside.call(lambda: Ring("eth0", back).send(1))


def nothing(_node: Namespace) -> None:
    """No rules and no connection tracking."""


def conntrack(node: Namespace) -> None:
    """Connection tracking only, which every node with kube-proxy has."""
    node.run(["iptables-restore", "--noflush"], "\n".join((*CONNTRACK, "")))


def any_rule(node: Namespace) -> None:
    """An ip rule that never matches. With any rule, the kernel evaluates its rules twice for every packet."""
    conntrack(node)
    node.ip("rule add fwmark 0x1/0x1 lookup 100 priority 100")


def collection(node: Namespace) -> None:
    """All pools, configured by the collection."""
    conntrack(node)
    node.call(_apply)


def kube_proxy(node: Namespace) -> None:
    """The rules of a real kube-proxy for 13 services."""
    node.run(["iptables-restore"], KUBE_PROXY.read_text(encoding="utf-8"))


def kube_proxy_and_any_rule(node: Namespace) -> None:
    """An ip rule that never matches, in addition to kube-proxy's rules."""
    kube_proxy(node)
    node.ip("rule add fwmark 0x1/0x1 lookup 100 priority 100")


def kube_proxy_and_collection(node: Namespace) -> None:
    """All pools, in addition to kube-proxy's rules."""
    kube_proxy(node)
    node.call(_apply)


def _apply() -> bool:
    values: dict[str, Any] = parameters(LINKS, POOLS_PER_LINK)
    return bool(converge_pools(values, Run())["changed"])


def article(node: Namespace) -> None:
    """The article's recipe with marks: three iptables rules and an ip rule per VLAN, with one network each."""
    conntrack(node)
    mangle = ["-A PREROUTING -j CONNMARK --restore-mark", "-A PREROUTING -m mark ! --mark 0 -j RETURN"]
    raw: list[str] = []
    rules: list[str] = []
    for number, name in enumerate(interfaces(LINKS)):
        mangle.append(f"-A PREROUTING -i {name} -j MARK --set-mark {number + 256:#x}")
        raw += [f"-A PREROUTING -i {name} -d 20.{number}.0.0/16 -j RETURN", f"-A PREROUTING -i {name} -j DROP"]
        rules.append(f"rule add from 20.{number}.0.0/16 fwmark {number + 256:#x} lookup {1000 + number} priority 2000")
    lines = ["*mangle", *mangle, "-A POSTROUTING -j CONNMARK --save-mark", "COMMIT", "*raw", *raw, "COMMIT", ""]
    node.run(["iptables-restore", "--noflush"], "\n".join(lines))
    node.ip(*rules)


def four_ip_rules(node: Namespace) -> None:
    """Four ip rules per VLAN: requests to other ports, requests, replies to pods, marked replies."""
    conntrack(node)
    node.ip(*(line for number, name in enumerate(interfaces(LINKS)) for line in _four(number, name)))


def _four(number: int, name: str) -> Iterator[str]:
    network, table = f"20.{number}.0.0/16", 1000 + number
    yield f"rule add iif {name} to {network} blackhole priority 2000"
    yield f"rule add iif {name} lookup main priority 2001"
    yield f"rule add from {network} to 10.112.0.0/12 lookup main priority 2002"
    yield f"rule add fwmark {number + 256:#x} lookup {table} priority 2003"


RULE_SETS: Mapping[str, Callable[[Namespace], None]] = {
    "nothing": nothing,
    "conntrack": conntrack,
    "any rule": any_rule,
    "collection": collection,
    "article": article,
    "four ip rules": four_ip_rules,
    "kube-proxy": kube_proxy,
    "kube-proxy and any rule": kube_proxy_and_any_rule,
    "kube-proxy and collection": kube_proxy_and_collection,
}
# Rule set and its reference. Ratios without a target show where the cost comes from.
RATIOS = (
    ("collection", "conntrack", TARGET),
    ("kube-proxy and collection", "kube-proxy", TARGET),
    ("kube-proxy and collection", "kube-proxy and any rule", "<= 1.1"),
    ("collection", "nothing", ""),
    ("conntrack", "nothing", ""),
    ("any rule", "conntrack", ""),
    ("collection", "any rule", ""),
    ("article", "conntrack", ""),
    ("four ip rules", "conntrack", ""),
)


def main() -> None:
    """Measure all rule sets by turns."""
    turns, rounds = (7, 20) if "--quick" in sys.argv else (15, 40)
    pools = LINKS * POOLS_PER_LINK
    heading(
        f"a pod's packet through a node with {pools} pools on {LINKS} VLANs, CPU; {turns} turns of {rounds * FRAMES}"
    )
    taken: dict[str, list[float]] = {name: [] for name in ("sending", *RULE_SETS)}
    with ExitStack() as stack:
        paths = {name: build(stack, f"bench{number}") for number, name in enumerate(RULE_SETS)}
        for name, prepare in RULE_SETS.items():
            prepare(paths[name].node)
            establish(paths[name])
        for _turn in range(turns):
            taken["sending"].append(cost(paths["nothing"], rounds, NOBODY))
            for name, path in paths.items():
                taken[name].append(cost(path, rounds))
    sending = statistics.median(taken.pop("sending"))
    own = {name: statistics.median(costs) - sending for name, costs in taken.items()}
    say(f"sending takes {sending * 1e9:.0f} ns per packet, which is subtracted from all figures")
    for name, base, target in RATIOS:
        figures = f"{own[name] * 1e9:.0f} ns, reference {own[base] * 1e9:.0f} ns"
        say(f"{name} / {base}: {own[name] / own[base]:.2f}{f' (target {target})' if target else ''}; {figures}")


if __name__ == "__main__":
    main()
