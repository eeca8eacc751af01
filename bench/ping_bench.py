# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that changes nothing against ``ansible.builtin.ping`` of the same node: ``python -m bench.ping_bench``."""

from __future__ import annotations

import sys

from bench.measure import by_turns, compare, heading
from bench.nodes import BARE_MODULE, Nodes, declared, pools

POOLS = 10
TARGET = "<= 2.0, aim 1.5"


def measure(nodes: Nodes, rounds: int, *, persist: bool) -> None:
    """Print the ratios of a role's and a bare module's run, as whole processes and without what an empty play takes."""
    values = declared(pools(POOLS), nodes.site.node_addresses.values(), metallb_routing_persist=persist)
    ways = {
        "nothing": nodes.play([{"ansible.builtin.meta": "noop"}], values),
        "ping": nodes.play([{"ansible.builtin.ping": {}}], values),
        "module": nodes.play(BARE_MODULE, values, must_say="changed=0"),
        "role": nodes.play("apply", values, must_say="changed=0"),
    }
    nodes.play("apply", values, must_say="changed=1")()
    costs = by_turns(ways, rounds)
    kept = "kept over a reboot" if persist else "not kept over a reboot"
    for way in ("module", "role"):
        compare(f"{way}, {kept} / ping, whole processes", costs[way], costs["ping"], TARGET)
        alone = (costs[way] - costs["nothing"], costs["ping"] - costs["nothing"])
        compare(f"{way}, {kept} / ping, without what a play of no task takes", *alone)


def main() -> None:
    """Measure with and without the files that keep the state over a reboot."""
    rounds = 3 if "--quick" in sys.argv else 9
    heading(f"a run that changes nothing, {POOLS} pools in both families, one node; {rounds} rounds")
    with Nodes(1, POOLS) as nodes:
        measure(nodes, rounds, persist=False)
        nodes.stand_in_for_systemd()
        measure(nodes, rounds, persist=True)


if __name__ == "__main__":
    main()
