# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links, routes, rules and chains as the options of their modules give them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

from ..errors import InputError, InputErrors
from ..state import Chain, Link, Route, Rule
from ..state.chain import BUILT_IN, NAME_LENGTH
from ..state.family import IPV4, canonical_network, everything, family_of, full_length
from ..state.route import MAIN_TABLE
from .values import read_interface_name

TABLE_NAMES = {"main": MAIN_TABLE, "default": 253, "local": 255}
LARGEST_NUMBER = 4294967295  # tables, metrics, priorities and marks are 32 bits wide
Parsed = TypeVar("Parsed", Link, Route, Rule, Chain)
Options = Mapping[str, Any]


def parse_links(entries: Sequence[Options]) -> tuple[Link, ...]:
    """Return the links that the option ``links`` describes.

    :raises InputErrors: everything that is wrong, each with its path.
    """
    return _parse_all("links", entries, _link)


def parse_routes(entries: Sequence[Options]) -> tuple[Route, ...]:
    """Return the routes that the option ``routes`` describes.

    :raises InputErrors: everything that is wrong, each with its path.
    """
    return _parse_all("routes", entries, _route)


def parse_rules(entries: Sequence[Options]) -> tuple[Rule, ...]:
    """Return the rules that the option ``rules`` describes.

    :raises InputErrors: everything that is wrong, each with its path.
    """
    return _parse_all("rules", entries, _rule)


def parse_chains(entries: Sequence[Options], prefix: str) -> tuple[Chain, ...]:
    """Return the chains that the option ``chains`` describes; their rules are not yet in canonical form.

    :param prefix: with which each name must begin.
    :raises InputErrors: everything that is wrong, each with its path.
    """
    return _parse_all("chains", entries, lambda options, path: _chain(options, path, prefix))


def _parse_all(name: str, entries: Sequence[Options], parse: Callable[[Options, str], Parsed]) -> tuple[Parsed, ...]:
    """Parse each entry of an option, and refuse two that have one key and differ."""
    parsed: list[Parsed] = []
    errors: list[InputError] = []
    first: dict[Hashable, tuple[int, Parsed]] = {}
    for number, entry in enumerate(entries):
        path = f"{name}[{number}]"
        try:
            item = parse(entry, path)
        except InputError as error:
            errors.append(error)
            continue
        parsed.append(item)
        earlier, other = first.setdefault(item.key, (number, item))
        if other != item:
            errors.append(InputError(path, f"{item} contradicts {name}[{earlier}], {other}", "Declare one of them."))
    if errors:
        raise InputErrors(tuple(errors))
    return tuple(parsed)


def _link(options: Options, path: str) -> Link:
    """Return the link that one entry of ``links`` describes."""
    kind = options["kind"]
    name = read_interface_name(f"{path}.name", options["name"])
    if kind != "dummy" and not options.get("parent"):
        raise InputError(f"{path}.parent", f"a {kind} needs a link below it", "Name it.")
    if kind == "dummy" and options.get("parent"):
        raise InputError(f"{path}.parent", "a dummy has no link below it", "Leave parent out.")
    vlan_id = _number(options.get("vlan_id"), f"{path}.vlan_id", 4094)
    if (kind == "vlan") != bool(vlan_id):
        raise InputError(
            f"{path}.vlan_id",
            f"{vlan_id} does not go with kind {kind}",
            "A vlan, and only a vlan, has an id of 1-4094.",
        )
    parent = read_interface_name(f"{path}.parent", options["parent"]) if options.get("parent") else ""
    return Link(name, kind, parent, vlan_id, _number(options.get("mtu"), f"{path}.mtu", 65535), bool(options["up"]))


def _route(options: Options, path: str) -> Route:
    """Return the route that one entry of ``routes`` describes."""
    family = _family(options, ("destination", "gateway", "source"))
    destination = _network(options["destination"], f"{path}.destination", family)
    if family_of(destination) != family:
        raise InputError(
            f"{path}.family", f"{destination} is not {family}", 'Leave family out; it is only needed for "default".'
        )
    kind = options["type"]
    interface = options.get("interface") or ""
    gateway = _address(options.get("gateway"), f"{path}.gateway", family)
    if kind == "unicast" and not interface:
        raise InputError(
            f"{path}.interface", "a unicast route needs the link it leaves by", "Name it, or give another type."
        )
    if kind != "unicast" and (interface or gateway):
        raise InputError(f"{path}.type", f"a route of type {kind} goes nowhere", "Leave interface and gateway out.")
    table = _table(options.get("table") or "main", f"{path}.table")
    if table == TABLE_NAMES["local"]:
        raise InputError(
            f"{path}.table", "the table local is the kernel's own, whose routes are not read", "Take another one."
        )
    return Route(
        family=family,
        table=table,
        destination=destination,
        metric=_number(options.get("metric"), f"{path}.metric", LARGEST_NUMBER),
        type=kind,
        gateway=gateway,
        interface=read_interface_name(f"{path}.interface", interface) if interface else "",
        onlink=bool(options.get("onlink")),
        source=_address(options.get("source"), f"{path}.source", family),
    )


