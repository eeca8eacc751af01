# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that changes nothing on nodes with many foreign routes and rules: ``python -m bench.big_node_bench``.

Every figure is relative to the same run on a node with neither.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from bench.measure import Cost, by_turns, compare, heading
from bench.nodes import BARE_MODULE, Nodes, declared, pools

TARGET = "<= 1.5"
SERVICES, ENDPOINTS = 5000, 4  # 14 rules for each service
SYNCS_A_SECOND = 3


def routes(count: int) -> Iterator[str]:
    """Yield lines for ``ip -batch``: the IPv4 routes of a BGP daemon."""
    for number in range(count):
        network = f"{20 + number // 65536}.{number // 256 % 256}.{number % 256}.0/24"
        yield f"route add {network} via 192.168.1.1 proto bgp metric 20"


def rules(services: int) -> Iterator[str]:
    """Yield lines for ``iptables-restore``: rules like those of kube-proxy."""
    chains, found = [":KUBE-SERVICES - [0:0]", ":KUBE-MARK-MASQ - [0:0]"], []
    for number in range(services):
        service, address = f"KUBE-SVC-{number:016X}", f"10.96.{number // 250}.{number % 250 + 1}/32"
        chains.append(f":{service} - [0:0]")
        found.append(f"-A KUBE-SERVICES -d {address} -p tcp -m tcp --dport 80 -j {service}")
        found.append(f"-A {service} ! -s 10.112.0.0/12 -d {address} -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ")
        for endpoint in range(ENDPOINTS):
            name, pod = f"KUBE-SEP-{number:014X}{endpoint:02X}", f"10.112.{number // 250}.{endpoint + 1}"
            chains.append(f":{name} - [0:0]")
            found.append(f"-A {service} -m statistic --mode random --probability 0.25 -j {name}")
            found.append(f"-A {name} -s {pod}/32 -j KUBE-MARK-MASQ")
            found.append(f"-A {name} -p tcp -m tcp -j DNAT --to-destination {pod}:8080")
    yield from ("*mangle", ":KUBE-KUBELET-CANARY - [0:0]", "COMMIT", "*nat", *chains, *found, "COMMIT")


def feed(namespace: str, command: list[str], lines: Iterator[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    subprocess.run(["ip", "netns", "exec", namespace, *command], input=text, text=True, check=True)


@contextmanager
def syncs(namespace: str) -> Iterator[None]:
    """Replace the rules of an endpoint several times a second, as kube-proxy does."""
    sync = "*nat\\n:KUBE-SEP-0000000000000000 - [0:0]\\n-A KUBE-SEP-0000000000000000 -j RETURN\\nCOMMIT\\n"
    loop = f"while sleep {1 / SYNCS_A_SECOND:.2f}; do printf '{sync}' | iptables-nft-restore --noflush; done"
    with subprocess.Popen(["ip", "netns", "exec", namespace, "sh", "-c", loop]) as running:
        try:
            yield
        finally:
            running.terminate()


def measure(kinds: dict[str, Callable[[str], None]], rounds: int) -> dict[str, Cost]:
    """Return the costs on an empty node and on one prepared by each of these."""
    with ExitStack() as stack:
        runs = {}
        for number, (name, prepare) in enumerate({"empty": lambda _namespace: None, **kinds}.items()):
            nodes = stack.enter_context(Nodes(1, 1, f"homeward-big{number}"))
            (host,) = nodes.site.node_addresses
            values = declared(pools(1), nodes.site.node_addresses.values(), metallb_routing_persist=False)
            nodes.play(BARE_MODULE, values, expected_output="changed=1")()
            prepare(nodes.site.namespace(host))
            if name.endswith("syncs"):
                stack.enter_context(syncs(nodes.site.namespace(host)))
            runs[name] = nodes.play(BARE_MODULE, values, expected_output="changed=0")
        return by_turns(runs, rounds)


def main() -> None:
    """Measure with more and more routes, and with many rules."""
    quick = "--quick" in sys.argv
    counts = (10_000, 100_000) if quick else (10_000, 100_000, 1_000_000)
    rounds = 3 if quick else 7
    heading(f"a run that changes nothing on big nodes, whole processes; {rounds} rounds")
    batch = ["ip", "-batch", "-"]
    kinds: dict[str, Callable[[str], None]] = {
        f"{count:,} routes": lambda namespace, count=count: feed(namespace, batch, routes(count)) for count in counts
    }
    restore = ["iptables-nft-restore", "--noflush"]
    kinds[f"{14 * SERVICES:,} rules under syncs"] = lambda namespace: feed(namespace, restore, rules(SERVICES))
    costs = measure(kinds, rounds)
    for name in kinds:
        compare(f"{name} / empty node", costs[name], costs["empty"], TARGET)


if __name__ == "__main__":
    main()
