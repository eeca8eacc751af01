# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done as it is declared, but is probably not what was meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from ..declaration.model import Cluster, Declaration, Pool
from ..state import Node
from ..state.family import FAMILIES, family_of
from ..state.node import IPVS_LINKS
from .choice import Attached
from .links import ARP_ANNOUNCE, ARP_IGNORE
from .model import Choice, Group, Needs

_NUMBERED = re.compile(r"\.(\d+)$")  # the usual name of a VLAN link, parent.id


def warnings(
    declaration: Declaration, choices: Iterable[Choice], groups: Sequence[Group], node: Node, attached: Attached
) -> Iterator[str]:
    """Yield everything that the user should look at, each with the place in the input."""
    if declaration.pools and declaration.cluster.kube_proxy_mode == "auto" and not node.kube_proxy.mode:
        yield (
            "cluster.kube_proxy_mode: kube-proxy was not seen on this node (yet); this works for iptables and nftables mode."
            " Declare ipvs if that is what will run."
        )
    yield from _sources_let_in(declaration.cluster, groups)
    grouped = {group.interface for group in groups}
    for choice in choices:
        yield from _filters_nothing(choice, grouped)
        yield from _wrong_link(choice.pool, node, attached)


def accepted_early(needs: Iterable[Needs], node: Node) -> Iterator[str]:
    """Yield that a network plugin takes packets past our marks, which replies need, wherever its jump comes first.

    Calico's own (felix/rules/static.go, ``IptablesMangleAllowAction``) puts its jump first again each time it looks.
    """
    if node.accepting_chains and any(need.markings for need in needs):
        chains = ", ".join(sorted(node.accepting_chains))
        yield (
            f"{chains} in the table mangle accepts packets of known connections. Whenever the jump to it comes before ours,"
            " replies get no mark and leave by the default route. For Calico set iptablesMangleAllowAction: Return in its"
            " FelixConfiguration (see docs/limits.md)."
        )


def at_removal(node: Node) -> Iterator[str]:
    """Yield what the removal takes away that somebody else may want to stay."""
    names = sorted({item.name for item in node.managed.sysctls} & {ARP_IGNORE, ARP_ANNOUNCE})
    if names and any(link in node.interfaces for link in IPVS_LINKS):
        yield (
            f"{' and '.join(names)} get the values back that they had before. kube-proxy sets them (strictARP) only when it"
            " starts: where it serves by IPVS and is to go on, restart it, or every node answers for every service's address."
        )


def _sources_let_in(cluster: Cluster, groups: Sequence[Group]) -> Iterator[str]:
    """Yield which forged sources a guarded link lets in, because nobody told that they cannot come from there."""
    guarded = {family for group in groups if group.case == "policy_routing" for family in group.families}
    for option, whose, declared in (
        ("pod_networks", "pod", cluster.pod_networks),
        ("service_networks", "service", cluster.service_networks),
        ("node_addresses", "node", cluster.node_addresses),
    ):
        lacking = [
            family for family in FAMILIES if family in guarded and family not in {family_of(one) for one in declared}
        ]
        if lacking:
            which = f"none of {' and '.join(lacking)}" if declared else "not declared"
            yield (
                f"cluster.{option}: {which}, so forged {whose} addresses cannot be told from others there and are not dropped."
            )


def _filters_nothing(choice: Choice, grouped: set[str]) -> Iterator[str]:
    pool = choice.pool
    if pool.interface not in grouped and (pool.rp_filter != "auto" or pool.dedicated is not None):
        yield f"{pool.path}: rp_filter and dedicated have no effect on {pool.interface}, as {choice.case} filters nothing."


def _wrong_link(pool: Pool, node: Node, attached: Attached) -> Iterator[str]:
    """Yield what speaks against the link that the pool names."""
    for network in pool.networks:
        other = attached.longest(network)
        if other not in (None, pool.interface):
            yield (
                f"{pool.path}.interface: {network} is part of a network attached to {other} on this node, not to"
                f" {pool.interface}. Requests arrive where MetalLB announces; name that interface."
            )
    if not pool.vlan:
        return
    number = _NUMBERED.search(pool.interface)
    if number and int(number.group(1)) != pool.vlan.id:
        yield f"{pool.path}.vlan.id: {pool.vlan.id} is not the number that {pool.interface} ends with."
    there = node.interfaces.get(pool.interface)
    if there and not there.managed and there.kind != "vlan":
        yield (
            f"{pool.path}.vlan: {pool.interface} is there already and no VLAN link, but {there.kind or 'hardware'}; it is used"
            " as it is."
        )
