# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parses links, routes, rules and chains for the modules for one kind of object."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

from ..errors import InputError
from ..state import Chain, Link, Route, Rule
from ..state.chain import BUILT_IN, NAME_LENGTH
from ..state.family import FAMILIES, FAMILY_NAMES, IPV4, everything, family_of, full_length
from ..state.iptables_rule import has_open_quote
from ..state.link import KINDS
from ..state.route import MAIN_TABLE, TYPES
from ..state.rule import ACTIONS
from .argument_spec import Options, chain_options, link_options, route_options, rule_options
from .networks import Purpose, parse_address, parse_network, special_ranges_except
from .option_reader import ErrorCollector, OptionReader, open_options
from .values import (
    KERNEL_TABLES,
    LARGEST_TABLE,
    TableUse,
    printable,
    read_boolean,
    read_bounded,
    read_choice,
    read_entries,
    read_fwmark,
    read_interface_name,
    read_items,
    read_mtu,
    read_table,
    read_text,
    read_vlan_id,
)

Parsed = TypeVar("Parsed", Link, Route, Rule, Chain)

#: The word for the network of all addresses of a family.
_DEFAULT = "default"
_WORDS_FOR_DEFAULT = (_DEFAULT, "all")

# These modules are not only for pools, so whatever the kernel accepts is allowed.
_DESTINATION = Purpose("Give a network as address/length, or default.", special_ranges_except(), shortest_length=0)
_SELECTOR = Purpose("Give a network as address/length, or leave it out.", special_ranges_except(), shortest_length=0)
_GATEWAY = Purpose("Give the address of the next hop, or leave it out.", special_ranges_except("unspecified"))
_SOURCE = Purpose("Give an address of the node, or leave it out.", special_ranges_except("unspecified"))

_ROUTE_TABLE = TableUse(f"Give a number from 1 to {LARGEST_TABLE} except 255, or main or default.", KERNEL_TABLES)
_RULE_TABLE = TableUse(f"Give a number from 1 to {LARGEST_TABLE}, or main, default or local.", {0: KERNEL_TABLES[0]})

_LARGEST_NUMBER = 0xFFFFFFFF  # metrics and priorities are 32 bits wide
_LAST_PRIORITY = 32765  # before the kernel's own rules for main and default
_METRIC_REMEDY = "Give a number, or leave it out for the kernel's default."
_PRIORITY_REMEDY = f"Give a number from 1 to {_LAST_PRIORITY}."
_GOTO_REMEDY = "Give the priority of a rule after this one."
_LENGTH_REMEDY = "Give a prefix length in bits, or leave it out."
_CHAIN_NAME = re.compile(rf"[A-Za-z0-9._:-]{{1,{NAME_LENGTH}}}")


def parse_links(entries: Any) -> tuple[Link, ...]:
    """Return the links that the option ``links`` describes.

    :raises InputErrors: everything that is wrong, each error with its path.
    """
    return _parse_all("links", entries, link_options(), _read_link)


def parse_routes(entries: Any) -> tuple[Route, ...]:
    """Return the routes that the option ``routes`` describes.

    :raises InputErrors: everything that is wrong, each error with its path.
    """
    return _parse_all("routes", entries, route_options(), _read_route)


def parse_rules(entries: Any) -> tuple[Rule, ...]:
    """Return the rules that the option ``rules`` describes.

    :raises InputErrors: everything that is wrong, each error with its path.
    """
    return _parse_all("rules", entries, rule_options(), _read_rule)


def parse_chains(entries: Any, prefix: str) -> tuple[Chain, ...]:
    """Return the chains that the option ``chains`` describes; their rules are not in canonical form yet.

    :param prefix: with which each name must begin.
    :raises InputErrors: everything that is wrong, each error with its path.
    """
    return _parse_all("chains", entries, chain_options(), lambda options: _read_chain(options, prefix))


def _parse_all(name: str, entries: Any, spec: Options, read: Callable[[OptionReader], Parsed]) -> tuple[Parsed, ...]:
    """Read each entry of an option, and refuse two that have the same key and differ."""
    errors = ErrorCollector()
    parsed: list[Parsed] = []
    first: dict[Hashable, tuple[str, Parsed]] = {}
    names = frozenset(spec)
    nothing: list[tuple[str, Any]] = []
    for path, entry in errors.read(nothing, read_entries, name, entries):
        before = len(errors)
        options = open_options(errors, path, entry, names)
        if options is None:
            continue
        item = read(options)
        if len(errors) > before:
            continue
        parsed.append(item)
        earlier, other = first.setdefault(item.key, (path, item))
        if other != item:
            errors.add(path, f"{item} contradicts {earlier} ({other})", "Declare only one of them.")
    errors.raise_if_any()
    return tuple(parsed)


