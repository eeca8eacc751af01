# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of a user: how iptables prints them, which it rejects, and that the check leaves the node unchanged."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.chains import compile_chains
from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.context import Context
from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.model import (
    CompiledGroup,
    ConnmarkRule,
    GuardRule,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.model import Cluster, Declaration
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError, NodeError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.iptables.scratch import normalise
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Chain, ChainSet, Node
from tests.kernel.iptables.world import OWNERSHIP, STEMS, chain, chains, load, rules_of, saved, write
from tests.support.namespace import Namespace

#: family, table, rule as a person would write it
RULES = [
    ("ipv4", "mangle", "-j MARK --set-mark 2"),
    ("ipv4", "mangle", "-j MARK --set-mark 0x100/0x1f00"),
    ("ipv4", "mangle", "-j MARK --or-mark 4"),
    ("ipv4", "mangle", "-j MARK --and-mark 0xff"),
    ("ipv4", "mangle", "-j CONNMARK --save-mark"),
    ("ipv4", "mangle", "-j CONNMARK --restore-mark --mask 0x1f00"),
    ("ipv4", "mangle", "-j CONNMARK --set-mark 7"),
    ("ipv4", "mangle", "-i eth0 -s 10.0.0.0/255.0.0.0 -j RETURN"),
    ("ipv4", "mangle", "-s 10.1.2.3/8 -j RETURN"),
    ("ipv4", "mangle", "! --in-interface eth+ --destination 1.2.3.4 --jump ACCEPT"),
    ("ipv4", "mangle", "-s 1.2.3.4,5.6.7.8 -j ACCEPT"),
    ("ipv4", "mangle", "-p TCP --dport http -j ACCEPT"),
    ("ipv4", "mangle", "-p udp -m multiport --dports 53,67:68 -j ACCEPT"),
    ("ipv4", "mangle", "-m conntrack --ctstate ESTABLISHED,NEW -j ACCEPT"),
    ("ipv4", "mangle", "-m conntrack --ctdir reply -m connmark --mark 256/7936 -j RETURN"),
    ("ipv4", "mangle", "-m conntrack --ctorigdst 1.2.3.0/24 -j RETURN"),
    ("ipv4", "mangle", "-m comment --comment 'x' -j ACCEPT"),
    ("ipv4", "mangle", '-m comment --comment "two words" -j ACCEPT'),
    ("ipv4", "mangle", r'-m comment --comment "a \"b\" it\'s \\ $HOME -j DROP" -j ACCEPT'),
    ("ipv4", "mangle", "-m limit --limit 3/s --limit-burst 5 -j ACCEPT"),
    ("ipv4", "mangle", "-m addrtype --dst-type LOCAL -j RETURN"),
    ("ipv4", "mangle", "-p icmp --icmp-type ping -j ACCEPT"),
    ("ipv4", "mangle", "-m statistic --mode nth --every 2 --packet 0 -j RETURN"),
    ("ipv4", "mangle", "-j TOS --set-tos Minimize-Delay"),
    ("ipv4", "mangle", "-p tcp --syn -j TCPMSS --clamp-mss-to-pmtu"),
    ("ipv4", "raw", "-m rpfilter --invert -j DROP"),
    ("ipv4", "raw", "-j CT --notrack"),
    ("ipv4", "nat", "-p tcp --dport 80 -j DNAT --to 10.0.0.1:8080"),
    ("ipv4", "filter", "-p tcp -j REJECT --reject-with tcp-reset"),
    ("ipv4", "filter", '-j LOG --log-prefix "seen "'),
    ("ipv4", "mangle", ""),
    ("ipv6", "mangle", "-s FD00:0:0::1 -j RETURN"),
    ("ipv6", "raw", "-p icmpv6 --icmpv6-type router-advertisement -j RETURN"),
    ("ipv6", "filter", "-p tcp -j REJECT"),
]


def normalised(namespace: Namespace, variant: str, *members: Chain, current: tuple[ChainSet, ...] = ()) -> list[Chain]:
    return list(namespace.call(normalise, members, variant, current, OWNERSHIP))


def error_of(function: Callable[..., Any], *arguments: Any) -> tuple[str, str]:
    """Return the path and the text of the error: the error itself cannot be pickled."""
    try:
        function(*arguments)
    except InputError as error:
        return error.path, str(error)
    except NodeError as error:
        return "", str(error)
    raise AssertionError("it must fail")


def refused(namespace: Namespace, variant: str, *members: Chain) -> tuple[str, str]:
    return namespace.call(error_of, normalise, members, variant, (), OWNERSHIP)


@pytest.mark.parametrize(("family", "table", "rule"), RULES)
def test_rules_are_as_iptables_prints_them(
    namespace: Namespace, variant: str, family: str, table: str, rule: str
) -> None:
    (once,) = normalised(namespace, variant, chain("A", rule, table=table, family=family))
    assert saved(namespace, variant, family) == [], "nothing was loaded where it was called"
    load(namespace, variant, family, f"*{table}\n:HOMEWARD-A - [0:0]\n-A HOMEWARD-A {rule}\nCOMMIT\n")
    printed = rules_of(namespace, variant, family, table, "HOMEWARD-A")
    assert printed, "iptables has the rule"
    assert list(once.rules) == printed
    assert normalised(namespace, variant, once) == [once]


def test_the_rest_of_a_chain_and_the_order_remain(namespace: Namespace, variant: str) -> None:
    given = (
        chain("B", "-j HOMEWARD-A", hook="PREROUTING"),
        chain("A", "-s 1.2.3.4", "-j ACCEPT", "-s 1.2.3.4", table="mangle"),
        chain("C", table="raw", hook="OUTPUT", family="ipv6"),
    )
    assert normalised(namespace, variant, *given) == [
        given[0],
        chain("A", "-s 1.2.3.4/32", "-j ACCEPT", "-s 1.2.3.4/32"),
        given[2],
    ]


def test_loads_nothing_where_the_node_has_the_rules(namespace: Namespace, variant: str) -> None:
    """A rule that iptables would reject shows that it was not run."""
    known = chain("A", "-j ONLY-FOUND-HERE")
    assert normalised(namespace, variant, known, current=(chains(variant, known),)) == [known]
    other_table = chain("A", "-j ONLY-FOUND-HERE", table="raw")
    assert namespace.call(error_of, normalise, (known,), variant, (chains(variant, other_table),), OWNERSHIP)[0]


def test_rules_may_jump_to_foreign_and_managed_chains(namespace: Namespace, variant: str) -> None:
    load(namespace, variant, "ipv4", "*mangle\n:KUBE-OTHER - [0:0]\n:MARKED - [0:0]\nCOMMIT\n")
    there = chains(variant, chain("THERE", "-j RETURN"))
    write(namespace, chains(variant), there)
    member = chain("A", "-g KUBE-OTHER", "-j MARKED", "-g HOMEWARD-THERE", "-s 1.2.3.4 -j HOMEWARD-B")
    got = normalised(namespace, variant, member, chain("B"), current=(there,))
    assert got[0].rules == (*member.rules[:3], "-s 1.2.3.4/32 -j HOMEWARD-B")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("-j NO-SUCH-CHAIN", "NO-SUCH-CHAIN"),
        ("-g NO-SUCH-CHAIN", "NO-SUCH-CHAIN"),
        ("-m nosuchmatch -j ACCEPT", "nosuchmatch"),
        ("--frobnicate -j ACCEPT", "frobnicate"),
        ("-m conntrack --ctdir SIDEWAYS", "SIDEWAYS"),
        ("-s 1.2.3.400 -j ACCEPT", "1.2.3.400"),
        ("-s fd00::/64 -j ACCEPT", "fd00::"),
        ("-j LOG --log-prefix 'seen '", "double quotes"),
        ("-j MASQUERADE", "rejects"),
        ("-j ACCEPT -A OUTPUT", "-A"),
        ("-j ACCEPT -t nat", "-t"),
        ("-j ACCEPT\n-A OUTPUT -j DROP", "one line"),
    ],
)
def test_a_rule_that_iptables_rejects_is_refused(namespace: Namespace, variant: str, rule: str, words: str) -> None:
    good = chain("A", "-j HOMEWARD-B", hook="PREROUTING")
    path, text = refused(namespace, variant, good, chain("B", "-j ACCEPT", rule, hook="PREROUTING"))
    assert path == "chains[1].rules[1]"
    assert words in text
    assert saved(namespace, variant) == []


