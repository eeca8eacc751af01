# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools that are valid by themselves, but contradict each other; and declarations that are too large."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration import parse_declaration
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputErrors
from tests.unit.declaration.flaws import ABSENT, VALID, Flaw, changed, check, second

FIRST = "pools[0]"
NEXT = "pools[1]"


def beside(
    path: str, value: object, *words: str, at: str = "", given: dict[str, Any] | None = None, **options: Any
) -> Flaw:
    """Return a flaw in one option of a second pool that has these options in addition to its usual ones.

    :param at: the option that the error names, where it is another.
    """
    return Flaw({f"{NEXT}.{path}": value}, f"{NEXT}.{at or path}", words, {NEXT: second(**options), **(given or {})})


SAME_VLAN: dict[str, Any] = {"interface": "eth0.100", "vlan": {"parent": "eth0", "id": 100}}
SAME_GATEWAY: dict[str, Any] = {
    "interface": "eth0.100",
    "vlan": {"parent": "eth0", "id": 100},
    "onlink_networks": ["1.2.3.0/24"],
    "gateways": ["1.2.3.1"],
}
V4_ONLY = {f"{FIRST}.networks": ["1.2.3.0/25"], f"{FIRST}.gateways": ["1.2.3.1"]}

INTERFACES = [
    beside("name", "external", "external is already the name of pools[0]"),
    beside("vlan", {"parent": "eth0", "id": 200}, "parent eth0, id 200", "parent eth0, id 100", **SAME_VLAN),
    beside("vlan", {"parent": "eth1", "id": 100}, "differs from pools[0].vlan", "same vlan", **SAME_VLAN),
    beside("vlan", {"parent": "eth0", "id": 100, "mtu": 9000}, "mtu 9000", "interface eth0.100", **SAME_VLAN),
    beside("vlan", ABSENT, "none differs from pools[0].vlan", **SAME_VLAN),
    Flaw(
        {f"{FIRST}.vlan": ABSENT},
        f"{NEXT}.vlan",
        ("differs from pools[0].vlan (none)",),
        {NEXT: second(**SAME_VLAN)},
    ),
    beside("dedicated", True, "true differs from pools[0].dedicated (none)", **SAME_VLAN),
    beside(
        "dedicated", "no", "false differs", given={f"{FIRST}.dedicated": True, f"{NEXT}.dedicated": "yes"}, **SAME_VLAN
    ),
    beside("rp_filter", "loose", "loose differs from pools[0].rp_filter (auto)", **SAME_VLAN),
    beside(
        "vlan.id",
        100,
        "100 on eth0 is interface eth0.200 here and eth0.100 in pools[0]",
        "one link",
        vlan={"parent": "eth0", "id": 200},
    ),
    Flaw(
        {f"{FIRST}.vlan.parent": "eth0.200"},
        f"{FIRST}.vlan.parent",
        ("form a loop (eth0.100 on eth0.200 on eth0.100)",),
        {NEXT: second(vlan={"parent": "eth0.100", "id": 200})},
    ),
]

TABLES_AND_MARKS = [
    beside("table", 100, "table 100 is already used by pools[0]", "1.2.4.1 on eth0.200", given={f"{FIRST}.table": 100}),
    beside(
        "table",
        "0x64",
        "1.2.3.1 and fd00:1:2:3::1 on eth0.100",
        given={f"{FIRST}.table": 100, f"{NEXT}.table": 101},
        **SAME_VLAN,
    ),
    beside("mark", "0x100", "0x100 is already used by pools[0] for", "not for 1.2.4.1", given={f"{FIRST}.mark": 256}),
    beside(
        "table",
        101,
        "table 100, not for table 101",
        "a mark selects one table",
        at="mark",
        given={**V4_ONLY, f"{FIRST}.table": 100, f"{FIRST}.mark": 256},
        **{**SAME_GATEWAY, "mark": 256, "table": 100},
    ),
    Flaw(
        {"mark_mask": "0x100"},
        "mark_mask",
        ("the pools need 2 marks", "0x100 has room for 1", "2 adjacent bits", "0x1800"),
        {NEXT: second()},
    ),
    Flaw(
        {f"{NEXT}.table": 101},
        "mark_mask",
        ("need 2 marks",),
        {**V4_ONLY, "mark_mask": "0x100", f"{FIRST}.table": 100, NEXT: second(**SAME_GATEWAY, table=100)},
    ),
    # A pool with an explicit mark or table does not share those of the pools without.
    Flaw(
        {f"{FIRST}.mark": "0x100"},
        "mark_mask",
        ("need 2 marks",),
        {**V4_ONLY, "mark_mask": "0x100", NEXT: second(**SAME_GATEWAY)},
    ),
    beside(
        "table",
        101,
        "a table that is chosen automatically, not for table 101",
        at="mark",
        given={**V4_ONLY, f"{FIRST}.mark": 256},
        **{**SAME_GATEWAY, "mark": 256},
    ),
]

