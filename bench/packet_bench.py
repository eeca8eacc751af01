# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What our rules cost a packet that has nothing to do with them: ``python -m bench.packet_bench``.

A pod's UDP packets are forwarded by a node, once for each set of rules, by turns. A pod, a node and the world behind it are
three network namespaces.
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
from bench.scale import interfaces, make_links, parameters
from tests.support.namespace import Namespace

LINKS, POOLS_PER_LINK = 100, 10
TARGET = "<= 1.3"
STRAY = 100  # packets at most that the node sends by itself, to find IPv6 routers
POD, NODE, OUTER, WORLD, NOBODY = (f"02:00:00:00:00:{number:02}" for number in (1, 2, 3, 4, 99))
POD_ADDRESS, WORLD_ADDRESS = "10.112.1.20", "203.0.113.50"
KUBE_PROXY = Path(__file__).parents[1] / "tests" / "lab" / "kube_proxy" / "kube-proxy-1.36-node1.iptables-save"
CONNTRACK = ("*filter", "-A FORWARD -m conntrack --ctstate INVALID -j DROP", "COMMIT")  # one of kube-proxy's own rules


@dataclass(frozen=True)
class Row:
    """A pod, its node and the world."""

    pod: Namespace
    node: Namespace
    world: Namespace


def build(stack: ExitStack, name: str) -> Row:
    """Return three namespaces in a row, with links for the pools on the node."""
    pod, node, world = (stack.enter_context(Namespace(f"homeward-{name}-{part}")) for part in ("pod", "node", "world"))
    node.ip(
        f"link add cali0 address {NODE} type veth peer name eth0 address {POD} netns {pod.name}",
        f"link add eth0 address {OUTER} type veth peer name eth0 address {WORLD} netns {world.name}",
        "link set cali0 up",
        "link set eth0 up",
        "address add 192.168.1.11/24 dev eth0",
        f"route add {POD_ADDRESS} dev cali0",
        "route add default via 192.168.1.1",
        # The world throws away at once what is not for its own hardware address.
        f"neighbour add 192.168.1.1 lladdr {NOBODY} dev eth0 nud permanent",
        f"neighbour add {POD_ADDRESS} lladdr {NOBODY} dev cali0 nud permanent",
    )
    pod.ip("link set eth0 up")
    world.ip("link set eth0 up")
    make_links(node, LINKS)
    node.call(_forward)
    return Row(pod, node, world)


def _forward() -> None:
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")


def _arrived() -> int:
    """Return how many packets the link eth0 of this namespace has received."""
    for line in Path("/proc/thread-self/net/dev").read_text(encoding="ascii").splitlines():
        name, _colon, numbers = line.partition(":")
        if name.strip() == "eth0":
            return int(numbers.split()[1])
    raise AssertionError("there is no eth0 here")


def cost(path: Row, rounds: int, end: str = NODE) -> float:
    """Return the CPU seconds per packet on its way from the pod into the world.

    :param end: another hardware address than the node's makes the node throw the packets away at once.
    """
    frame = udp_frame((POD, end), (POD_ADDRESS, WORLD_ADDRESS), (40000, 53))
    before = path.world.call(_arrived)
    seconds = path.pod.call(lambda: Ring("eth0", frame).send(rounds))
    arrived = path.world.call(_arrived) - before
    wanted = rounds * FRAMES if end == NODE else 0
    if not wanted <= arrived <= wanted + STRAY:
        raise RuntimeError(f"{arrived} packets arrived instead of {wanted}")
    return seconds


def establish(path: Row) -> None:
    """Send some packets there and back, so that what is measured belongs to a connection that is established."""
    cost(path, 1)
    back = udp_frame((WORLD, OUTER), (WORLD_ADDRESS, POD_ADDRESS), (53, 40000))
    path.world.call(lambda: Ring("eth0", back).send(1))


def nothing(_node: Namespace) -> None:
    """No rules, no connection tracking."""


def conntrack(node: Namespace) -> None:
    """No rules of ours; connections are tracked, as kube-proxy makes every node do."""
    node.run(["iptables-restore", "--noflush"], "\n".join((*CONNTRACK, "")))


