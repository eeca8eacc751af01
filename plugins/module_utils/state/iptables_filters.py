# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains that check the sources of packets in the output of ``iptables-save``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .family import IPV6
from .iptables_rule import split_rule
from .packet_filter import (
    ACCEPT,
    DROP,
    GOTO,
    ICMP_TYPE,
    JUMP,
    LINK,
    MANGLE,
    MARK,
    PREROUTING,
    PROTOCOL,
    RETURN,
    Condition,
    FilterChain,
    FilterRule,
    SourceCheck,
)

#: Where the match ``rpfilter`` is allowed, with the priority of PREROUTING (rpfilter_check, net/ipv4/netfilter/ipt_rpfilter.c).
PRIORITIES = {"raw": -300, "mangle": MANGLE}
_VERDICTS = {"ACCEPT": ACCEPT, "DROP": DROP, "REJECT": DROP, "RETURN": RETURN}
_NEUTRAL = ("LOG", "NFLOG", "MARK", "CONNMARK", "TRACE", "CT", "NOTRACK", "TCPMSS", "TOS", "DSCP", "TTL", "HL", "SET")
_PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58, "ipv6-icmp": 58}
_RPFILTER = ("--loose", "--validmark", "--accept-local", "--invert")


def filter_chains(lines: Iterable[tuple[str, str]], family: str) -> tuple[FilterChain, ...]:
    """Return the chains of legacy tables.

    :param lines: table and line of each foreign rule (``-A ...``), in order.
    """
    rules: dict[tuple[str, str], list[FilterRule]] = {}
    for table, line in lines:
        words = split_rule(line)
        rules.setdefault((table, words[1]), []).append(filter_rule(words[2:]))
    return tuple(
        FilterChain(
            "ip6" if family == IPV6 else "ip",
            table,
            name,
            tuple(found),
            PREROUTING if name == "PREROUTING" else "",
            PRIORITIES[table],
            program="iptables-legacy",
        )
        for (table, name), found in rules.items()
        if table in PRIORITIES
    )


def filter_rule(words: Sequence[str]) -> FilterRule:
    """Return what a rule does.

    :param words: as ``iptables-save`` prints them after the name of the chain, without quotes.
    """
    tests: list[Condition] = []
    check: SourceCheck | None = None
    verdict = target = ""
    uncertain = False
    for option, argument, negated in _options(words):
        if option == "-i":
            tests.append(
                Condition(LINK, frozenset({f"{argument[:-1]}*" if argument.endswith("+") else argument}), negated)
            )
        elif option == "-p" and argument in _PROTOCOLS:
            tests.append(Condition(PROTOCOL, frozenset({_PROTOCOLS[argument]}), negated))
        elif option == "--icmpv6-type" and argument.isdigit():
            tests.append(Condition(ICMP_TYPE, frozenset({int(argument)}), negated))
        elif option == "--mark":
            value, _slash, mask = argument.partition("/")
            tests.append(Condition(MARK, frozenset({(int(value, 0), int(mask or "0xffffffff", 0))}), negated))
        elif option == "-m" and argument == "rpfilter":
            flags = [word for word in words if word in _RPFILTER]
            strict = "--loose" not in flags
            check = SourceCheck("--validmark" in flags, strict, "--invert" in flags, bound=strict)
        elif option in ("-j", "-g"):
            verdict = _VERDICTS.get(argument, "" if argument in _NEUTRAL else JUMP if option == "-j" else GOTO)
            target = argument if verdict in (JUMP, GOTO) else ""
        elif not (option in _RPFILTER or option == "--comment" or (option == "-m" and argument in _HARMLESS)):
            uncertain = uncertain or not verdict  # what follows the target is its own
    return FilterRule(" ".join(words), verdict, target, tuple(tests), check, uncertain)


_HARMLESS = ("comment", "mark", "icmp6", "rpfilter", "tcp", "udp")


def _options(words: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    """Yield each option with its first argument, and whether it is negated."""
    for position, word in enumerate(words):
        if word.startswith("-") and not (position and words[position - 1] == "--comment"):
            argument = words[position + 1] if position + 1 < len(words) else ""
            yield word, argument, bool(position) and words[position - 1] == "!"
