# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job, shown on the lab: who reaches the pool's addresses before the playbook, after it, and after remove."""

from __future__ import annotations

import argparse
import sys
import time

from tests.lab import Delivery, Lab, LabOptions
from tests.lab.delivery import table
from tests.playbooks import Played, play, variables

PREFIX = "homeward-demo"


def main() -> int:
    """Run the demonstration; the exit status tells whether all was as it should be."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--kube-proxy", choices=["iptables", "nftables"], default="iptables")
    parser.add_argument("--rp-filter", type=int, choices=[0, 1, 2], default=1)
    arguments = parser.parse_args()
    began = time.monotonic()
    options = LabOptions(prefix=PREFIX, kube_proxy=arguments.kube_proxy, rp_filter=arguments.rp_filter)
    with Lab(options) as lab:
        faults = _show(lab)
    for fault in faults:
        print(f"NOT AS IT SHOULD BE: {fault}")
    print(f"\nDemo {'failed' if faults else 'done'} in {time.monotonic() - began:.0f} s; the lab is gone again.")
    return 1 if faults else 0


def _show(lab: Lab) -> list[str]:
    before = [node.snapshot() for node in lab.nodes]
    faults = []

    _title("Before: who reaches each service, and by which router the reply leaves")
    reached_before = _print_table(lab.deliver())

    _title("The playbook: ansible-playbook homeward.metallb_routing.apply")
    if _played(play(lab, "apply", variables(), echo=True)) != "changed":
        faults.append("apply changed nothing, or failed")

    _title("After: the same clients, the same services")
    deliveries = lab.deliver()
    reached_after = _print_table(deliveries)
    faults += [f"not reached: {delivery.cell}" for delivery in deliveries if not delivery.reached]
    if reached_before >= reached_after:
        faults.append("as many were reached before")

    _title("Once more: nothing is left to change")
    if _played(play(lab, "apply", variables(), echo=True)) != "unchanged":
        faults.append("the second run changed something, or failed")

    _title("Remove: ansible-playbook homeward.metallb_routing.remove")
    if _played(play(lab, "remove", variables(), echo=True)) != "changed":
        faults.append("remove changed nothing, or failed")
    for node, state in zip(lab.nodes, before, strict=True):
        difference = state.difference(node.snapshot())
        print(
            f"{node.name}: {difference or 'links, addresses, routes, rules, chains and settings are as at the start'}"
        )
        faults += [f"{node.name} differs from before"] if difference else []
    return faults


def _title(text: str) -> None:
    print(f"\n=== {text}\n", flush=True)


def _print_table(deliveries: list[Delivery]) -> int:
    print(table(deliveries), flush=True)
    return sum(delivery.reached for delivery in deliveries)


def _played(played: Played) -> str:
    if played.code:
        return "failed"
    return "changed" if played.changed() else "unchanged"


if __name__ == "__main__":
    sys.exit(main())