def any_rule(node: Namespace) -> None:
    """One ip rule, of anybody, that never holds: from then on the kernel asks its rules for every packet, twice."""
    conntrack(node)
    node.ip("rule add fwmark 0x1/0x1 lookup 100 priority 100")


def ours(node: Namespace) -> None:
    """All pools, as the collection makes them."""
    conntrack(node)
    node.call(_apply)


def kube_proxy(node: Namespace) -> None:
    """Real kube-proxy's rules of 13 services."""
    node.run(["iptables-restore"], KUBE_PROXY.read_text(encoding="utf-8"))


def kube_proxy_and_ours(node: Namespace) -> None:
    """All pools beside kube-proxy's rules."""
    kube_proxy(node)
    node.call(_apply)


def _apply() -> bool:
    values: dict[str, Any] = parameters(LINKS, POOLS_PER_LINK)
    return bool(converge_pools(values, Run())["changed"])


def article(node: Namespace) -> None:
    """The article's rules with marks: three in iptables and one ip rule per VLAN, each VLAN with a single network."""
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
    """Four ip rules per VLAN: to the pool, what comes in, from the pool to the pods, and the marked replies."""
    conntrack(node)
    node.ip(*(line for number, name in enumerate(interfaces(LINKS)) for line in _four(number, name)))


def _four(number: int, name: str) -> Iterator[str]:
    network, table = f"20.{number}.0.0/16", 1000 + number
    yield f"rule add iif {name} to {network} blackhole priority 2000"
    yield f"rule add iif {name} lookup main priority 2001"
    yield f"rule add from {network} to 10.112.0.0/12 lookup main priority 2002"
    yield f"rule add fwmark {number + 256:#x} lookup {table} priority 2003"


WAYS: Mapping[str, Callable[[Namespace], None]] = {
    "nothing": nothing,
    "conntrack": conntrack,
    "any rule": any_rule,
    "ours": ours,
    "article": article,
    "four ip rules": four_ip_rules,
    "kube-proxy": kube_proxy,
    "kube-proxy and ours": kube_proxy_and_ours,
}
# Way, and what it is compared with: the first as the target has it, the others tell where the cost comes from.
RATIOS = (
    ("ours", "conntrack", TARGET),
    ("kube-proxy and ours", "kube-proxy", TARGET),
    ("ours", "nothing", ""),
    ("conntrack", "nothing", ""),
    ("any rule", "conntrack", ""),
    ("ours", "any rule", ""),
    ("article", "conntrack", ""),
    ("four ip rules", "conntrack", ""),
)


def main() -> None:
    """Measure all sets of rules by turns."""
    turns, rounds = (7, 20) if "--quick" in sys.argv else (15, 40)
    pools = LINKS * POOLS_PER_LINK
    heading(
        f"a pod's packet through a node with {pools} pools on {LINKS} VLANs, CPU; {turns} turns of {rounds * FRAMES}"
    )
    taken: dict[str, list[float]] = {name: [] for name in ("sending", *WAYS)}
    with ExitStack() as stack:
        paths = {name: build(stack, f"bench{number}") for number, name in enumerate(WAYS)}
        for name, prepare in WAYS.items():
            prepare(paths[name].node)
            establish(paths[name])
        for _turn in range(turns):
            taken["sending"].append(cost(paths["nothing"], rounds, NOBODY))
            for name, path in paths.items():
                taken[name].append(cost(path, rounds))
    sending = statistics.median(taken.pop("sending"))
    own = {name: statistics.median(costs) - sending for name, costs in taken.items()}
    say(f"sending alone takes {sending * 1e9:.0f} ns a packet, which is left out of all figures")
    for name, base, target in RATIOS:
        figures = f"{own[name] * 1e9:.0f} ns against {own[base] * 1e9:.0f} ns"
        say(f"{name} / {base}: {own[name] / own[base]:.2f}{f' (target {target})' if target else ''}; {figures}")


if __name__ == "__main__":
    main()
