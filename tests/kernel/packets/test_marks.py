# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Foreign bits of packet and connection marks are unchanged, and chains behind the managed ones never see managed bits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.kernel.delivery.lab import TIMEOUT, apply, assert_all_reached, lab_of
from tests.lab import Host, Lab
from tests.lab.delivery import all_cells

#: Foreign bits, on packets and on connections
PACKET, CONNECTION = 0x10000, 0x70000000
MANAGED = 0x100
KUBE_PROXY = 0xC000  # "drop this" and "masquerade this", which it sets and matches itself
#: All announced by node1; endpoints in a pod there, in a pod on node2, and on node1 itself (INPUT, OUTPUT)
SERVICES = ("lo-p1", "cl-p2", "ds-lo-p1", "lo-host1")
HOOKS = ("input", "postrouting")
#: Before the managed chains: between connection tracking (-200) and mangle (-150). Behind them: before NAT (100).
FOREIGN = """
table inet foreign {{
 counter input_right {{ }}
 counter input_wrong {{ }}
 counter postrouting_right {{ }}
 counter postrouting_wrong {{ }}
 set services4 {{ type ipv4_addr; elements = {{ {four} }} }}
 set services6 {{ type ipv6_addr; elements = {{ {six} }} }}
 chain put {{
  meta mark set meta mark or {packet:#x}
  ct mark set ct mark or {connection:#x}
 }}
 chain before_prerouting {{
  type filter hook prerouting priority -160
  ct original ip daddr @services4 jump put
  ct original ip6 daddr @services6 jump put
 }}
 chain before_output {{
  type filter hook output priority -160
  ct original ip daddr @services4 jump put
  ct original ip6 daddr @services6 jump put
 }}
 chain see_input {{
  meta mark and {all_but_kube_proxy:#x} == {packet:#x} counter name input_right return
  counter name input_wrong
 }}
 chain see_postrouting {{
  meta mark and {all_but_kube_proxy:#x} == {packet:#x} counter name postrouting_right return
  counter name postrouting_wrong
 }}
 chain after_input {{
  type filter hook input priority -140
  ct original ip daddr @services4 jump see_input
  ct original ip6 daddr @services6 jump see_input
 }}
 chain after_postrouting {{
  type filter hook postrouting priority -140
  ct original ip daddr @services4 jump see_postrouting
  ct original ip6 daddr @services6 jump see_postrouting
 }}
}}
"""


@pytest.fixture(params=["iptables-nft-dedicated", "iptables-legacy-dedicated", "nftables-nft-shared"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab with the pool applied, and foreign rules on the nodes that mark packets and connections."""
    mode, variant, link = request.param.split("-")
    with lab_of(kube_proxy=mode, variant=variant, shared_link=link == "shared", rp_filter=1) as made:
        apply(made, iptables_variant="auto" if mode == "iptables" else variant)
        for node in made.nodes:
            node.run(["nft", "-f", "-"], stdin=ruleset(made))
        yield made


def ruleset(lab: Lab) -> str:
    """Return the foreign tables."""
    services = [lab.services[name] for name in SERVICES]
    return FOREIGN.format(
        four=", ".join(service.address for service in services),
        six=", ".join(service.address6 for service in services if service.address6),
        packet=PACKET,
        connection=CONNECTION,
        all_but_kube_proxy=0xFFFFFFFF & ~KUBE_PROXY,
    )


def seen(node: Host) -> dict[str, int]:
    """Return how many packets the foreign chains saw behind the managed ones, by hook and by whether the mark was right."""
    listed = json.loads(node.run("nft -j list counters table inet foreign").stdout)["nftables"]
    return {item["counter"]["name"]: item["counter"]["packets"] for item in listed if "counter" in item}


def connection_marks(node: Host, address: str) -> set[int]:
    """Return the marks of the node's TCP connections to an address."""
    family = "ipv6" if ":" in address else "ipv4"
    text = node.run(["conntrack", "-L", "-f", family, "-p", "tcp", "-d", address]).stdout
    lines = [line for line in text.splitlines() if f"dst={address} " in line]
    assert lines, f"{node.name} tracks nothing to {address}"
    return {int(found.group(1)) if (found := re.search(r"\bmark=(\d+)", line)) else 0 for line in lines}


def flow_to_all(lab: Lab) -> None:
    """Send and receive 64 KiB by TCP: clients behind routers and on the link, each service and family."""
    cells = all_cells(lab, ["outside", "lan", "onlink"], [*SERVICES], ["tcp"])
    assert_all_reached(lab, lab.deliver(cells, timeout=TIMEOUT))


def test_foreign_bits_are_unchanged_and_managed_bits_cleared(lab: Lab) -> None:
    flow_to_all(lab)
    for name in SERVICES:
        service = lab.services[name]
        for address in filter(None, (service.address, service.address6)):
            assert connection_marks(lab.host(service.announcer), address) == {CONNECTION | MANAGED}, name
    counters = seen(lab.host("node1"))
    assert counters["input_right"] > 0, "requests to the node itself"
    assert counters["postrouting_right"] > 0, "all others, in both directions"
    for node in lab.nodes:
        assert [seen(node)[f"{hook}_wrong"] for hook in HOOKS] == [0, 0], (node.name, seen(node))


@pytest.mark.parametrize("hook", HOOKS)
def test_managed_bits_that_are_not_cleared_are_seen(lab: Lab, hook: str) -> None:
    """The control: without the rule that clears them, the foreign chains see managed bits."""
    for node in lab.nodes:
        for program in ("iptables", "ip6tables"):
            node.run(f"{program}-{lab.options.variant} -w -t mangle -F HOMEWARD-{hook.upper()}")
    flow_to_all(lab)
    assert seen(lab.host("node1"))[f"{hook}_wrong"] > 0
