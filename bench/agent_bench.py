# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speed and cost of the agent: ``python -m bench.agent_bench --quick | [LOSSES] [IDLE_SECONDS]``.

On a busy machine, ``chrt -f 5 python -m bench.agent_bench`` measures times as on an idle one.
Times are from the kernel's first notification of a loss to the last one of the reconciliation. CPU time includes all programs
that the agent runs.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.big_node_bench import SERVICES, SYNCS_A_SECOND, feed, routes, rules, syncs
from tests.kernel.agent.losses import ACCEPT
from tests.lab import Host
from tests.lab.waiting import wait_until
from tests.support.agent import Agent, persist
from tests.support.events import Recorder, drain, open_listeners
from tests.support.node import Node

QUICK = [20, 20]  # losses, idle seconds
GOAL = 10.0  # milliseconds, of the median
IDLE_GOAL = 0.1  # percent of a core, also on big nodes
BIG_ROUTES = 1_000_000
MEMORY_GOAL = 40.0  # MiB
EVENTS_A_SECOND, STORM_SECONDS = 1000, 20
_REMOVE_ACCEPT = f"iptables-nft -w -t mangle -D PREROUTING {ACCEPT}"
#: Name of the loss, commands that cause it, and commands that prepare the next one
LOSSES = (
    ("rule deleted", "ip rule del priority 2800", ""),
    ("all rules flushed", "ip rule flush protocol 77; ip -6 rule flush protocol 77", ""),
    ("route deleted", "ip route del default via 1.2.3.1 table 7701", ""),
    ("route replaced", "ip route replace default via 1.2.3.50 dev eth0.100 table 7701", ""),
    ("table flushed", "ip route flush table 7701; ip -6 route flush table 7701", ""),
    ("address deleted", "ip address del 1.2.3.251/32 dev eth0.100", ""),
    ("link down and up", "ip link set eth0.100 down; ip link set eth0.100 up", ""),
    ("rp_filter changed", "sysctl -qw net/ipv4/conf/eth0.100/rp_filter=2", ""),
    ("chain flushed", "iptables-nft -w -t mangle -F HOMEWARD-PREROUTING", ""),
    ("jump not first", f"iptables-nft -w -t mangle -I PREROUTING 1 {ACCEPT}", _REMOVE_ACCEPT),
    ("nft flush ruleset", "nft flush ruleset", ""),
)


@dataclass(frozen=True)
class Cost:
    """Wall time and CPU time, in seconds, and the number of events."""

    seconds: float
    processor: float
    events: int = 0

    @property
    def share(self) -> float:
        """CPU time in percent of one core."""
        return 100 * self.processor / self.seconds


def measure_reconciling(host: Host, agent: Agent, count: int) -> Iterator[tuple[str, list[float]]]:
    """Yield each kind of loss with the times, in milliseconds, until it was reconciled."""
    with Recorder(host) as recorder:
        for name, happen, again in LOSSES:
            times = []
            for number in range(count):
                if number % 10 == 0:
                    agent.reset_backoff()
                recorder.settle(0.3)
                recorder.clear()
                before = _reconciled(agent)
                host.run(happen)
                wait_until(lambda before=before: _reconciled(agent) > before, agent.log)
                recorder.settle(10)
                span = recorder.span()
                times += [span.milliseconds] if span else []
                if again:
                    host.run(again)
                    recorder.settle(2)
            yield name, times


def _reconciled(agent: Agent) -> int:
    return sum(agent.report()["healed"].values())


def measure_cost(agent: Agent, seconds: float) -> Cost:
    """Return the cost of an idle agent, with at most one sweep."""
    start, used = time.monotonic(), agent.processor()
    time.sleep(seconds)
    return Cost(time.monotonic() - start, agent.processor() - used)


def measure_storm(host: Host, agent: Agent) -> Cost:
    """Return the cost while foreign links, addresses and routes change, as when pods start and stop."""
    start, used = time.monotonic(), agent.processor()
    events = host.call_in_child(_storm)
    return Cost(time.monotonic() - start, agent.processor() - used, events)


def _storm() -> int:
    """Create and delete links and routes of pods at a constant rate; return the number of notifications."""
    listeners = open_listeners()
    create = [
        f"link add pod{n} type veth peer name rest{n}\nlink set pod{n} up\nlink set rest{n} up" for n in range(10)
    ]
    routes = [f"route replace 10.112.{n // 250}.{n % 250} dev eth0 metric 7" for n in range(60)]
    delete = [line.replace("replace", "del") for line in routes] + [f"link del pod{n}" for n in range(10)]
    batch = "\n".join([*create, *routes, *delete]) + "\n"
    events, start = 0, time.monotonic()
    while time.monotonic() - start < STORM_SECONDS:
        subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True, stdout=subprocess.DEVNULL)
        events += sum(1 for name, listener in listeners.items() for _ in drain(name, listener))
        ahead = start + events / EVENTS_A_SECOND - time.monotonic()
        time.sleep(max(0.0, ahead))
    for listener in listeners.values():
        listener.close()
    return events


def measure_big_nodes(seconds: float) -> Iterator[tuple[str, Cost]]:
    """Yield the cost of an idle agent on nodes with very many foreign rules under syncs, or with very many routes."""
    for name, command, lines in (
        (
            f"{14 * SERVICES:,} rules, {SYNCS_A_SECOND} syncs a second",
            ["iptables-nft-restore", "--noflush"],
            rules(SERVICES),
        ),
        (f"{BIG_ROUTES:,} routes", ["ip", "-batch", "-"], routes(BIG_ROUTES)),
    ):
        with Node() as node, tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            feed(node.name, command, lines)
            persist(node.host)
            if "syncs" in name:
                stack.enter_context(syncs(node.name))
            agent = stack.enter_context(Agent(node.host, Path(folder), sweep=30.0))
            time.sleep(3)  # what it does at its start
            yield name, measure_cost(agent, seconds)


def main() -> int:
    """Measure and print the results."""
    given = QUICK if "--quick" in sys.argv else [int(word) for word in sys.argv[1:3]]
    count, idle = [*given, *(50, 60)[len(given) :]]
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with Node() as node, tempfile.TemporaryDirectory() as folder:
        persist(node.host)
        with Agent(node.host, Path(folder), sweep=30.0) as agent:
            print(f"memory after the start: {agent.memory() / 1024:.1f} MiB")
            cost = measure_cost(agent, idle)
            print(f"idle for {cost.seconds:.0f} s: {cost.share:.3f} % of a core ({cost.processor:.2f} s)")
            for name, cost in measure_big_nodes(max(idle, 60)):
                print(f"idle with {name}: {cost.share:.3f} % of a core (goal {IDLE_GOAL} %)")
            cost = measure_storm(node.host, agent)
            rate = cost.events / cost.seconds
            print(f"{rate:.0f} foreign events a second for {cost.seconds:.0f} s: {cost.share:.1f} % of a core")
            print(f"{'milliseconds from event to reconciled':36} losses  median   95 %")
            for name, times in measure_reconciling(node.host, agent, count):
                if times:
                    late = statistics.quantiles(times, n=20)[-1] if len(times) > 1 else times[0]
                    print(f"{name:36} {len(times):6}  {statistics.median(times):6.1f} {late:6.1f}")
            print(
                f"memory at the end: {agent.memory() / 1024:.1f} MiB (goal {MEMORY_GOAL:.0f}); goal of the medians {GOAL:.0f} ms"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
