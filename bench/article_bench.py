# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run compared with the same configuration by tasks of Ansible's builtin modules: ``python -m bench.article_bench``.

The tasks are the commands of the article's case 4 for IPv4, made idempotent, as playbooks usually implement the cases.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from bench.measure import Cost, by_turns, compare, heading, median
from bench.nodes import Nodes, declared, pools

POOLS = 10
TARGET = "<= 0.1"

Task = Mapping[str, Any]


def _each(pool: Mapping[str, Any], number: int) -> Sequence[Task]:
    """Return the tasks of one pool."""
    network, gateway, link = pool["networks"][0], pool["gateways"][0], pool["interface"]
    table, mark, setting = 100 + number, f"{0x100 * (number + 1):#x}", link.replace(".", "/")
    arriving = {"table": "raw", "chain": "PREROUTING", "in_interface": link}
    return (
        _shell(f"ip link show {link} || ip link add link eth0 name {link} type vlan id {table}"),
        _command(f"ip link set {link} up"),
        _command(f"ip route replace {network} dev {link} table {table}"),
        _command(f"ip route replace default via {gateway} dev {link} table {table}"),
        _rule(f"from {network} to 10.112.0.0/12 lookup main", 2000 + number),
        _rule(f"from {network} fwmark {mark} lookup {table}", 2100 + number),
        _iptables(table="mangle", chain="PREROUTING", in_interface=link, jump="MARK", set_xmark=mark),
        _iptables(**arriving, destination=network, jump="RETURN"),
        _iptables(**arriving, source="10.112.0.0/12", jump="DROP"),
        _command(f"sysctl -w net.ipv4.conf.{setting}.rp_filter=0"),
    )


def _once() -> Sequence[Task]:
    """Return the tasks that all pools share."""
    return (
        _shell(
            "iptables -t mangle -C PREROUTING -j CONNMARK --restore-mark || "
            "iptables -t mangle -I PREROUTING -j CONNMARK --restore-mark"
        ),
        _shell(
            "iptables -t mangle -C PREROUTING -m mark ! --mark 0 -j RETURN || "
            "iptables -t mangle -I PREROUTING 2 -m mark ! --mark 0 -j RETURN"
        ),
        _shell(
            "iptables -t mangle -C POSTROUTING -j CONNMARK --save-mark || "
            "iptables -t mangle -I POSTROUTING -j CONNMARK --save-mark"
        ),
        _command("sysctl -w net.ipv4.conf.all.rp_filter=0"),
    )


def _command(line: str) -> Task:
    return {"ansible.builtin.command": {"argv": line.split()}, "changed_when": False}


def _shell(line: str) -> Task:
    return {"ansible.builtin.shell": {"cmd": line}, "changed_when": False}


def _rule(words: str, priority: int) -> Task:
    return _shell(f"ip rule show priority {priority} | grep -q . || ip rule add {words} priority {priority}")


def _iptables(**options: str) -> Task:
    if "set_xmark" in options:  # ansible.builtin.iptables does not support the target MARK
        rule = f"{options['chain']} -i {options['in_interface']} -j MARK --set-mark {options['set_xmark']}"
        return _shell(f"iptables -t mangle -C {rule} || iptables -t mangle -A {rule}")
    return {"ansible.builtin.iptables": options}


def remove_tasks(nodes: Nodes) -> None:
    """Remove what the tasks configured."""
    lines = [f"ip rule del priority {base + number} || :" for base in (2000, 2100) for number in range(POOLS)]
    lines += [f"ip route flush table {100 + number} || :" for number in range(POOLS)]
    lines += ["iptables -t mangle -F", "iptables -t raw -F"]
    nodes.site.nodes[0].run("\n".join(lines))


def measure(nodes: Nodes, rounds: int) -> tuple[dict[str, Cost], dict[str, Cost]]:
    """Return the costs of first runs and of runs that change nothing."""
    declared_pools = pools(POOLS, ipv6=False)
    values = declared(declared_pools, nodes.site.node_addresses.values(), metallb_routing_persist=False)
    tasks = [*_once(), *(task for number, pool in enumerate(declared_pools) for task in _each(pool, number))]
    builtin, role = nodes.play(tasks, values), nodes.play("apply", values)
    again = nodes.play("apply", values, expected_output="changed=0")
    remove = nodes.play("remove", values)

    def first_of_role() -> Cost:
        cost = role()
        again_costs["role"].append(again())
        remove()
        return cost

    def first_of_builtin() -> Cost:
        cost = builtin()
        again_costs["builtin"].append(builtin())
        remove_tasks(nodes)
        return cost

    again_costs: dict[str, list[Cost]] = {"role": [], "builtin": []}
    first = by_turns({"role": first_of_role, "builtin": first_of_builtin}, rounds)
    return first, {name: median(costs) for name, costs in again_costs.items()}


def main() -> None:
    """Measure on one node."""
    rounds = 1 if "--quick" in sys.argv else 3
    heading(
        f"against {POOLS * len(_each(pools(1)[0], 0)) + len(_once())} tasks of builtin modules, {POOLS} pools; {rounds} rounds"
    )
    with Nodes(1, POOLS) as nodes:
        first, again = measure(nodes, rounds)
    compare("first run / builtin tasks", first["role"], first["builtin"], TARGET)
    compare("run that changes nothing / builtin tasks", again["role"], again["builtin"], TARGET)


if __name__ == "__main__":
    main()