@pytest.mark.parametrize("rule", ["-m set --match-set home src -j DROP", "-j SET --add-set home src"])
def test_a_rule_with_an_ipset_is_refused(namespace: Namespace, variant: str, rule: str) -> None:
    path, text = refused(namespace, variant, chain("A", rule))
    assert path == "chains[0].rules[0]"
    assert "Set home doesn't exist. The rule is: " in text
    assert "which has none of the node's ipsets" in text


def test_a_loop_is_refused_if_iptables_rejects_it(namespace: Namespace) -> None:
    """Only the legacy variant looks for loops; nft accepts these chains."""
    members = (chain("A", "-j HOMEWARD-B", hook="PREROUTING"), chain("B", "-j HOMEWARD-A"))
    path, text = refused(namespace, "legacy", *members)
    assert path == "chains"
    assert "loop" in text


def test_a_rule_that_its_hook_does_not_allow_is_refused(namespace: Namespace) -> None:
    path, _text = refused(namespace, "legacy", chain("A", "-m owner --uid-owner 0 -j ACCEPT", hook="PREROUTING"))
    assert path == "chains[0].rules[0]"


def test_the_caller_names_the_rule(namespace: Namespace, variant: str) -> None:
    members = (chain("A", "-j NO-SUCH-CHAIN"),)
    path, _text = namespace.call(error_of, normalise, members, variant, (), OWNERSHIP, own_path)
    assert path == "list 0 item 0"


