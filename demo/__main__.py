# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows on the lab which clients reach the services before and after the playbook apply, and removes everything."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import yaml

from demo.texts import DECLARATION, LEGEND, PICTURE, SHOWN
from tests.lab import Delivery, Lab, LabError, LabOptions
from tests.lab.delivery import FAMILIES, PROTOCOLS, matrix
from tests.support.playbooks import Played, play

PREFIX = "homeward-demo"


def main() -> int:
    """Run the demonstration; return 1 if a result is unexpected."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--kube-proxy", choices=["iptables", "nftables"], default="iptables")
    parser.add_argument("--rp-filter", type=int, choices=[0, 1, 2], default=1)
    parser.add_argument("--all", action="store_true", help="print the table of all services and protocols")
    arguments = parser.parse_args()
    began = time.monotonic()
    options = LabOptions(prefix=PREFIX, kube_proxy=arguments.kube_proxy, rp_filter=arguments.rp_filter)
    try:
        with Lab(options) as lab:
            faults = _show(lab, every=arguments.all)
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    for fault in faults:
        print(f"UNEXPECTED: {fault}")
    print(f"\nDemo {'failed' if faults else 'done'} in {time.monotonic() - began:.0f} s; the lab is removed.")
    return 1 if faults else 0


def _show(lab: Lab, *, every: bool) -> list[str]:
    states = [node.snapshot() for node in lab.nodes]
    values = yaml.safe_load(DECLARATION)
    faults = []

    _title("The lab")
    print(PICTURE.format(mode=lab.options.kube_proxy, rp_filter=lab.options.rp_filter))

    _title("Before: which services are reached, and through which router the replies leave")
    print(f"{LEGEND}\n")
    before = lab.deliver()
    _print_deliveries(before, every=every)

    _title("The declaration, as variables of the nodes' group")
    print(DECLARATION, end="")

    _title("The playbook: ansible-playbook homeward.metallb_routing.apply")
    if _played(play(lab, "apply", values, echo=True)) != "changed":
        faults.append("apply changed nothing, or failed")

    _title("After: the same clients and services")
    after = lab.deliver()
    _print_deliveries(after, every=every)
    print(f"Before the playbook: {_count(before)}.", flush=True)
    faults += [f"not reached: {delivery.cell}" for delivery in after if not delivery.reached]
    if sum(delivery.reached for delivery in before) >= sum(delivery.reached for delivery in after):
        faults.append("apply did not increase the number of cells reached")

    _title("A second run changes nothing")
    if _played(play(lab, "apply", values, echo=True)) != "unchanged":
        faults.append("the second run changed something, or failed")

    _title("Remove: ansible-playbook homeward.metallb_routing.remove")
    if _played(play(lab, "remove", values, echo=True)) != "changed":
        faults.append("remove changed nothing, or failed")
    for node, state in zip(lab.nodes, states, strict=True):
        difference = state.difference(node.snapshot())
        print(f"{node.name}: {difference or 'links, addresses, routes, rules, chains and sysctls are as before'}")
        faults += [f"{node.name} differs from before"] if difference else []
    return faults


def _title(text: str) -> None:
    print(f"\n=== {text}\n", flush=True)


def _print_deliveries(deliveries: Sequence[Delivery], *, every: bool) -> None:
    """Print the matrix, by default with one service of each kind by TCP only, and the number of all cells reached."""
    kinds = [one for one in deliveries if one.cell.protocol == "tcp" and one.cell.service in SHOWN[one.cell.family]]
    print(matrix(deliveries if every else kinds))
    print(f"\n{_counts(deliveries)}\n\nIn total: {_count(deliveries)}.", flush=True)


def _counts(deliveries: Sequence[Delivery]) -> str:
    """Return a table with the number of services that each client reached."""
    clients = list(dict.fromkeys(delivery.cell.client for delivery in deliveries))
    lines = ["reached".ljust(16) + "".join(client.ljust(14) for client in clients).rstrip()]
    for family in FAMILIES:
        for protocol in PROTOCOLS:
            tried = [one for one in deliveries if (one.cell.family, one.cell.protocol) == (family, protocol)]
            cells = ([one.reached for one in tried if one.cell.client == client] for client in clients)
            words = "".join(f"{sum(cell)} of {len(cell)}".ljust(14) for cell in cells)
            lines.append(f"{protocol}, IPv{family}".ljust(16) + words.rstrip())
    return "\n".join(lines)


def _count(deliveries: Sequence[Delivery]) -> str:
    return f"{sum(delivery.reached for delivery in deliveries)} of {len(deliveries)} reached"


def _played(played: Played) -> str:
    if played.code:
        return "failed"
    return "changed" if played.changed() else "unchanged"


if __name__ == "__main__":
    sys.exit(main())
