# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that changes nothing compared with ``ansible.builtin.ping``: ``python -m bench.ping_bench``."""

from __future__ import annotations

import sys

from bench.measure import by_turns, compare, heading
from bench.nodes import BARE_MODULE, Nodes, declared, pools

POOLS = 10
TARGET = "<= 1.5"


def measure(nodes: Nodes, rounds: int, *, persist: bool) -> None:
    """Print the ratios of the module and of the role, for the whole process and without the cost of an empty play."""
    values = declared(pools(POOLS), nodes.site.node_addresses.values(), metallb_routing_persist=persist)
    alternatives = {
        "nothing": nodes.play([{"ansible.builtin.meta": "noop"}], values),
        "ping": nodes.play([{"ansible.builtin.ping": {}}], values),
        "module": nodes.play(BARE_MODULE, values, expected_output="changed=0"),
        "role": nodes.play("apply", values, expected_output="changed=0"),
    }
    nodes.play("apply", values, expected_output="changed=1")()
    costs = by_turns(alternatives, rounds)
    mode = "persistent" if persist else "not persistent"
    for way in ("module", "role"):
        compare(f"{way}, {mode} / ping, whole processes", costs[way], costs["ping"], TARGET)
        alone = (costs[way] - costs["nothing"], costs["ping"] - costs["nothing"])
        compare(f"{way}, {mode} / ping, without an empty play", *alone)


def main() -> None:
    """Measure without and with persistence."""
    rounds = 3 if "--quick" in sys.argv else 9
    heading(f"a run that changes nothing, {POOLS} pools in both families, one node; {rounds} rounds")
    with Nodes(1, POOLS) as nodes:
        measure(nodes, rounds, persist=False)
        nodes.fake_systemd()
        measure(nodes, rounds, persist=True)


if __name__ == "__main__":
    main()
