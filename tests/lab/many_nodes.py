"""A light lab with many nodes for measurements: eth0, eth0.100 and private files on each node, no services."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from . import namespaces
from .base import Site, no_bridge_netfilter
from .options import LabOptions
from .topology import SWITCH, SWITCH_SYSCTLS, HostPlan, Link, bridges, cables, host_commands, mac, ports, sysctls

MOST_NODES = 200


class ManyNodes(Site):
    """node1 ... nodeN, with 192.168.1.11 ... on eth0, and eth0.100 up without an address."""

    def __init__(self, count: int, prefix: str = "homeward-many") -> None:
        if not 1 <= count <= MOST_NODES:
            raise ValueError(f"count: {count} is not in the range 1 to {MOST_NODES}")
        self.options = LabOptions(prefix=prefix, kube_proxy="none")
        self.plans = [_plan(number) for number in range(1, count + 1)]
        super().__init__(prefix, {f"node{number}": f"192.168.1.{10 + number}" for number in range(1, count + 1)})

    def _build(self) -> None:
        switch = self.namespace(SWITCH)
        namespaces.ip_batch(f"netns add {self.namespace(name)}" for name in (SWITCH, *self.node_addresses))
        holders = self._start_holders()
        for plan in self.plans:
            namespaces.write_sysctls(self.namespace(plan.name), sysctls(plan, self.options))
        namespaces.write_sysctls(switch, SWITCH_SYSCTLS | no_bridge_netfilter(switch))
        namespaces.ip_batch(bridges(), switch)
        namespaces.ip_batch(cables(self.plans, self.prefix))
        namespaces.ip_batch(ports(self.plans, self.options), switch)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda plan: namespaces.ip_batch(host_commands(plan), self.namespace(plan.name)), self.plans))
        self._await_holders(holders)
        self._await_links(self.node_addresses)


def _plan(number: int) -> HostPlan:
    last = 10 + number
    outer = Link("eth0", "lan", mac(1, last), (f"192.168.1.{last}/24", f"fd00:192:168:1::{last}/64"))
    commands = ("route add default via 192.168.1.1", "route add default via fd00:192:168:1::1")
    return HostPlan(f"node{number}", (outer, Link("eth0.100", "pool", mac(2, last), ())), commands, router=True)