def _read_link(options: OptionReader) -> Link:
    name = options.read("name", "", read_interface_name)
    options.require("name", name, "the link's name is missing", "Give name.")
    kind = options.read("kind", "vlan", read_choice, KINDS)
    parent = options.read("parent", "", read_interface_name)
    vlan_id = options.read("vlan_id", 0, read_vlan_id if kind == "vlan" else _read_vlan_id_or_none)
    mtu = options.read("mtu", 0, read_mtu)
    link = Link(name, kind, parent, vlan_id, mtu, options.read("up", True, read_boolean))
    if options.is_valid("kind"):
        _check_kind(options, link)
    return link


def _read_vlan_id_or_none(path: str, value: Any) -> int:
    """Return a VLAN ID, or the 0 that ``routing_info`` reports for a link without one."""
    return 0 if str(value) == "0" else read_vlan_id(path, value)


def _check_kind(options: OptionReader, link: Link) -> None:
    """Refuse options of a link that do not go with its kind."""
    if link.kind != "dummy":
        options.require(
            "parent", link.parent, f"a {link.kind} link needs a parent", "Give the name of the link below it."
        )
    elif link.parent:
        options.refuse("parent", "a dummy link has no parent", "Leave parent out.")
    if link.kind == "vlan":
        options.require("vlan_id", link.vlan_id, "a vlan link needs a VLAN ID", "Give vlan_id, 1 to 4094.")
    elif link.vlan_id:
        options.refuse("vlan_id", f"a {link.kind} link has no VLAN ID", "Leave vlan_id out, or use kind vlan.")


def _read_route(options: OptionReader) -> Route:
    destination = options.read("destination", "", _read_network, _DESTINATION)
    options.require("destination", destination, "the route's destination is missing", _DESTINATION.remedy)
    gateway = options.read("gateway", "", _read_address, _GATEWAY)
    source = options.read("source", "", _read_address, _SOURCE)
    family = _read_family(options, {"destination": destination, "gateway": gateway, "source": source})
    route = Route(
        family=family,
        table=options.read("table", MAIN_TABLE, read_table, _ROUTE_TABLE),
        destination=everything(family) if destination == _DEFAULT else destination,
        metric=options.read("metric", 0, read_bounded, 0, _LARGEST_NUMBER, _METRIC_REMEDY),
        type=options.read("type", "unicast", read_choice, TYPES),
        gateway=gateway,
        interface=options.read("interface", "", read_interface_name),
        onlink=options.read("onlink", False, read_boolean),
        source=source,
    )
    if options.is_valid("type"):
        _check_type(options, route)
    return route


def _check_type(options: OptionReader, route: Route) -> None:
    """Refuse options of a route that do not go with its type."""
    if route.type == "unicast":
        remedy = "Give the link that packets leave through, or another type."
        options.require("interface", route.interface, "a unicast route needs an interface", remedy)
    elif route.interface or route.gateway:
        options.refuse("type", f"a route of type {route.type} has no next hop", "Leave interface and gateway out.")


def _read_rule(options: OptionReader) -> Rule:
    priority = options.read("priority", 0, _read_priority)
    options.require("priority", priority, "the rule's priority is missing", _PRIORITY_REMEDY)
    action = options.read("action", "lookup", read_choice, ACTIONS)
    source = options.read("source", "", _read_network, _SELECTOR)
    destination = options.read("destination", "", _read_network, _SELECTOR)
    family = _read_family(options, {"source": source, "destination": destination})
    every = ("", _DEFAULT, everything(family))
    fwmark, fwmask = options.read("fwmark", (0, 0), read_fwmark)
    rule = Rule(
        family=family,
        priority=priority,
        action=action,
        table=options.read("table", 0, read_table, _RULE_TABLE),
        goto=options.read("goto", 0, read_bounded, 0, _LARGEST_NUMBER, _GOTO_REMEDY),
        source="" if source in every else source,
        destination="" if destination in every else destination,
        iif=options.read("iif", "", read_interface_name, "lo"),
        oif=options.read("oif", "", read_interface_name, "lo"),
        fwmark=fwmark,
        fwmask=fwmask,
        invert=options.read("invert", False, read_boolean),
        suppress_prefixlength=options.read(
            "suppress_prefixlength", -1, read_bounded, 0, full_length(family), _LENGTH_REMEDY
        ),
    )
    if options.is_valid("action"):
        _check_action(options, rule)
    return rule


