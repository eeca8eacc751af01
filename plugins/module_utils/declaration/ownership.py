# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By what ours is told from everybody else's: nothing may be taken for it that another program makes.

Whatever carries the mark is changed and removed by us, so a mark that others use too is refused.
"""

from __future__ import annotations

import re
from typing import Any

from ..errors import InputError
from .values import read_bounded, read_text, shown

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


def read_protocol(path: str, value: Any, usual: int, taken: int = 0) -> int:
    """Return a protocol number of routes and rules (``rtm_protocol``, ``FRA_PROTOCOL``) that nobody else uses.

    :param usual: the default, for the remedy.
    :param taken: the number that ``pool_routing`` uses, where that is somebody else.
    """
    remedy = f"Take a number from 5 to 255 that nothing else on the nodes uses, or leave it out for {usual}."
    protocol = read_bounded(path, value, 0, 255, remedy)
    owner = {**_OWNERS_OF_PROTOCOLS, taken: POOLS}.get(protocol, "")
    if protocol < 5:
        owner = "the kernel and to administrators"
    if owner:
        raise InputError(path, f"{protocol} belongs to {owner}, whose routes and rules would count as ours", remedy)
    return protocol


def read_owner(path: str, value: Any, taken: str) -> str:
    """Return the alias of links (``ifalias``) that nobody else uses.

    :param taken: the one that ``pool_routing`` uses.
    """
    remedy = "Take a word of your own, as in site.storage, or leave it out."
    owner = read_text(path, value)
    if not owner.strip():
        raise InputError(path, "is empty, so every link without an alias would count as ours", remedy)
    if owner == taken:
        raise InputError(path, f"{owner} belongs to {POOLS}, whose links would count as ours", remedy)
    if not owner.isprintable() or len(owner.encode()) > LONGEST_ALIAS:
        raise InputError(path, f"{shown(owner)} is no alias: one line of at most {LONGEST_ALIAS} bytes", remedy)
    return owner


def read_prefix(path: str, value: Any, taken: str) -> str:
    """Return the beginning of the names of chains that nobody else's begin with.

    :param taken: the one that ``pool_routing`` uses.
    """
    remedy = "Take a word of your own of 2 to 20 letters, digits, and . _ : -, as in SITE-"
    prefix = read_text(path, value)
    if not _PREFIX.fullmatch(prefix):
        raise InputError(path, f"{shown(prefix)} cannot begin the names of chains", remedy)
    built_in = next((name for name in _BUILT_IN_CHAINS if name.startswith(prefix)), "")
    if built_in:
        raise InputError(path, f"{prefix} begins {built_in}, a built-in chain, which would count as ours", remedy)
    for known, owner in {**_OWNERS_OF_CHAINS, taken: POOLS}.items():
        if known.startswith(prefix) or prefix.startswith(known):
            raise InputError(path, f"{prefix} goes with {known} of {owner}, whose chains would count as ours", remedy)
    return prefix


def read_comment(path: str, value: Any) -> str:
    """Return a comment of a rule, ``""`` for none."""
    comment = read_text(path, value)
    if (comment and not comment.isprintable()) or len(comment.encode()) > LONGEST_COMMENT:
        problem = f"{shown(comment)} is no comment: one line of at most {LONGEST_COMMENT} bytes"
        raise InputError(path, problem, "Shorten it, and leave out what is no letter, digit or sign.")
    return comment