def own_path(number: int, rule: int) -> str:
    return f"list {number} item {rule}"


def test_the_missing_right_to_create_namespaces_is_named(namespace: Namespace, variant: str) -> None:
    path, text = namespace.call(error_of, without_rights, chain("A", "-j ACCEPT"), variant)
    assert path == ""
    assert "no network namespace could be created (unshare: Operation not permitted)" in text


def without_rights(member: Chain, variant: str) -> None:
    """Normalise as a user without rights, in a child process."""
    os.setgid(65534)
    os.setuid(65534)
    normalise((member,), variant, (), OWNERSHIP)


def recipe(variant: str) -> frozenset[ChainSet]:
    """Return all chains of the mark recipe and its guard, with every kind of rule."""
    networks = {"ipv4": ("1.2.3.0/24", "5.6.7.8/32"), "ipv6": ("fd00:1:2:3::/64",)}
    denied = {"ipv4": ("192.168.1.0/24",), "ipv6": ("fd00:192:168:1::/64",)}
    names = ["eth0.100", "vlan7", *(f"pool{number}" for number in range(6))]
    connmark_rules = tuple(
        ConnmarkRule(family, name, networks[family], 0x100 * (number + 1))
        for family in networks
        for number, name in enumerate(names)
    )
    guard_rules = tuple(
        GuardRule(family, name, networks[family], denied[family], bool(number % 2), number < 3)
        for family in networks
        for number, name in enumerate(names)
    )
    cluster = Cluster(("10.112.0.0/12", "fd00:112::/32"), ("10.96.0.0/12",), ("192.168.1.11", "fd00:192:168:1::11"))
    group = CompiledGroup(connmark_rules=connmark_rules, guard_rules=guard_rules)
    return compile_chains([group], Context(Declaration(cluster=cluster), Node(variant=variant)))


