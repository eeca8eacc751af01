# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks that other programs on the node use: their rules are found wherever they are, and named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.modules import Answer, warnings_of
from tests.support.node import Node
from tests.support.pools import ABSENT, EXTERNAL, SHARED, declared

POOLS = "pool_routing"
DECLARED = declared(EXTERNAL, SHARED)

NFT = (
    "nft add table {0}; nft add chain {0} c '{{ type filter hook prerouting priority -300; }}'; nft add rule {0} c {1}"
)
CHAIN = "{0} -t nat -N KUBE-MARK-MASQ; {0} -t nat -A KUBE-MARK-MASQ -j MARK --or-mark 0x100"
KUBE_PROXY = Path(__file__).parents[2] / "lab/kube_proxy/kube-proxy-1.36-node1.nft"
NATIVE = (
    "for it in 'table ip kube-proxy' 'chain ip kube-proxy mark-for-masquerade'"
    " 'rule ip kube-proxy mark-for-masquerade mark set mark or 0x1000'; do nft add $it; done"
)
#: A command, and what the error must name of it.
TAKEN = [
    # kube-proxy with masqueradeBit 8, by every variant and in both families, and in nftables mode
    (
        CHAIN.format("iptables-nft"),
        ('"-j MARK --set-xmark 0x100/0x100" in chain KUBE-MARK-MASQ of table ip nat', "0x100"),
    ),
    (CHAIN.format("ip6tables-nft"), ("in chain KUBE-MARK-MASQ of table ip6 nat", "bits 0x100")),
    (CHAIN.format("iptables-legacy"), ("in chain KUBE-MARK-MASQ of table nat (iptables-legacy)", "bits 0x100")),
    (CHAIN.format("ip6tables-legacy"), ('"-j MARK --set-xmark 0x100/0x100"', "in chain KUBE-MARK-MASQ of table nat")),
    (
        NATIVE,
        ('"meta mark set meta mark | 0x1000" in chain mark-for-masquerade of table ip kube-proxy', "bits 0x1000"),
    ),
    # masqueradeBit 12 and the comparison alone
    (
        "iptables-nft -t nat -N KUBE-POSTROUTING; iptables-nft -t nat -A KUBE-POSTROUTING -m mark ! --mark 0x1000/0x1000 -j RETURN",
        ('0x1000" in chain KUBE-POSTROUTING of table ip nat', "bits 0x1000"),
    ),
    ("iptables-nft -A FORWARD -m mark --mark 0x200/0x200 -j DROP", ('0x200" in chain FORWARD of table ip filter',)),
    (
        "ip6tables-nft -N SITE; ip6tables-nft -A SITE -m mark --mark 0x200/0x200 -j DROP",
        ("in chain SITE of table ip6",),
    ),
    # connection marks
    (
        "iptables-nft -t mangle -A FORWARD -m connmark --mark 0x200/0x200 -j ACCEPT",
        ('"-m connmark --mark 0x200/0x200"',),
    ),
    (
        "iptables-nft -t mangle -A POSTROUTING -j CONNMARK --save-mark --nfmask 0xff00 --ctmask 0xff00",
        ('"-j CONNMARK --save-mark --nfmask 0xff00 --ctmask 0xff00"', "bits 0x1f00"),
    ),
    ("iptables-legacy -t mangle -A FORWARD -j CONNMARK --set-mark 0x100/0xff00", ("--set-xmark 0x100/0xff00",)),
    # managed values without a mask, as a manual setup leaves them
    ("iptables-nft -t mangle -A PREROUTING -i eth0.100 -j MARK --set-mark 0x100", ("--set-xmark 0x100/0xffffffff",)),
    (
        NFT.format("inet own", "iifname eth1 meta mark set 0x100"),
        ('"meta mark set 0x100" in chain c of table inet own',),
    ),
    (NFT.format("ip own", "ct mark set 0x300 counter"), ('"ct mark set 0x300"', "bits 0x300")),
    # nftables in every family whose packets have a mark
    (NFT.format("inet own", "meta mark and 0x1f00 == 0x500 drop"), ('"meta mark & 0x1f00 == 0x500"', "bits 0x1f00")),
    (NFT.format("ip6 own", "ct mark and 0x400 != 0 accept"), ('"ct mark & 0x400 != 0x0" in chain c of table ip6 own',)),
    (NFT.format("bridge own", "meta mark set meta mark or 0x800"), ("in chain c of table bridge own", "bits 0x800")),
    (NFT.format("inet own", "meta mark set meta mark xor 0x800"), ('"meta mark set meta mark ^ 0x800"', "bits 0x800")),
    (NFT.format("inet own", "meta mark 0x200 accept"), ('"meta mark == 0x200"',)),
    (NFT.format("inet own", "meta mark set meta mark and 0xffffe0ff"), ("bits 0x1f00",)),
    # policy rules
    ("ip rule add priority 9 fwmark 0x200/0xf00 lookup 2004", ("lookup 2004", "0x200/0xf00")),
    ("ip -6 rule add priority 9 fwmark 0x100 lookup 9", ("0x100/0xffffffff",)),
]


