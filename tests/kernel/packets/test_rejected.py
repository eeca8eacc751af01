# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service without endpoints, which may share its address with another one, refuses connections at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel.delivery.lab import TIMEOUT, apply, lab_of, pool_of
from tests.kernel.packets.lab import ADDRESS, CLIENTS, outcome, replies, unlimit_errors
from tests.lab import Lab
from tests.lab.packets import ICMP, ICMPV6, Packet

PORT = 90
#: As kube-proxy's chains KUBE-EXTERNAL-SERVICES and service-endpoints-check do, which FORWARD and INPUT jump to
RULES = "{program} -w -I {chain} -d {address} -p {protocol} --dport {port} -m conntrack --ctstate NEW -j REJECT"


@pytest.fixture(scope="module", params=["dedicated", "shared", "dedicated-source_routing", "shared-source_routing"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab with the pool applied, and a port of a service that has no endpoints."""
    link, _, case = request.param.partition("-")
    with lab_of(shared_link=link == "shared", rp_filter=1) as made:
        apply(made, pool_of(made, case=case or None))
        unlimit_errors(made)
        for family, program in ((4, "iptables"), (6, "ip6tables")):
            for protocol in ("tcp", "udp"):
                for chain in ("FORWARD", "INPUT"):
                    address = ADDRESS[family]
                    made.host("node1").run(
                        RULES.format(program=program, chain=chain, address=address, protocol=protocol, port=PORT)
                    )
        yield made


def is_unreachable(packet: Packet) -> bool:
    """Whether it is the ICMP error of the REJECT rule."""
    return (packet.protocol, packet.flags) in ((ICMP, 3), (ICMPV6, 1))


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_service_without_endpoints_refuses_connections(lab: Lab, client: str, protocol: str, family: int) -> None:
    with replies(lab, client, family, is_unreachable) as seen:
        assert outcome(lab.host(client), protocol, (ADDRESS[family], PORT), TIMEOUT) == "refused"
        assert seen.expected.read()
        assert seen.unexpected() == []