DENY = [
    beside("deny", ["1.2.3.0/24"], "is the same as pools[0].networks[0]", at="deny[0]", **SAME_VLAN),
    beside(
        "deny",
        ["192.0.2.0/24"],
        "contains pools[0].gateways[0] (192.0.2.1)",
        at="deny[0]",
        given={f"{FIRST}.gateways[0]": "192.0.2.1", f"{FIRST}.onlink_networks": ["192.0.2.0/24"]},
        **SAME_VLAN,
    ),
]


@pytest.mark.parametrize("flaw", INTERFACES + TABLES_AND_MARKS + DENY, ids=str)
def test_only_the_flaw_is_refused(flaw: Flaw) -> None:
    check(flaw)


def small_pool(number: int, **options: Any) -> dict[str, Any]:
    """Return one of many pools with a network of its own on eth1."""
    high, low = divmod(number, 256)
    return {"name": f"p{number}", "networks": [f"100.{64 + high}.{low}.0/24"], "interface": "eth1", **options}


def errors_of(parameters: dict[str, Any]) -> list[str]:
    with pytest.raises(InputErrors) as caught:
        parse_declaration(parameters)
    return [str(error) for error in caught.value.errors]


def test_1024_pools_and_no_more() -> None:
    pools = [small_pool(number) for number in range(1025)]
    assert len(parse_declaration({"pools": pools[:1024]}).pools) == 1024
    assert errors_of({"pools": pools}) == [
        "pools: 1025 entries are more than the 1024 that are allowed. Declare fewer."
    ]


def test_256_networks_in_a_pool_and_no_more() -> None:
    networks = [f"1.2.3.{number}" for number in range(256)]
    pool = small_pool(0, networks=networks)
    assert len(parse_declaration({"pools": [pool]}).pools[0].networks) == 256
    (error,) = errors_of({"pools": [{**pool, "networks": [*networks, "1.2.4.0"]}]})
    assert error.startswith("pools[0].networks: 257 entries")
    # One entry may come to many networks: this range to 14.
    (error,) = errors_of({"pools": [{**pool, "networks": [*networks[:250], "1.2.4.1-1.2.4.254"]}]})
    assert error.startswith("pools[0].networks: the entries come to 264 networks, more than the 256")


@pytest.mark.parametrize("option", ["networks", "onlink_networks", "deny"])
def test_4096_networks_of_each_kind_and_no_more(option: str) -> None:
    pools = []
    for number in range(17):
        pool = {**small_pool(number), option: [f"{20 + number}.0.{low}.0/24" for low in range(256)]}
        pool["gateways"] = [pool["networks"][0].replace(".0/24", ".1")]
        pools.append(pool)
    limit = 4096 // 256
    assert len(parse_declaration({"pools": pools[:limit]}).pools) == limit
    (error,) = errors_of({"pools": pools})
    assert error.startswith(f"pools: their {option} come to 4352 networks, more than the 4096")


def test_all_errors_are_reported_together() -> None:
    flawed = changed(
        VALID,
        {
            "protocol": 4,
            "cluster.kube_proxy_mode": "ebpf",
            "pools[0].name": "a b",
            "pools[0].gateways[0]": "1.2.4.1",
            "pools[0].vlan": {"parent": "eth0.100", "id": 0, "mtu": 5},
            "pools[1]": second(networks=["1.2.3.0/25", "oops"], gateways=[], mark="0x1"),
            "pools[2]": None,
            "pools[3]": 3,
        },
    )
    with pytest.raises(InputErrors) as caught:
        parse_declaration(flawed)
    assert [error.path for error in caught.value.errors] == [
        "protocol",
        "cluster.kube_proxy_mode",
        "pools[0].name",
        "pools[0].vlan.parent",
        "pools[0].vlan.id",
        "pools[0].vlan.mtu",
        "pools[0].gateways[0]",
        "pools[1].networks[1]",
        "pools[1].mark",
        "pools[2]",
        "pools[3]",
        "pools[1].networks[0]",
    ]
    assert str(caught.value) == "\n".join(str(error) for error in caught.value.errors)


def test_follow_up_errors_are_not_reported() -> None:
    # If a network is invalid, it is not known whether the gateway is inside it.
    flawed = changed(VALID, {"pools[0].networks[0]": "1.2.3.0/240", "pools[0].addresses": ["1.2.3.5"]})
    assert [error.partition(":")[0] for error in errors_of(flawed)] == ["pools[0].networks[0]"]
    # Likewise a mark with an invalid mask.
    flawed = changed(VALID, {"mark_mask": "?", "pools[0].mark": "0x100000"})
    assert [error.partition(":")[0] for error in errors_of(flawed)] == ["mark_mask"]


def test_the_text_of_an_error() -> None:
    flawed = changed(VALID, {"pools[1]": second(), "pools[2]": second(name="third", networks=["1.2.5.0/24"])})
    (text,) = errors_of(flawed)
    assert text == (
        "pools[2].gateways[0]: 1.2.4.1 is not inside any of pools[2].networks (1.2.5.0/24). "
        "Correct the gateway, or add the interface's network that contains it to pools[2].onlink_networks."
    )
