# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Markers of ownership: the protocol number, link alias, chain prefix and comment that tell managed objects from foreign ones.

Objects that carry the marker are changed and removed, so a marker that another program uses is refused.
"""

from __future__ import annotations

import re
from typing import Any

from ..errors import InputError
from .values import printable, read_bounded, read_text

LONGEST_ALIAS = 255  # bytes: IFALIASZ - 1, include/uapi/linux/if.h
LONGEST_COMMENT = 255  # bytes: XT_MAX_COMMENT_LEN - 1, include/uapi/linux/netfilter/xt_comment.h
POOLS = "homeward.metallb_routing.pool_routing"

_OWNERS_OF_PROTOCOLS = {
    8: "gated",
    9: "the kernel, for router advertisements (ra)",
    10: "mrt",
    11: "zebra of FRR",
    12: "BIRD, and Calico with it",
    13: "dnrouted",
    14: "XORP",
    15: "Netsukuku (ntk)",
    16: "DHCP clients",
    17: "mrouted",
    18: "keepalived",
    42: "Babel daemons",
    80: "Calico, for its tunnels",
    84: "OVN",
    99: "Open/R",
    186: "BGP daemons",
    187: "IS-IS daemons",
    188: "OSPF daemons",
    189: "RIP daemons",
    190: "ripngd of FRR",
    191: "nhrpd of FRR",
    192: "EIGRP daemons",
    193: "ldpd of FRR",
    194: "sharpd of FRR",
    195: "pbrd of FRR",
    196: "staticd of FRR",
    197: "fabricd of FRR",
    198: "pathd of FRR",
}

_BUILT_IN_CHAINS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
_OWNERS_OF_CHAINS = {
    "KUBE-": "Kubernetes",
    "cali-": "Calico",
    "CILIUM_": "Cilium",
    "FLANNEL-": "flannel",
    "WEAVE": "Weave",
    "CNI-": "the plugins of CNI",
    "NETAVARK": "podman",
    "DOCKER": "Docker",
    "LIBVIRT_": "libvirt",
    "ufw": "ufw",
    "f2b-": "fail2ban",
}
_PREFIX = re.compile(r"[A-Za-z0-9._:-]{2,20}")


def read_protocol(path: str, value: Any, default: int, of_pools: int = 0) -> int:
    """Return a protocol number of routes and rules (``rtm_protocol``, ``FRA_PROTOCOL``) that no other program uses.

    :param default: for the remedy.
    :param of_pools: the number that ``pool_routing`` uses; 0 for ``pool_routing`` itself.
    """
    remedy = f"Use a number from 5 to 255 that nothing else on the nodes uses, or leave it out for {default}."
    protocol = read_bounded(path, value, 0, 255, remedy)
    owner = {**_OWNERS_OF_PROTOCOLS, of_pools: POOLS}.get(protocol, "")
    if protocol < 5:
        owner = "the kernel and to administrators"
    if owner:
        raise InputError(
            path, f"{protocol} belongs to {owner}, whose routes and rules would be treated as managed", remedy
        )
    return protocol


def read_owner(path: str, value: Any, of_pools: str) -> str:
    """Return the alias of links (``ifalias``) that marks the managed ones.

    :param of_pools: the alias that ``pool_routing`` uses.
    """
    remedy = "Choose another alias, such as site.storage, or leave it out."
    owner = read_text(path, value)
    if not owner.strip():
        raise InputError(path, "it is empty, so every link without an alias would be treated as managed", remedy)
    if owner == of_pools:
        raise InputError(path, f"{owner} belongs to {POOLS}, whose links would be treated as managed", remedy)
    if not owner.isprintable() or len(owner.encode()) > LONGEST_ALIAS:
        raise InputError(
            path, f"{printable(owner)} is not a valid alias: one line of at most {LONGEST_ALIAS} bytes", remedy
        )
    return owner


def read_prefix(path: str, value: Any, of_pools: str) -> str:
    """Return the prefix of the names of managed chains, which no other program's chains begin with.

    :param of_pools: the prefix that ``pool_routing`` uses.
    """
    remedy = "Choose another prefix, such as SITE-, of 2 to 20 characters: letters, digits, . _ : and -."
    prefix = read_text(path, value)
    if not _PREFIX.fullmatch(prefix):
        raise InputError(path, f"{printable(prefix)} cannot be a prefix of chain names", remedy)
    built_in = next((name for name in _BUILT_IN_CHAINS if name.startswith(prefix)), "")
    if built_in:
        raise InputError(
            path, f"{built_in}, a built-in chain, begins with {prefix} and would be treated as managed", remedy
        )
    for known, owner in {**_OWNERS_OF_CHAINS, of_pools: POOLS}.items():
        if known.startswith(prefix) or prefix.startswith(known):
            problem = f"{prefix} conflicts with {known} of {owner}, whose chains would be treated as managed"
            raise InputError(path, problem, remedy)
    return prefix


def read_comment(path: str, value: Any) -> str:
    """Return the comment of a rule; ``""`` adds none."""
    comment = read_text(path, value)
    if (comment and not comment.isprintable()) or len(comment.encode()) > LONGEST_COMMENT:
        problem = f"{printable(comment)} is not a valid comment: one line of at most {LONGEST_COMMENT} bytes"
        raise InputError(path, problem, "Shorten it, and use printable characters only.")
    return comment
