# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading and writing routes and rules, compared with ``ip``: ``python -m bench.netlink_bench``.

Each line is the ratio of two medians: the time of the collection's functions on an open socket, and that of an ``ip`` process.
They are measured by turns, so that a busy machine slows both.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.links import read_links
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.routes import (
    read_routes,
    write_routes,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rtnetlink import Rtnetlink
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rules import (
    read_rules,
    write_rules,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Ownership, Route, Rule
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import Step
from tests.support.namespace import Namespace

ROUNDS = 15
READ_COUNT = 2000
WRITE_COUNT = 1000
READ_TARGET = 4.0  # of `ip -json`
WRITE_TARGET = 2.0  # of `ip -batch`
OWNERSHIP = Ownership()


def make_routes(count: int) -> list[Route]:
    """Return routes to different networks, 20 per table."""
    return [
        Route(
            "ipv4",
            7701 + i // 20,
            f"172.{16 + i // 256}.{i % 256}.0/24",
            gateway=f"10.0.0.{2 + i % 200}",
            interface="eth0",
        )
        for i in range(count)
    ]


def make_rules(count: int) -> list[Rule]:
    """Return rules like those of the mark recipe, with different priorities."""
    return [
        Rule("ipv4", 2000 + i, "lookup", 7701 + i // 20, fwmark=(i % 31 + 1) << 8, fwmask=0x1F00, iif="eth0")
        for i in range(count)
    ]


def seconds(action: Callable[[], object]) -> float:
    """Return the wall time of an action in seconds."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def ip(*arguments: str, stdin: str = "") -> None:
    """Run ``ip`` in this namespace."""
    subprocess.run(["ip", *arguments], input=stdin, text=True, check=True, stdout=subprocess.DEVNULL)


def measure_reading(netlink: Rtnetlink) -> tuple[float, float]:
    """Return the median times of the collection and of ``ip -json``."""
    names = read_links(netlink, OWNERSHIP).names
    write_routes(netlink, [Step("route", None, route) for route in make_routes(READ_COUNT)], OWNERSHIP)
    write_rules(netlink, [Step("rule", None, rule) for rule in make_rules(READ_COUNT)], OWNERSHIP)

    def collection() -> None:
        assert len(read_routes(netlink, OWNERSHIP, names)[0]) == READ_COUNT
        assert len(read_rules(netlink, OWNERSHIP)[0]) == READ_COUNT

    def iproute2() -> None:
        for family in ("-4", "-6"):
            ip(family, "-json", "route", "show", "table", "all")
            ip(family, "-json", "rule")

    pairs = [(seconds(collection), seconds(iproute2)) for _round in range(ROUNDS)]
    _flush(netlink)
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def measure_writing(netlink: Rtnetlink) -> tuple[float, float]:
    """Return the median times of the collection and of ``ip -batch``."""
    routes = make_routes(WRITE_COUNT)
    rules = make_rules(WRITE_COUNT)
    protocol = OWNERSHIP.protocol
    lines = [f"route add {' '.join(route.words())} proto {protocol}" for route in routes]
    lines += [f"rule add {' '.join(rule.words())} protocol {protocol}" for rule in rules]
    batch = "".join(f"{line}\n" for line in lines)

    def collection() -> None:
        write_routes(netlink, [Step("route", None, route) for route in routes], OWNERSHIP)
        write_rules(netlink, [Step("rule", None, rule) for rule in rules], OWNERSHIP)

    pairs = []
    for _round in range(ROUNDS):
        own = seconds(collection)
        _flush(netlink)
        pairs.append((own, seconds(lambda: ip("-batch", "-", stdin=batch))))
        _flush(netlink)
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def _flush(netlink: Rtnetlink) -> None:
    # Not `ip rule flush`, which deletes during the dump and misses some rules of a long list.
    names = read_links(netlink, OWNERSHIP).names
    write_rules(netlink, [Step("rule", rule, None) for rule in read_rules(netlink, OWNERSHIP)[0]], OWNERSHIP)
    write_routes(
        netlink, [Step("route", route, None) for route in read_routes(netlink, OWNERSHIP, names)[0]], OWNERSHIP
    )


def measure() -> tuple[tuple[float, float], tuple[float, float]]:
    """Measure reading and writing in this namespace."""
    with Rtnetlink() as netlink:
        return measure_reading(netlink), measure_writing(netlink)


def main() -> int:
    """Print the ratios; return 1 if one misses its target."""
    with Namespace("homeward-bench") as namespace:
        namespace.ip("link add eth0 type veth peer name peer0", "link set eth0 up", "link set peer0 up")
        namespace.ip("address add 10.0.0.1/16 dev eth0")
        reading, writing = namespace.call(measure)
    missed = 0
    for what, (own, reference), target in (
        (f"read {READ_COUNT} routes and {READ_COUNT} rules / ip -json", reading, READ_TARGET),
        (f"write {WRITE_COUNT} routes and {WRITE_COUNT} rules / ip -batch", writing, WRITE_TARGET),
    ):
        ratio = own / reference
        missed += ratio > target
        print(f"{what}: {ratio:.2f} (target {target:.0f}; {own * 1e3:.1f} ms and {reference * 1e3:.1f} ms)")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
