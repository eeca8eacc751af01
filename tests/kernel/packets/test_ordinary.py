# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other traffic is unaffected: neighbour discovery, router advertisements, and what nodes and pods send."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.kernel.delivery.lab import TIMEOUT, apply, assert_all_reached, lab_of, remove
from tests.kernel.packets.lab import CLIENTS
from tests.lab import Host, Lab, packets
from tests.lab.delivery import all_cells
from tests.lab.packets import ICMPV6
from tests.lab.waiting import wait_until

FAMILIES = (4, 6)
ROUNDS = 4
GUARD = "HOMEWARD-IN-eth0.100"
FIRST_PORT, LINE, PAUSE = 2222, b"x" * 800, 0.005


# --- neighbours


def shorten_timers(lab: Lab) -> None:
    """Let neighbour entries become stale and be probed again within a second instead of minutes."""
    for name in ("node1", "node2", "poolrouter", "onlink"):
        link = {"poolrouter": "pool", "onlink": "eth0"}.get(name, lab.options.pool_interface)
        for version in ("ipv4", "ipv6"):
            base = f"net/{version}/neigh/{link}"
            lab.host(name).set_sysctl(f"{base}/base_reachable_time_ms", 200)
            lab.host(name).set_sysctl(f"{base}/delay_first_probe_time", 0)
            lab.host(name).set_sysctl(f"{base}/gc_stale_time", 1)


@pytest.mark.parametrize("shared", [False, True], ids=["dedicated", "shared"])
def test_neighbours_are_resolved_again(shared: bool) -> None:
    """Flushed or stale, on both sides of the link."""
    with lab_of(shared_link=shared, rp_filter=1) as lab:
        apply(lab)
        shorten_timers(lab)
        cells = all_cells(lab, ["outside", "onlink"], ["lo-p1", "cl-p2", "lo-host1", "ds-lo-p1", "ds-cl-p1"])
        for number in range(ROUNDS):
            assert_all_reached(lab, lab.deliver(cells, timeout=TIMEOUT))
            if number % 2:
                for host, link in (
                    *((node, lab.options.pool_interface) for node in lab.nodes),
                    (lab.host("poolrouter"), "pool"),
                ):
                    host.run(f"ip -4 neighbour flush dev {link}; ip -6 neighbour flush dev {link}")
        for node in lab.nodes:
            assert "FAILED" not in node.output(f"ip neighbour show dev {lab.options.pool_interface}")


def test_a_guard_that_drops_neighbour_advertisements_loses_the_router() -> None:
    """The control: without the rules for neighbour discovery the router is never found."""
    with lab_of() as lab:
        apply(lab)
        cells = all_cells(lab, ["outside"], ["ds-lo-p1"], ["tcp"], [6])
        node = lab.host("node1")
        for kind in (135, 136):
            node.run(f"ip6tables-nft -w -t raw -D {GUARD} -p icmpv6 --icmpv6-type {kind} -j RETURN")
        node.run(f"ip6tables-nft -w -t raw -D {GUARD} -s fe80::/10 -d fe80::/10 -j RETURN")
        node.run("ip -6 neighbour flush dev eth0.100")
        assert not lab.deliver(cells, timeout=1.0)[0].reached


# --- router advertisements


def advertise(lab: Lab) -> None:
    """Send a router advertisement with a prefix from the pool's router to all nodes of the link."""
    router = lab.host("poolrouter")
    prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 3600, 0) + socket.inet_pton(socket.AF_INET6, "fd00:bad::")
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + prefix
    packet = packets.ip_packet("fe80::bad", "ff02::1", ICMPV6, message, 255)
    packets.inject(router, "pool", "33:33:00:00:00:01", packet)


def accepted(node: Host) -> bool:
    """Whether the node has accepted the advertised router or prefix."""
    return "fe80::bad" in node.output("ip -6 route show default") or "fd00:bad::" in node.output("ip -6 address")


@pytest.mark.parametrize("shared", [False, True], ids=["dedicated", "shared"])
def test_router_advertisements_on_a_dedicated_link_are_ignored(shared: bool) -> None:
    """On a shared link the owner of the link decides, as before."""
    with lab_of(shared_link=shared) as lab:
        link = lab.options.pool_interface
        for node in lab.nodes:
            node.set_sysctl(f"net/ipv6/conf/{link}/accept_ra", 2)
        apply(lab)
        node, other = lab.nodes
        other.set_sysctl(f"net/ipv6/conf/{link}/accept_ra", 2)
        with packets.Sniffer(node, link, lambda one: one.source == "fe80::bad") as heard:
            advertise(lab)
            assert heard.wait_for(1, TIMEOUT)
        assert accepted(node) == shared
        assert accepted(other), "the control: a node that accepts advertisements accepts this one"


# --- the node's own traffic


