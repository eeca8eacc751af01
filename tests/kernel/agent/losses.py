# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Losses of managed objects, as the commands of the programs that cause them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.kernel.agent.lab import POOL_LINK, recreate_link, reload_kube_proxy, set_mac
from tests.lab import Host, Lab

#: A foreign rule that accepts packets before all others, as Calico can have.
ACCEPT = "-m comment --comment foreign -s 198.51.100.0/24 -j ACCEPT"
_CHAIN = "HOMEWARD-PREROUTING"
_JUMP = f"-d 1.2.3.0/24 -j {_CHAIN}"


@dataclass(frozen=True)
class Loss:
    """One loss on a node.

    :param lines: commands, run on the node.
    :param after: what the program that causes it does next, around the node: ``(lab, node's name)``.
    :param recovery: what happens around the node once the agent has made something, likewise.
    :param clean_up: removes what is foreign and new, once the agent has reconciled the rest.
    :param without_event: the kernel sends no event, so the next poll finds it.
    """

    name: str
    lines: tuple[str, ...]
    after: Callable[[Lab, str], object] | None = None
    recovery: Callable[[Lab, str], object] | None = None
    clean_up: str = ""
    without_event: bool = False

    def happen(self, lab: Lab, node: Host) -> None:
        """Cause it."""
        if self.lines:
            node.run("\n".join(self.lines))
        if self.after:
            self.after(lab, node.name)


def _iptables(lines: str, program: str = "iptables", table: str = "mangle") -> tuple[str, ...]:
    return tuple(f"{program} -w -t {table} {line}" for line in lines.split("; "))


def _set_mac(lab: Lab, node: str) -> None:
    set_mac(lab.host(node))


#: On node1: the link is foreign, the chains are nft.
FOREIGN_LINK = (
    Loss("link set down and up", (f"ip link set {POOL_LINK} down", f"ip link set {POOL_LINK} up")),
    Loss("link deleted, and recreated by its owner", (), after=recreate_link),
    Loss("address deleted", (f"ip address del 1.2.3.251/32 dev {POOL_LINK}",)),
    Loss("IPv6 address deleted", (f"ip address del fd00:1:2:3::251/128 dev {POOL_LINK}",)),
    Loss("all IPv4 addresses of the link flushed", (f"ip -4 address flush dev {POOL_LINK}",)),
    Loss("rule of replies deleted", ("ip rule del lookup 7701 protocol 77",)),
    Loss(
        "rule deleted that is the target of a goto", ("ip rule del nop protocol 77", "ip -6 rule del nop protocol 77")
    ),
    Loss("all rules flushed", ("ip rule flush protocol 77", "ip -6 rule flush protocol 77")),
    Loss("table flushed", ("ip route flush table 7701", "ip -6 route flush table 7701")),
    Loss("default route deleted", ("ip route del default via 1.2.3.1 table 7701",)),
    Loss("IPv6 network route deleted", ("ip -6 route del fd00:1:2:3::/64 table 7701",)),
    Loss(
        "route replaced by a foreign one",
        (f"ip route replace default via 1.2.3.50 dev {POOL_LINK} table 7701 proto static",),
    ),
    Loss(
        "all routes and rules deleted that systemd-networkd did not make",
        tuple(
            f"ip {family} route flush table all proto 77; ip {family} rule flush protocol 77" for family in ("-4", "-6")
        ),
    ),
    Loss("chain flushed", _iptables("-F HOMEWARD-PREROUTING", "iptables-nft")),
    Loss("IPv6 chain flushed", _iptables("-F HOMEWARD-0x100", "ip6tables-nft")),
    Loss(
        "chain and jump deleted",
        # At once: between two commands the agent would add the jump again.
        (
            f"printf '*mangle\\n-D PREROUTING {_JUMP}\\n-F {_CHAIN}\\n-X {_CHAIN}\\nCOMMIT\\n' | iptables-nft-restore -w --noflush",
        ),
    ),
    Loss("one rule of a chain deleted", _iptables("-D HOMEWARD-0x100 1", "iptables-nft")),
    Loss("guard chain flushed", _iptables("-F HOMEWARD-IN-eth0.100", "iptables-nft", "raw")),
    Loss("built-in chain flushed", _iptables("-F PREROUTING", "iptables-nft")),
    Loss("whole table mangle flushed", _iptables("-F", "iptables-nft")),
    Loss(
        "a foreign rule before the jump",
        _iptables(f"-I PREROUTING 1 {ACCEPT}", "iptables-nft"),
        clean_up=f"iptables-nft -w -t mangle -D PREROUTING {ACCEPT}",
    ),
    Loss("ruleset of nftables flushed", ("nft flush ruleset",), after=reload_kube_proxy),
    Loss("rp_filter changed", (f"sysctl -qw net/ipv4/conf/{POOL_LINK}/rp_filter=2",)),
    Loss("src_valid_mark changed", (f"sysctl -qw net/ipv4/conf/{POOL_LINK}/src_valid_mark=0",), without_event=True),
)

#: On node2: the link is managed, the chains are legacy.
OWN_LINK = (
    Loss("parent deleted, and recreated by its owner", (), after=recreate_link, recovery=_set_mac),
    Loss("managed link set down", (f"ip link set {POOL_LINK} down",)),
    Loss(
        "managed link deleted, its sysctls with it",
        (f"ip link del {POOL_LINK}",),
        recovery=_set_mac,
    ),
    Loss("legacy chain flushed", _iptables("-F HOMEWARD-PREROUTING", "iptables-legacy"), without_event=True),
    Loss("whole legacy table mangle flushed", _iptables("-F; -X", "iptables-legacy"), without_event=True),
)

#: On a node with legacy chains that has no lab around it
LEGACY_LOSSES = [
    *(loss for loss in FOREIGN_LINK if loss.lines and "nft" not in " ".join(loss.lines)),
    *(loss for loss in OWN_LINK if "legacy" in loss.name),
]
