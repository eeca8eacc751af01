# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which families of addresses the kernel has."""

from __future__ import annotations

from pathlib import Path

from ..state.family import FAMILIES, IPV4

# Of the thread, not of the process: a thread may be in a network namespace of its own.
NETWORK = Path("/proc/thread-self/net")


def kernel_families() -> tuple[str, ...]:
    """Return the families that the kernel has: ``ipv6.disable=1`` at boot, or a kernel built without it, takes IPv6 away.

    The kernel refuses then to list IPv6 rules, and lists everybody's routes where it is asked for those of IPv6.
    """
    return FAMILIES if (NETWORK / "if_inet6").exists() else (IPV4,)
