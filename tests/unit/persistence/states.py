# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random states, as the state file may have them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence.statefile import Saved
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import (
    Address,
    Chain,
    ChainSet,
    Link,
    NodeState,
    Ownership,
    Route,
    Rule,
    Sysctl,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.kinds import SAVED, plurals

NUMBERS = st.integers(0, 2**32 - 1)
TEXTS = st.text(max_size=12)
FAMILIES = st.sampled_from(("ipv4", "ipv6"))
LINKS = st.builds(Link, TEXTS, st.sampled_from(("vlan", "macvlan", "dummy")), TEXTS, NUMBERS, NUMBERS, st.booleans())
ROUTES = st.builds(Route, FAMILIES, NUMBERS, TEXTS, NUMBERS, TEXTS, TEXTS, TEXTS, st.booleans(), TEXTS)
RULES = st.builds(
    Rule,
    FAMILIES,
    NUMBERS,
    st.sampled_from(("lookup", "goto", "nop", "blackhole")),
    NUMBERS,
    NUMBERS,
    TEXTS,
    TEXTS,
    TEXTS,
    TEXTS,
    NUMBERS,
    NUMBERS,
    st.booleans(),
    st.integers(-1, 128),
)
CHAINS = st.builds(Chain, FAMILIES, TEXTS, TEXTS, st.lists(TEXTS, max_size=3).map(tuple), TEXTS)
CASE = st.fixed_dictionaries(dict.fromkeys(("pool", "interface", "case", "reason"), TEXTS), optional={"table": NUMBERS})


@st.composite
def saved_states(draw: st.DrawFn) -> Saved:
    """Draw the content of a state file."""
    variant = draw(st.sampled_from(("nft", "legacy")))
    chains: dict[str, set[Chain]] = {}
    for chain in draw(st.lists(CHAINS, max_size=3)):
        chains.setdefault(chain.family, set()).add(chain)
    state: dict[str, Any] = {
        "links": draw(st.frozensets(LINKS, max_size=3)),
        "addresses": draw(st.frozensets(st.builds(Address, TEXTS, TEXTS), max_size=3)),
        "sysctls": draw(st.frozensets(st.builds(Sysctl, TEXTS, TEXTS), max_size=3)),
        "routes": draw(st.frozensets(ROUTES, max_size=3)),
        "rules": draw(st.frozensets(RULES, max_size=3)),
        "chains": frozenset(ChainSet(variant, family, frozenset(items)) for family, items in chains.items()),
    }
    assert state.keys() == plurals(SAVED), "a kind without examples is not tested"
    return Saved(
        NodeState(**state),
        draw(st.builds(Ownership, st.integers(5, 255), TEXTS, TEXTS, TEXTS)),
        variant,
        tuple(draw(st.lists(CASE, max_size=2))),
        draw(TEXTS),
        draw(TEXTS),
        draw(
            st.dictionaries(
                TEXTS, st.lists(TEXTS, max_size=2, unique=True).map(lambda texts: tuple(sorted(texts))), max_size=2
            )
        ),
        tuple(draw(st.lists(TEXTS, max_size=2))),
    )