def _rule(options: Options, path: str) -> Rule:
    """Return the rule that one entry of ``rules`` describes."""
    family = _family(options, ("source", "destination"))
    action = options["action"]
    table = _table(options["table"], f"{path}.table") if options.get("table") else 0
    goto = _number(options.get("goto"), f"{path}.goto", LARGEST_NUMBER)
    priority = _number(options["priority"], f"{path}.priority", 32765)
    if not priority:
        raise InputError(f"{path}.priority", "0 is the priority of the kernel's own first rule", "Give 1 to 32765.")
    if (action == "lookup") != bool(table):
        raise InputError(
            f"{path}.table",
            f"action {action} and table {table or 'none'} do not go together",
            "Give a table with lookup, and with no other action.",
        )
    if (action == "goto") != bool(goto) or (goto and goto <= priority):
        raise InputError(
            f"{path}.goto",
            f"action {action} with goto {goto or 'none'}",
            "Give goto a priority above its own, and no other action one.",
        )
    fwmark, fwmask = _mark(options.get("fwmark"), f"{path}.fwmark")
    return Rule(
        family=family,
        priority=priority,
        action=action,
        table=table,
        goto=goto,
        source=_selector(options.get("source"), f"{path}.source", family),
        destination=_selector(options.get("destination"), f"{path}.destination", family),
        iif=_interface(options.get("iif"), f"{path}.iif"),
        oif=_interface(options.get("oif"), f"{path}.oif"),
        fwmark=fwmark,
        fwmask=fwmask,
        invert=bool(options.get("invert")),
        suppress_prefixlength=_prefix_length(options, path, family),
    )


def _chain(options: Options, path: str, prefix: str) -> Chain:
    """Return the chain that one entry of ``chains`` describes; its rules are not yet in canonical form."""
    name, table, hook = options["name"], options["table"], options.get("hook") or ""
    if not re.fullmatch(r"[A-Za-z0-9._:-]+", name) or len(name) > NAME_LENGTH:
        raise InputError(
            f"{path}.name",
            f"{name!r} is not a chain's name",
            f"Use at most {NAME_LENGTH} letters, digits, and . _ : - in it.",
        )
    if not name.startswith(prefix):
        raise InputError(
            f"{path}.name", f"{name} does not begin with {prefix}, by which our chains are known", "Name it so."
        )
    if hook and hook not in BUILT_IN[table]:
        raise InputError(
            f"{path}.hook",
            f"table {table} has no built-in chain {hook}",
            f"Take one of {', '.join(BUILT_IN[table])}, or another table.",
        )
    for number, text in enumerate(options["rules"]):
        if not text.strip().isprintable() or not text.strip():
            raise InputError(f"{path}.rules[{number}]", "a rule is one line", "Give one list entry per rule.")
    return Chain(options["family"], table, name, tuple(text.strip() for text in options["rules"]), hook)


def _family(options: Options, names: Sequence[str]) -> str:
    given = (options.get(name) for name in names)
    addresses = [text for text in given if text and text not in ("default", "all")]
    return options.get("family") or (family_of(addresses[0]) if addresses else IPV4)


def _network(text: str, path: str, family: str) -> str:
    try:
        return canonical_network(text, family)
    except ValueError as error:
        raise InputError(
            path, str(error), "Give a network as address/length, without bits set behind the length."
        ) from error


def _selector(text: str | None, path: str, family: str) -> str:
    network = _network(text or "", path, family)
    if network and family_of(network) != family:
        raise InputError(path, f"{network} is not {family}", "Source and destination of a rule are of one family.")
    return "" if network == everything(family) else network


def _address(text: str | None, path: str, family: str) -> str:
    if not text:
        return ""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError as error:
        raise InputError(path, str(error), "Give a single address.") from error
    address = str(parsed)
    if parsed.is_unspecified:
        raise InputError(path, f"{address} is no host's address, the kernel takes it for none", "Leave it out.")
    if family_of(address) != family:
        raise InputError(
            path, f"{address} is not {family}, as the destination is", "Give an address of the same family."
        )
    return address


def _interface(name: str | None, path: str) -> str:
    """Return the interface of a rule, where ``lo`` stands for the node itself."""
    return name if name == "lo" else read_interface_name(path, name) if name else ""


def _prefix_length(options: Options, path: str, family: str) -> int:
    """Return the prefix length up to which results are refused, -1 for none."""
    length = options.get("suppress_prefixlength")
    if length is None:
        return -1
    if options["action"] != "lookup":
        raise InputError(
            f"{path}.suppress_prefixlength", f"action {options['action']} finds no result", "Give it with lookup only."
        )
    return _number(length, f"{path}.suppress_prefixlength", full_length(family))


def _table(text: str, path: str) -> int:
    if text in TABLE_NAMES:
        return TABLE_NAMES[text]
    number = _number(text, path, LARGEST_NUMBER)
    if not number:
        raise InputError(path, "0 is no table", "Give a number from 1, or main.")
    return number


def _number(value: str | int | None, path: str, largest: int) -> int:
    try:
        number = int(str(value), 0) if value not in (None, "") else 0
    except ValueError as error:
        raise InputError(path, f"{value!r} is not a number", f"Give a number up to {largest}.") from error
    if not 0 <= number <= largest:
        raise InputError(path, f"{number} is out of range", f"Give a number up to {largest}.")
    return number


def _mark(text: str | None, path: str) -> tuple[int, int]:
    """Return value and mask; a mark without a mask is compared whole, as ``ip rule`` does."""
    if not text:
        return 0, 0
    value, _slash, mask = text.partition("/")
    number = _number(value, path, LARGEST_NUMBER)
    under = _number(mask, path, LARGEST_NUMBER) if mask else LARGEST_NUMBER
    if number & ~under or not under:
        raise InputError(
            path,
            f"{text} has bits outside its mask, so it can never match",
            "Give value/mask with the value inside the mask.",
        )
    return number, under