def test_the_recipe_is_written_as_iptables_prints_it(namespace: Namespace, variant: str) -> None:
    for desired in recipe(variant):
        write(namespace, ChainSet(*desired.key), desired)
        assert desired.chains, "the recipe has chains of both families"
        for member in desired.chains:
            printed = rules_of(namespace, variant, desired.family, member.table, member.name)
            assert printed == list(member.rules)


#: family, rule: each kind of rule that the recipe or its relatives need
CANONICAL = [
    (family, rule)
    for family, network in (("ipv4", "1.2.3.0/24"), ("ipv6", "fd00:1:2:3::/64"))
    for rule in (
        f"-d {network} -i eth0.100 -g HOMEWARD-B",
        f"-d {network} -i eth0.100 -m conntrack --ctdir ORIGINAL -j CONNMARK --set-xmark 0x100/0x1f00",
        f"-d {network} -g HOMEWARD-B",
        f"! -d {network} -i eth0.100 -j DROP",
        f"! -d {network} -j DROP",
        f"-s {network} -i eth0.100 -j DROP",
        f"-s {network} -d {network} -j DROP",
        "-i eth0.100 -j HOMEWARD-B",
        "-i eth+ -j HOMEWARD-B",
        "! -i eth+ -j RETURN",
        "-m conntrack --ctdir ORIGINAL -j CONNMARK --set-xmark 0x100/0x1f00",
        "-m conntrack --ctdir ORIGINAL -g HOMEWARD-B",
        "-j MARK --set-xmark 0x100/0x1f00",
        "-j MARK --set-xmark 0x0/0x1f00",
        "-m connmark --mark 0x100/0x1f00 -j MARK --set-xmark 0x100/0x1f00",
        "-m connmark ! --mark 0x0/0x1f00 -j CONNMARK --restore-mark --nfmask 0x1f00 --ctmask 0x1f00",
        "-m conntrack --ctdir REPLY -j CONNMARK --restore-mark --nfmask 0x1f00 --ctmask 0x1f00",
        "-m mark ! --mark 0x0/0x1f00 -j MARK --set-xmark 0x0/0x1f00",
        "-m mark --mark 0x0/0x1f00 -j RETURN",
        '-m comment --comment "homeward.metallb_routing" -j HOMEWARD-B',
        "-m comment --comment homeward -j HOMEWARD-B",
        "-m rpfilter --validmark --invert -j DROP",
        "-j RETURN",
    )
] + [
    ("ipv6", "-p ipv6-icmp -m icmp6 --icmpv6-type 130 -j RETURN"),
    ("ipv6", "-p ipv6-icmp -m icmp6 --icmpv6-type 137 -j RETURN"),
    ("ipv6", "-s fe80::/10 -d fe80::/10 -j RETURN"),
]


@pytest.mark.parametrize("family", STEMS)
def test_canonical_rules_remain_unchanged(namespace: Namespace, variant: str, family: str) -> None:
    rules = tuple(rule for of_family, rule in CANONICAL if of_family == family and "rpfilter" not in rule)
    filtering = tuple(rule for of_family, rule in CANONICAL if of_family == family and "rpfilter" in rule)
    given = [
        chain("A", *rules, family=family),
        chain("B", family=family),
        chain("C", *filtering, table="raw", hook="PREROUTING", family=family),
    ]
    assert len(rules) > 20
    assert normalised(namespace, variant, *given) == given


def test_icmpv6_types_have_no_ranges(namespace: Namespace, variant: str) -> None:
    path, text = refused(namespace, variant, chain("A", "-p icmpv6 --icmpv6-type 133:137 -j RETURN", family="ipv6"))
    assert path == "chains[0].rules[0]"
    assert "range" in text
