# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which options mean something in which case; an option without effect is refused, not ignored.

========================================  ===========  ============  ==============================
option                                    same_subnet  onlink_route  source_routing, policy_routing
========================================  ===========  ============  ==============================
vlan, addresses                           refused      yes           yes
gateways                                  refused      refused       one for each family, required
table, mark, deny                         refused      refused       yes
========================================  ===========  ============  ==============================

same_subnet changes nothing on a node. onlink_route makes a link, its address and a route, but has no gateway, so
neither a table nor a mark to reach it by, nor the chains that refuse sources. With auto, a pool without gateways can
only become one of these two, so it has no use for a table, a mark or deny either.
"""

from __future__ import annotations

from ..state.family import FAMILIES
from .addresses import LABELS
from .pool_input import GATEWAY_CASES, PoolInput
from .problems import Problems
from .values import listed

_OF_GATEWAYS = ("table", "mark", "deny")
_WITHOUT_EFFECT = {
    "same_subnet": ("gateways", "vlan", "addresses", *_OF_GATEWAYS),
    "onlink_route": ("gateways", *_OF_GATEWAYS),
}
_WHY = {
    "same_subnet": "case same_subnet changes nothing on a node",
    "onlink_route": "case onlink_route answers hosts of the link itself, without gateway, table, mark or chains",
}


def check_case_options(problems: Problems, entry: PoolInput) -> None:
    """Refuse options that the pool's case has no use for, and the lack of gateways that it needs."""
    pool = entry.pool
    if not entry.sound("case", "gateways"):
        return
    if pool.case in _WITHOUT_EFFECT:
        for option in _WITHOUT_EFFECT[pool.case]:
            if getattr(pool, option):
                remedy = f"Leave {option} out, or declare another case."
                problems.add(f"{pool.path}.{option}", f"it has no effect, because {_WHY[pool.case]}", remedy)
    elif pool.case in GATEWAY_CASES:
        _check_gateway_for_each_family(problems, entry)
    elif not pool.gateways:
        for option in _OF_GATEWAYS:
            if getattr(pool, option):
                problem = f"it has no effect, because {pool.path} has no gateways to route replies through"
                problems.add(f"{pool.path}.{option}", problem, f"Add gateways, or leave {option} out.")


def _check_gateway_for_each_family(problems: Problems, entry: PoolInput) -> None:
    pool = entry.pool
    with_gateway = {gateway.family for gateway in entry.gateways}
    for family in FAMILIES:
        networks = [span.text for span in entry.networks if span.family == family]
        if networks and family not in with_gateway:
            label = LABELS[family]
            problems.add(
                f"{pool.path}.gateways",
                f"there is no {label} gateway, but case {pool.case} sends replies through one, and {pool.path}.networks"
                f" has {label} ({listed(networks)})",
                "Add one, or declare these networks as a pool of their own with case onlink_route, or same_subnet where the"
                " node is in them.",
            )
