# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random declarations that are valid on the node of ``node.py``."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.support.pools import INSIDE, Parameters, Pool, declared

INTERFACES = ("eth0.100", "eth0.200", "eth1", "eth2", "eth0")
WAYS = 5  # so few that two declarations share some, and pools move from one to the other


@st.composite
def declarations(draw: st.DrawFn, variant: str = "auto") -> Parameters:
    """Draw pools of several cases, families and spellings over several interfaces."""
    interfaces = draw(st.lists(st.sampled_from(INTERFACES), min_size=1, max_size=3, unique=True))
    of_interface = {name: _interface_options(draw, name) for name in interfaces}
    pools: list[Pool] = []
    for number in draw(st.lists(st.integers(0, WAYS - 1), min_size=1, max_size=3, unique=True)):
        name = draw(st.sampled_from(interfaces))
        pools += [{**pool, **of_interface[name]} for pool in _pools_of_a_way(draw, number, name)]
    if "eth0" in interfaces and draw(st.booleans()):
        pools.append({**INSIDE, **of_interface["eth0"]})
    cluster = draw(st.sampled_from([{}, {"kube_proxy_mode": "ipvs"}, {"kube_proxy_mode": "nftables"}]))
    settings = draw(st.sampled_from([{}, {}, {"priority_base": 4000, "table_base": 9001, "mark_mask": "0xff0000"}]))
    return declared(*draw(st.permutations(pools)), cluster=cluster, **settings, iptables_variant=variant)


def _interface_options(draw: st.DrawFn, name: str) -> Pool:
    # Where the node's default route leaves, true is refused.
    dedicated = (None, False) if name == "eth0" else (None, None, True, False)
    return _given(
        rp_filter=draw(st.sampled_from([None, "auto", "leave", "strict", "loose", "off"])),
        dedicated=draw(st.sampled_from(dedicated)),
    )


def _pools_of_a_way(draw: st.DrawFn, number: int, interface: str) -> list[Pool]:
    """Draw up to two pools that share a gateway, or have none."""
    families = draw(st.sampled_from([(4,), (6,), (4, 6)]))
    gateways = _gateways(draw, number, families)
    case = draw(st.sampled_from(["auto", "policy_routing", "source_routing"] if gateways else ["auto", "onlink_route"]))
    table = draw(st.sampled_from([None, str(100 + number)])) if gateways else None
    pools = []
    for part in range(draw(st.integers(1, 2))):
        pool = _given(
            name=f"way{number}-{part}",
            networks=[text for family in families for text in _networks(draw, number, part, family)],
            interface=interface,
            onlink_networks=[f"20.{number}.128.0/20", f"fd20:{number}:1::/64"],
            gateways=gateways,
            case=case,
            table=table,
            addresses=draw(st.sampled_from([None, _addresses(number, part, families)])),
        )
        if gateways:
            pool.update(_given(deny=draw(st.sampled_from([None, ["30.0.0.0/8", "fd30::/32"]]))))
        pools.append(pool)
    return pools


def _gateways(draw: st.DrawFn, number: int, families: tuple[int, ...]) -> list[str]:
    last = draw(st.sampled_from([None, 1, 2]))
    if last is None:
        return []
    four = f"20.{number}.128.{last}"
    six = draw(st.sampled_from([f"fd20:{number}:1::{last}", f"fe80::{last}"]))
    return [*([four] if 4 in families else []), *([six] if 6 in families else [])]


def _networks(draw: st.DrawFn, number: int, part: int, family: int) -> list[str]:
    if family == 6:
        return [
            draw(
                st.sampled_from(
                    [f"fd20:{number}:2:{part}::/64", f"fd20:{number}:2:{part}::5-fd20:{number}:2:{part}::9"]
                )
            )
        ]
    third = 2 * part
    choices = [[f"20.{number}.{third}.0/24"], [f"20.{number}.{third}.4-20.{number}.{third}.13"]]
    return draw(st.sampled_from([*choices, [f"20.{number}.{third}.77/32", f"20.{number}.{third + 1}.0/25"]]))


def _addresses(number: int, part: int, families: tuple[int, ...]) -> list[str]:
    four, six = f"20.{number}.130.{part + 11}", f"fd20:{number}:1::{part + 11}"
    return [*([four] if 4 in families else []), *([six] if 6 in families else [])]


def _given(**options: Any) -> Pool:
    return {name: value for name, value in options.items() if value is not None}
