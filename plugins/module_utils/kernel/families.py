# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The address families that the kernel supports."""

from __future__ import annotations

from pathlib import Path

from ..state.family import FAMILIES, IPV4

# Of the thread, not of the process: a thread may be in another network namespace.
NETWORK = Path("/proc/thread-self/net")


def kernel_families() -> tuple[str, ...]:
    """Return the families that the kernel supports, without IPv6 if it was booted with ``ipv6.disable=1`` or built without it.

    Such a kernel refuses to list IPv6 rules, and lists the routes of all families if asked for those of IPv6.
    """
    return FAMILIES if (NETWORK / "if_inet6").exists() else (IPV4,)