class Talk:
    """Two hosts that exchange lines until stopped: one by TCP, and one by UDP, where a lost packet stays lost."""

    def __init__(self, caller: Host, listener: Host, address: str, port: int) -> None:
        self.name = f"{caller.name} to {address}"
        self.lines = 0
        self.error: OSError | None = None
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with listener.call(lambda: socket.create_server((address, port), family=family)) as server:
            self._near = caller.call(lambda: socket.create_connection((address, port), TIMEOUT))
            self._far, _ = server.accept()
        self._question = caller.call(lambda: socket.socket(family, socket.SOCK_DGRAM))
        self._answer = listener.call(lambda: socket.socket(family, socket.SOCK_DGRAM))
        self._answer.bind((address, port))
        self._question.connect((address, port))
        for one in (self._far, self._question, self._answer):
            one.settimeout(TIMEOUT)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._talk)
        self._thread.start()

    def _talk(self) -> None:
        try:
            while not self._stop.wait(PAUSE):
                for speaker, hearer in ((self._near, self._far), (self._far, self._near)):
                    speaker.sendall(LINE)
                    received = 0
                    while received < len(LINE):
                        received += len(hearer.recv(len(LINE) - received))
                self._question.send(LINE)
                line, asker = self._answer.recvfrom(len(LINE))
                self._answer.sendto(line, asker)
                self._question.recv(len(LINE))
                self.lines += 1
        except OSError as error:
            self.error = error

    def stop(self) -> None:
        """Stop, and close all ends."""
        self._stop.set()
        self._thread.join()
        for one in (self._near, self._far, self._question, self._answer):
            one.close()


@contextmanager
def talking(lab: Lab) -> Iterator[list[Talk]]:
    """Exchange datagrams between nodes and pods, and between a node and the outside, in both families."""
    node1, node2 = lab.nodes
    pod, server, outside = lab.host("pod1"), lab.host("server2"), lab.host("outside")
    talks: list[Talk] = []
    try:
        for caller, listener, addresses in (
            (node1, node2, ("192.168.1.12", "fd00:192:168:1::12")),
            (pod, server, ("10.112.2.10", "fd00:112:2::10")),
            (node1, server, ("10.112.2.10", "fd00:112:2::10")),
            (node2, outside, ("203.0.113.50", "fd00:203:0:113::50")),
            (pod, outside, ("203.0.113.50", "fd00:203:0:113::50")),
        ):
            for address in addresses:
                talks.append(Talk(caller, listener, address, FIRST_PORT + len(talks)))
        yield talks
    finally:
        for talk in talks:
            talk.stop()


def undisturbed(talks: list[Talk], during: Callable[[], object]) -> None:
    """Assert that all talks continue while this is done, and that no datagram is lost."""
    during()
    before = [talk.lines for talk in talks]
    for talk, lines in zip(talks, before, strict=True):
        continues = f"{talk.name}: two more lines"
        wait_until(lambda talk=talk, lines=lines: talk.lines >= lines + 2 or talk.error, continues, 2 * TIMEOUT)
        assert talk.error is None, f"{talk.name}: {talk.error}"


@pytest.mark.parametrize("shared", [False, True], ids=["dedicated", "shared"])
@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_nodes_and_pods_stay_connected_while_pools_are_applied_and_removed(mode: str, shared: bool) -> None:
    with lab_of(shared_link=shared, kube_proxy=mode, rp_filter=1) as lab, talking(lab) as talks:
        for _ in range(ROUNDS):
            undisturbed(talks, lambda: apply(lab))
            undisturbed(talks, lambda: remove(lab))


@pytest.mark.parametrize("shared", [False, True], ids=["dedicated", "shared"])
def test_nodes_and_pods_do_not_use_pool_addresses_as_source(shared: bool) -> None:
    """The default router would drop packets that a node sends from its own address of the pool."""
    with lab_of(shared_link=shared, rp_filter=1) as lab:
        apply(lab, per_node=True)
        for name in ("node1", "node2", "pod1", "pod2"):
            for address in CLIENTS["outside"].values():
                assert packets.ping(lab.host(name), address), (name, address)


def test_a_chain_that_drops_is_noticed() -> None:
    """The control: one lost packet is seen."""
    with lab_of() as lab, talking(lab) as talks:
        node = lab.host("node2")

        def drop_one() -> None:
            node.run("iptables-nft -w -t raw -I PREROUTING -p udp -m limit --limit 1/hour --limit-burst 1 -j DROP")
            counted = "iptables-nft -w -t raw -vxnL PREROUTING 1"
            wait_until(lambda: int(node.output(counted).split()[0]), "a datagram is dropped")
            node.run("iptables-nft -w -t raw -D PREROUTING 1")

        with pytest.raises(AssertionError, match="timed out"):
            undisturbed(talks, drop_one)