@pytest.mark.parametrize(("command", "named"), TAKEN, ids=[row[0][-60:] for row in TAKEN])
def test_bits_that_others_use_are_refused(bare: Node, command: str, named: tuple[str, ...]) -> None:
    bare.host.run(command)
    answer = bare.refuse(POOLS, DECLARED)
    assert_refused(answer, *named)
    changed = bare.change(POOLS, {**DECLARED, "mark_mask": "0x7f0000"})
    assert changed["changed"], "other bits are free"
    bare.change(POOLS, ABSENT)


def assert_refused(answer: Answer, *named: str) -> None:
    assert [error["path"] for error in answer["errors"]] == ["mark_mask"], answer["msg"]
    for words in ("overlaps the mark of a rule that is managed by someone else", "for example 0x", *named):
        assert words in answer["msg"], answer["msg"]


#: Commands of programs that share the node with the default bits, and what of them is a warning.
HARMLESS = [
    (f"nft -f {KUBE_PROXY}", ""),
    ("iptables-nft -t mangle -A PREROUTING -j MARK --set-xmark 0x40000/0xff0000", ""),
    ("iptables-nft -t filter -A FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT", ""),
    ("iptables-nft -t mangle -A PREROUTING -m comment --comment 'set mark 0x100/0x1f00' -j RETURN", ""),
    ("ip rule add priority 9 fwmark 0x80000/0xff0000 lookup 52", ""),
    ("ip rule add priority 9 not fwmark 51820 lookup 51820", ""),
    # what wg-quick adds: the first rule does not concern managed marks, the second one does
    (NFT.format("ip wg", "meta l4proto udp meta mark 51820 ct mark set meta mark"), ""),
    (
        NFT.format("ip wg", "meta l4proto udp meta mark set ct mark"),
        '"meta mark set ct mark" in chain c of table ip wg',
    ),
    # GoogleCloudPlatform/netd#105, and its like
    (
        "iptables-nft -t mangle -A POSTROUTING -j CONNMARK --save-mark",
        '"-j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff" in chain POSTROUTING of table ip mangle',
    ),
    ("iptables-nft -t mangle -A PREROUTING -j CONNMARK --restore-mark", '"-j CONNMARK --restore-mark'),
    ("iptables-legacy -t mangle -A PREROUTING -j CONNMARK --restore-mark", "of table mangle (iptables-legacy)"),
    ("iptables-nft -t mangle -A PREROUTING -i eth2 -j MARK --set-mark 1", '"-j MARK --set-xmark 0x1/0xffffffff"'),
    ("ip6tables-nft -t mangle -A FORWARD -j MARK --set-mark 0", '"-j MARK --set-xmark 0x0/0xffffffff"'),
    (NFT.format("inet own", "ct mark set meta mark"), '"ct mark set meta mark" in chain c of table inet own'),
    (NFT.format("inet own", "meta mark set 0x1bd20"), '"meta mark set 0x1bd20"'),
    (NFT.format("inet own", "meta mark set tcp dport map { 80 : 1, 90 : 2 }"), '"meta mark set ..."'),
    (NFT.format("inet own", "tcp dport 80 meta mark set socket mark"), '"meta mark set socket mark"'),
    ("iptables-nft -t mangle -A PREROUTING -m mark ! --mark 0 -j ACCEPT", '"meta mark != 0x0"'),
    (NFT.format("inet own", "meta mark { 1, 2, 3 } accept"), '"meta mark in @__set0"'),
]


@pytest.mark.parametrize(("command", "warned"), HARMLESS, ids=[row[0][-60:] for row in HARMLESS])
def test_others_bits_are_accepted_and_whole_marks_are_warned_of(bare: Node, command: str, warned: str) -> None:
    bare.host.run(command)
    answer = bare.change(POOLS, DECLARED)
    found = [text for text in warnings_of(answer) if text.startswith("mark_mask: ")]
    assert [warned in text for text in found] == ([True] if warned else []), found
    again = bare.change(POOLS, DECLARED)
    assert not again["changed"]
    if "legacy" not in command:
        assert [text for text in warnings_of(again) if text.startswith("mark_mask: ")] == found, "without a change, too"


#: Of kube-proxy, of a network plugin in a small table, and of a firewall's own table whose name iptables uses, too
LATER = [
    (CHAIN.format("iptables-nft"), "KUBE-MARK-MASQ"),
    (NATIVE, "mark-for-masquerade"),
    ("ip6tables-nft -t mangle -A FORWARD -j MARK --or-mark 0x100", "in chain FORWARD of table ip6 mangle"),
    (NFT.format("inet filter", "meta mark set meta mark or 0x100"), "in chain c of table inet filter"),
]


@pytest.mark.parametrize(("command", "named"), LATER, ids=[row[1] for row in LATER])
def test_bits_taken_after_apply_are_refused_without_a_change(bare: Node, command: str, named: str) -> None:
    bare.change(POOLS, DECLARED)
    bare.host.run(command)
    assert_refused(bare.refuse(POOLS, DECLARED), named)
    assert bare.change(POOLS, ABSENT)["changed"], "removal is always possible"
