# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The compiler of each case. All have one signature, so nothing else needs to know which case a group is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from . import onlink_route, policy_routing, same_subnet, source_routing
from .context import Context
from .model import CompiledGroup, Group

COMPILERS: Mapping[str, Callable[[Group, Context], CompiledGroup]] = {
    "same_subnet": same_subnet.compile_group,
    "onlink_route": onlink_route.compile_group,
    "source_routing": source_routing.compile_group,
    "policy_routing": policy_routing.compile_group,
}