def _check_action(options: OptionReader, rule: Rule) -> None:
    """Refuse options of a rule that do not go with its action."""
    if rule.action == "lookup":
        options.require("table", rule.table, "action lookup needs a table", _RULE_TABLE.remedy)
    else:
        if rule.table:
            problem = f"action {rule.action} does not look up a table"
            options.refuse("table", problem, "Leave table out, or use action lookup.")
        if rule.suppress_prefixlength >= 0:
            problem = f"action {rule.action} does not find a route to suppress"
            options.refuse("suppress_prefixlength", problem, "Leave it out, or use action lookup.")
    if rule.action == "goto":
        options.require("goto", rule.goto, "action goto needs the priority of another rule", _GOTO_REMEDY)
        if 0 < rule.goto <= rule.priority:
            problem = f"{rule.goto} is not above the rule's own priority, {rule.priority}"
            options.refuse("goto", problem, _GOTO_REMEDY)
    elif rule.goto:
        problem = f"action {rule.action} does not jump to another rule"
        options.refuse("goto", problem, "Leave goto out, or use action goto.")


def _read_chain(options: OptionReader, prefix: str) -> Chain:
    name = options.read("name", "", _read_chain_name, prefix)
    options.require("name", name, "the chain's name is missing", "Give name.")
    table = options.read("table", "", read_choice, tuple(BUILT_IN))
    options.require("table", table, "the chain's table is missing", f"Give one of {', '.join(BUILT_IN)}.")
    return Chain(
        family=options.read("family", IPV4, read_choice, FAMILIES),
        table=table,
        name=name,
        rules=options.read_nested("rules", (), _read_chain_rules),
        hook=options.read("hook", "", _read_hook, table) if table else "",
    )


def _read_family(options: OptionReader, addresses: Mapping[str, str]) -> str:
    """Return the option ``family``, or else the family of the addresses; all must agree.

    :param addresses: address or network by option; ``""`` or :data:`_DEFAULT` if it has no family.
    """
    families = {name: family_of(text) for name, text in addresses.items() if text not in ("", _DEFAULT)}
    first = next(iter(families), "")
    declared = options.read("family", "", read_choice, FAMILIES)
    family = declared or families.get(first, IPV4)
    reference = "family" if declared else first
    for name, other in families.items():
        if other == family:
            continue
        problem = f"{addresses[name]} is {FAMILY_NAMES[other]}, but {reference} is {FAMILY_NAMES[family]}"
        options.refuse(name, problem, "Give addresses of one family, and leave family out.")
    return family


def _read_network(path: str, value: Any, purpose: Purpose) -> str:
    """Return a network in canonical form, or :data:`_DEFAULT`."""
    text = read_text(path, value).strip()
    return _DEFAULT if text in _WORDS_FOR_DEFAULT else parse_network(path, text, purpose).text


def _read_address(path: str, value: Any, purpose: Purpose) -> str:
    return parse_address(path, value, purpose).text


def _read_priority(path: str, value: Any) -> int:
    priority = read_bounded(path, value, 0, _LAST_PRIORITY, _PRIORITY_REMEDY)
    if priority == 0:
        raise InputError(path, "0 is the priority of the kernel's rule for the local table", _PRIORITY_REMEDY)
    return priority


def _read_chain_name(path: str, value: Any, prefix: str) -> str:
    name = read_text(path, value)
    if not _CHAIN_NAME.fullmatch(name):
        remedy = f"Use at most {NAME_LENGTH} characters: letters, digits, . _ : and -."
        raise InputError(path, f"{printable(name)} is not a valid chain name", remedy)
    if not name.startswith(prefix):
        problem = f"{name} does not begin with {prefix}, the prefix of managed chains"
        raise InputError(path, problem, f"Use a name such as {prefix}{name}.")
    return name


def _read_hook(path: str, value: Any, table: str) -> str:
    hook = read_text(path, value)
    if hook not in BUILT_IN[table]:
        problem = f"table {table} has no built-in chain {printable(hook)}"
        raise InputError(path, problem, f"Use one of {', '.join(BUILT_IN[table])}, or another table.")
    return hook


def _read_chain_rules(errors: ErrorCollector, path: str, value: Any) -> tuple[str, ...]:
    nothing: list[tuple[str, Any]] = []
    items = errors.read(nothing, lambda: read_items(path, value, skip_unset=False))
    return tuple(errors.read("", _read_chain_rule, item_path, item) for item_path, item in items)


def _read_chain_rule(path: str, value: Any) -> str:
    rule = read_text(path, value).strip()
    if not rule or not rule.isprintable():
        raise InputError(path, f"{printable(rule)} is not one line of text", "Give one list entry per rule.")
    if has_open_quote(rule):
        problem = f"{printable(rule)} has a quote that is not closed"
        raise InputError(path, problem, 'Close it with ", or write \\" for a quote inside a quoted text.')
    return rule
