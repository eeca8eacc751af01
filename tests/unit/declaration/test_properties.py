# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Properties of every input, tested with generated ones."""

from __future__ import annotations

import ipaddress
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration import (
    CASE_CHOICES,
    RP_FILTERS,
    Declaration,
    Pool,
    Vlan,
    cluster_options,
    parse_declaration,
    pool_options,
    settings_options,
    vlan_options,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.networks import (
    Purpose,
    Span,
    SpanIndex,
    overlapping,
    parse_span,
    summarize,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError, InputErrors
from tests.unit.declaration.objects import PARSERS, VALID_OBJECTS

ANY_PURPOSE = Purpose("Give another.", shortest_length=0)

V4 = st.integers(0x0B000000, 0x4FFFFFFF)  # within 11.0.0.0-79.255.255.255, where nothing is special
V6 = st.integers(0xFD << 120, (0xFD << 120) + (1 << 119) - 1)  # a range that begins there ends before fe80::


def test_no_drawn_address_is_in_a_special_range() -> None:
    for number in (0x0B000000, 0x4FFFFFFF):
        assert ipaddress.IPv4Address(number).is_global


@st.composite
def ranges(draw: st.DrawFn) -> tuple[str, int, int]:
    """Draw a family and the ends of a short or long range."""
    family = draw(st.sampled_from(["ipv4", "ipv6"]))
    first = draw(V4 if family == "ipv4" else V6)
    size = draw(st.one_of(st.integers(0, 300), st.integers(0, (1 << (24 if family == "ipv4" else 120)) - 1)))
    return family, first, first + size


@given(ranges())
def test_a_range_comes_to_exactly_its_addresses(drawn: tuple[str, int, int]) -> None:
    family, first, last = drawn
    kind: Any = ipaddress.IPv4Address if family == "ipv4" else ipaddress.IPv6Address
    expected = [str(network) for network in ipaddress.summarize_address_range(kind(first), kind(last))]
    assert list(summarize(family, first, last)) == expected
    assert parse_span("it", f"{kind(first)} - {kind(last)}", ANY_PURPOSE).networks == tuple(expected)
    assert len(expected) <= 238, "more than the limits' comment promises"


@given(V4 | V6, st.integers(8, 128))
def test_canonical_form_is_that_of_ipaddress_and_its_own(number: int, length: int) -> None:
    address = ipaddress.ip_address(number)
    network = ipaddress.ip_network((number, min(length, address.max_prefixlen)), strict=False)
    spellings = {str(network), network.exploded, network.exploded.upper(), f"  {network}\t"}
    spans = {parse_span("it", spelling, ANY_PURPOSE) for spelling in spellings if "/" in spelling}
    (span,) = spans
    assert span.networks == (str(network),)
    assert (span.first, span.last) == (int(network[0]), int(network[-1]))
    assert parse_span("it", span.text, ANY_PURPOSE) == span


@st.composite
def small_spans(draw: st.DrawFn) -> list[Span]:
    """Draw spans so close together that many overlap."""
    drawn = draw(
        st.lists(st.tuples(st.sampled_from(["ipv4", "ipv6"]), st.integers(0, 40), st.integers(0, 8)), max_size=12)
    )
    return [Span(family, low, low + size, f"n[{index}]", "", ()) for index, (family, low, size) in enumerate(drawn)]


def overlap(one: Span, other: Span) -> bool:
    return one.family == other.family and one.first <= other.last and other.first <= one.last


@given(small_spans())
def test_every_overlap_is_noticed(spans: list[Span]) -> None:
    found = list(overlapping(spans))
    for later, earlier in found:
        assert overlap(later, earlier)
        assert spans.index(later) > spans.index(earlier)
    involved = {span for pair in found for span in pair}
    assert involved == {span for span in spans if any(overlap(span, other) for other in spans if other is not span)}


@given(small_spans(), small_spans())
def test_the_index_finds_an_overlap_where_there_is_one(spans: list[Span], asked: list[Span]) -> None:
    index = SpanIndex(spans)
    for span in asked:
        found = index.find(span)
        assert (found is not None) == any(overlap(span, other) for other in spans)
        assert found is None or overlap(span, found)


@st.composite
def valid_pools(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw pools without conflicts, in different spellings."""
    pools = []
    for number in range(draw(st.integers(1, 5))):
        families = draw(st.sampled_from([(), (4,), (6,), (4, 6)]))
        networks = [
            f"20.{number}.0.0/24",
            f"20.{number}.1.4-20.{number}.1.{draw(st.integers(5, 250))}",
            f"FD00:{number}::/64",
        ]
        pool: dict[str, Any] = {
            "name": f"pool{number}",
            "networks": draw(st.permutations(networks)),
            "interface": f"eth0.{number}",
            "onlink_networks": [f"20.{number}.128.0/20"],
            "gateways": [f"20.{number}.0.1" if family == 4 else f"fd00:{number}::0001" for family in families],
            "addresses": draw(st.sampled_from([None, "", [f"20.{number}.130.9/32"]])),
            "case": draw(st.sampled_from(CASE_CHOICES if len(families) == 2 else ("auto",))) if families else None,
            "dedicated": draw(st.sampled_from([None, True, "no"])),
            "rp_filter": draw(st.sampled_from([*RP_FILTERS, None])),
            "vlan": draw(st.sampled_from([None, {"parent": "eth0", "id": str(number + 1), "mtu": None}])),
        }
        if pool["case"] in ("same_subnet", "onlink_route"):
            pool.update(gateways=[], vlan=None, addresses=None)
        elif families:
            pool.update(
                table=draw(st.sampled_from([None, 100 + number])),
                mark=draw(st.sampled_from([None, 256 * (number + 1)])),
            )
            pool.update(deny=draw(st.sampled_from([None, ["30.0.0.0/8", "10.0.0.0/8"]])))
        pools.append(pool)
    return pools


def written(value: Any) -> Any:
    """Return a parsed pool, or a part of it, as a user could write it, without unset options."""
    if not isinstance(value, (Pool, Vlan)):
        return list(value) if isinstance(value, tuple) else value
    options = {item.name: getattr(value, item.name) for item in fields(value) if item.name not in ("path", "ranges")}
    return {name: written(option) for name, option in options.items() if option not in (0, None, ()) or option is False}


@given(valid_pools())
def test_what_was_parsed_parses_to_itself(pools: list[dict[str, Any]]) -> None:
    once = parse_declaration({"pools": pools})
    assert len(once.pools) == len(pools)
    again = parse_declaration({"pools": [written(pool) for pool in once.pools]})
    assert again == once


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(0, 300),
    st.just(10**4000),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        [
            "1.2.3.0/24",
            "1.2.3.1",
            "fd00::/64",
            "fe80::1",
            "1.2.3.4-1.2.3.9",
            "0x100",
            "eth0",
            *CASE_CHOICES,
            "::",
            "-",
            "/",
        ]
    ),
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def options_or_junk(options: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Draw a mapping with some of these options and any values, or something that is no mapping."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(options, JUNK)) | JUNK


POOLS = st.lists(
    st.fixed_dictionaries({}, optional={**dict.fromkeys(pool_options(), JUNK), "vlan": options_or_junk(vlan_options())})
    | JUNK,
    max_size=3,
)
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(settings_options(), JUNK),
        "pools": POOLS | JUNK,
        "cluster": options_or_junk(cluster_options()),
        "state": JUNK,
    },
)


def refusals(parameters: Any) -> tuple[InputError, ...]:
    """Return the errors in the parameters; any other exception fails the test."""
    try:
        declared = parse_declaration(parameters)
    except InputErrors as caught:
        return caught.errors
    assert isinstance(declared, Declaration)
    return ()


@given(PARAMETERS | JUNK)
def test_nonsense_is_refused_with_a_path_or_passes(parameters: Any) -> None:
    for error in refusals(parameters):
        assert error.path
        assert error.problem
        assert error.remedy.endswith(".")
        # Neither control characters nor lone surrogates may reach a terminal.
        assert str(error).isprintable()


@pytest.mark.parametrize("option", sorted(pool_options()))
@given(value=JUNK)
def test_nonsense_in_one_option_of_a_valid_pool(option: str, value: Any) -> None:
    pool = {
        "name": "external",
        "networks": ["1.2.3.0/24", "fd00::/64"],
        "interface": "eth0.100",
        "gateways": ["1.2.3.1", "fe80::1"],
    }
    assert refusals({"pools": [pool]}) == ()
    for error in refusals({"pools": [{**pool, option: value}]}):
        # The path may be that of another option that the value contradicts.
        assert error.path.startswith("pools[0].")
        assert str(error).isprintable()


@pytest.mark.parametrize("kind", PARSERS)
@given(data=st.data())
def test_nonsense_in_objects(kind: str, data: st.DataObject) -> None:
    spec, parser = PARSERS[kind]
    options = options_or_junk(spec[kind]["options"]).map(
        lambda drawn: {**VALID_OBJECTS[kind], **drawn} if isinstance(drawn, dict) else drawn
    )
    entries = data.draw(st.lists(options, max_size=3) | JUNK)
    try:
        parser(entries)
    except InputErrors as caught:
        for error in caught.errors:
            assert error.path.startswith(kind)
            assert error.remedy.endswith(".")
            assert str(error).isprintable()
