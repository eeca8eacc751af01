# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What takes the routing of a node away, as the commands of those who do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.kernel.agent.lab import POOL_LINK, reload_kube_proxy, remake_link, wear_address
from tests.lab import Host, Lab
from tests.support.agent import run_all

#: A rule of somebody who accepts what it likes before anybody else looks, as Calico can.
ACCEPT = "-m comment --comment somebody -s 198.51.100.0/24 -j ACCEPT"
_CHAIN = "HOMEWARD-PREROUTING"
_JUMP = f"-j {_CHAIN}"


@dataclass(frozen=True)
class Loss:
    """One thing that happens to a node.

    :param lines: commands, run on the node.
    :param after: what its maker does next, in the world around the node: ``(lab, node's name)``.
    :param recovery: what the world does once the guard has made something, likewise.
    :param once_healed: what makes the node comparable again: takes away what is foreign and new.
    :param by_sweep: the kernel tells nobody, so it is found by the next look at everything.
    """

    name: str
    lines: tuple[str, ...]
    after: Callable[[Lab, str], object] | None = None
    recovery: Callable[[Lab, str], object] | None = None
    once_healed: str = ""
    by_sweep: bool = False

    def happen(self, lab: Lab, node: Host) -> None:
        """Let it happen."""
        if self.lines:
            run_all(node, self.lines)
        if self.after:
            self.after(lab, node.name)


def _iptables(lines: str, program: str = "iptables", table: str = "mangle") -> tuple[str, ...]:
    return tuple(f"{program} -w -t {table} {line}" for line in lines.split("; "))


def _wear_address(lab: Lab, node: str) -> None:
    wear_address(lab.host(node))


#: Of node1: the link is another's, the chains are nft.
FOREIGN_LINK = (
    Loss("link set down and up", (f"ip link set {POOL_LINK} down", f"ip link set {POOL_LINK} up")),
    Loss("link deleted, and made again by its owner", (), after=remake_link),
    Loss("address deleted", (f"ip address del 1.2.3.251/32 dev {POOL_LINK}",)),
    Loss("IPv6 address deleted", (f"ip address del fd00:1:2:3::251/128 dev {POOL_LINK}",)),
    Loss("all IPv4 addresses of the link flushed", (f"ip -4 address flush dev {POOL_LINK}",)),
    Loss("rule of replies deleted", ("ip rule del priority 2800",)),
    Loss("rule deleted to which another goes", ("ip rule del priority 2999", "ip -6 rule del priority 2999")),
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
        # In one go: between two, the guard would put the jump back.
        (
            f"printf '*mangle\\n-D PREROUTING {_JUMP}\\n-F {_CHAIN}\\n-X {_CHAIN}\\nCOMMIT\\n' | iptables-nft-restore -w --noflush",
        ),
    ),
    Loss("one rule of a chain deleted", _iptables("-D HOMEWARD-0x100 1", "iptables-nft")),
    Loss("guard chain flushed", _iptables("-F HOMEWARD-IN-eth0.100", "iptables-nft", "raw")),
    Loss("built-in chain flushed", _iptables("-F PREROUTING", "iptables-nft")),
    Loss("whole table mangle flushed", _iptables("-F", "iptables-nft")),
    Loss(
        "a foreign rule before our jump",
        _iptables(f"-I PREROUTING 1 {ACCEPT}", "iptables-nft"),
        once_healed=f"iptables-nft -w -t mangle -D PREROUTING {ACCEPT}",
    ),
    Loss("ruleset of nftables flushed", ("nft flush ruleset",), after=reload_kube_proxy),
    Loss("rp_filter changed", (f"sysctl -qw net/ipv4/conf/{POOL_LINK}/rp_filter=2",)),
    Loss("src_valid_mark changed", (f"sysctl -qw net/ipv4/conf/{POOL_LINK}/src_valid_mark=0",), by_sweep=True),
)

#: Of node2: the link is ours, the chains are legacy.
OWN_LINK = (
    Loss("parent deleted, and made again by its owner", (), after=remake_link, recovery=_wear_address),
    Loss("link of ours set down", (f"ip link set {POOL_LINK} down",)),
    Loss(
        "link of ours deleted, its settings with it",
        (f"ip link del {POOL_LINK}",),
        recovery=_wear_address,
    ),
    Loss("legacy chain flushed", _iptables("-F HOMEWARD-PREROUTING", "iptables-legacy"), by_sweep=True),
    Loss("whole legacy table mangle flushed", _iptables("-F; -X", "iptables-legacy"), by_sweep=True),
)
