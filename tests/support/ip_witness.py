# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses, routes and rules as ``ip -json`` shows them, as state objects, without the readers of the collection."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Address, Route, Rule
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import StateObject
from tests.support.namespace import Namespace

OPTIONS = {"ipv4": "-4 -N", "ipv6": "-6 -N"}
EVERYTHING = {"ipv4": "0.0.0.0/0", "ipv6": "::/0"}
FULL_LENGTH = {"ipv4": "32", "ipv6": "128"}
ROUTE_TYPES = {"1": "unicast", "6": "blackhole", "7": "unreachable", "8": "prohibit", "9": "throw"}
RULE_ACTIONS = {"6": "blackhole", "7": "unreachable", "8": "prohibit"}


def routes(namespace: Namespace, protocol: int = 77) -> set[Route]:
    """Return the routes of one protocol number, of both families."""
    found = set()
    for family, options in OPTIONS.items():
        for item in namespace.ip_json(f"{options} route show table all proto {protocol}"):
            found.add(_route(family, item))
    return found


def _route(family: str, item: dict[str, Any]) -> Route:
    kind = ROUTE_TYPES[item["type"]]
    destination = item["dst"]
    if destination == "default":
        destination = EVERYTHING[family]
    elif "/" not in destination:
        destination += "/" + FULL_LENGTH[family]
    return Route(
        family=family,
        table=int(item["table"]),
        destination=destination,
        metric=item.get("metric", 0),
        type=kind,
        gateway=item.get("gateway", ""),
        interface=item.get("dev", "") if kind == "unicast" else "",
        onlink="onlink" in item["flags"],
        source=item.get("prefsrc", ""),
    )


def rules(namespace: Namespace, protocol: int = 77) -> set[Rule]:
    """Return the rules of one protocol number, of both families."""
    found = set()
    for family, options in OPTIONS.items():
        for item in namespace.ip_json(f"{options} rule show"):
            if item["protocol"] == str(protocol):
                found.add(_rule(family, item))
    return found


def _rule(family: str, item: dict[str, Any]) -> Rule:
    mask = int(item.get("fwmask", "0xffffffff" if "fwmark" in item else "0"), 0)
    action = RULE_ACTIONS.get(item.get("action", ""), "lookup")
    action = "goto" if "goto" in item else "nop" if "nop" in item else action
    return Rule(
        family=family,
        priority=item["priority"],
        action=action,
        table=int(item.get("table", 0)),
        goto=item.get("goto", 0),
        source=_network(family, item, "src"),
        destination=_network(family, item, "dst"),
        iif=item.get("iif", ""),
        oif=item.get("oif", ""),
        fwmark=int(item.get("fwmark", "0"), 0),
        fwmask=mask,
        invert="not" in item,
        suppress_prefixlength=item.get("suppress_prefixlen", -1),
    )


def _network(family: str, item: dict[str, Any], key: str) -> str:
    address = item.get(key, "all")
    return "" if address == "all" else f"{address}/{item.get(key + 'len', FULL_LENGTH[family])}"


def addresses(namespace: Namespace) -> dict[Address, dict[str, Any]]:
    """Return the addresses of all links, with what else ``ip`` prints about each."""
    return {
        Address(link["ifname"], f"{one['local']}/{one['prefixlen']}"): one
        for link in namespace.ip_json("address show")
        for one in link["addr_info"]
    }


_READERS: dict[type, Callable[[Namespace], Iterable[StateObject]]] = {Address: addresses, Route: routes, Rule: rules}


def objects(namespace: Namespace, kind: type) -> set[StateObject]:
    """Return all addresses, or the managed routes or rules."""
    return set(_READERS[kind](namespace))


def everything(namespace: Namespace) -> list[Any]:
    """Return all links, addresses, routes and rules as ``ip -json`` prints them."""
    lines = [f"{options} {what}" for options in OPTIONS.values() for what in ("route show table all", "rule show")]
    return [namespace.ip_json(line) for line in ("address show", *lines)]
