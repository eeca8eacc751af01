# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The four cases and what each implies: the one table that options, checks and compilers read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

#: Not a case: the node's addresses and routes decide which one applies.
AUTO = "auto"

#: Options of a pool that have an effect only together with ``gateways``.
GATEWAY_OPTIONS = ("table", "mark", "deny", "node_services")


class Situation(Enum):
    """How a pool relates to the addresses and routes of a node; ``auto`` picks the case by it."""

    ALREADY_ROUTED = "the node's own routes already lead to the pool's hosts and back through its gateway"
    NO_GATEWAY = "the pool has no gateway and its link has no route to the pool"
    OWN_GATEWAY = "replies must leave through a gateway that the node's default route does not use"


@dataclass(frozen=True)
class CaseTraits:
    """What a case implies for its pools.

    :param needs_gateway: replies leave through the pool's gateways, so each family of its networks needs one.
    :param uses_marks: the case has a packet mark and a routing table for its gateways.
    :param filters: the case has chains that can drop packets, so ``deny`` takes effect.
    :param has_guard: the guard chain also drops sources that can only be forged.
    :param uses_main_table: the pool's networks get routes in the main table.
    :param auto_for: the situation for which ``auto`` picks this case; None if it never does.
    :param options_without_effect: options of a pool that are refused in this case.
    :param why_without_effect: the reason, a clause for error messages.
    """

    name: str
    needs_gateway: bool = False
    uses_marks: bool = False
    filters: bool = False
    has_guard: bool = False
    uses_main_table: bool = False
    auto_for: Situation | None = None
    options_without_effect: tuple[str, ...] = ()
    why_without_effect: str = ""


#: The cases by name, from the one that changes least to the one that changes most.
CASES: Mapping[str, CaseTraits] = {
    traits.name: traits
    for traits in (
        CaseTraits(
            "same_subnet",
            auto_for=Situation.ALREADY_ROUTED,
            options_without_effect=("gateways", "vlan", "addresses", *GATEWAY_OPTIONS),
            why_without_effect="case same_subnet changes nothing on a node",
        ),
        CaseTraits(
            "onlink_route",
            uses_main_table=True,
            auto_for=Situation.NO_GATEWAY,
            options_without_effect=("gateways", *GATEWAY_OPTIONS),
            why_without_effect="case onlink_route only adds a route to the link and uses no gateway, table, mark or chain",
        ),
        CaseTraits("source_routing", needs_gateway=True, uses_marks=True, filters=True),
        CaseTraits(
            "policy_routing",
            needs_gateway=True,
            uses_marks=True,
            filters=True,
            has_guard=True,
            auto_for=Situation.OWN_GATEWAY,
        ),
    )
}

#: The case that ``auto`` picks in each situation.
AUTO_CASES: Mapping[Situation, CaseTraits] = {
    traits.auto_for: traits for traits in CASES.values() if traits.auto_for is not None
}

#: What the option ``case`` of a pool accepts.
CASE_CHOICES = (AUTO, *CASES)
