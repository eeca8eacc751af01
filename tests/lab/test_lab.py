"""The lab itself: setup and removal leave nothing behind, the probe detects failures, the witnesses see changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Cell, Delivery, Lab, LabError, LabOptions, controls, inventory, namespaces, packets
from tests.lab.delivery import all_cells
from tests.lab.lab import REPOSITORY
from tests.lab.many_nodes import ManyNodes

PREFIX = "homeward-labtest"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab with the refined recipe, for tests that do not change it."""
    with Lab(LabOptions(prefix=PREFIX)) as running:
        controls.apply(running, "refined")
        yield running


def lost(deliveries: list[Delivery]) -> list[Delivery]:
    return [delivery for delivery in deliveries if not delivery.reached]


def machine_state() -> list[str]:
    """Return the state of this machine that a lab could change."""
    commands = ("ip link", "ip rule", "ip -6 rule", "ip route show table all", "nft list ruleset")
    outputs = [
        subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout for command in commands
    ]
    return [*outputs, *sorted(path.name for path in namespaces.NAMESPACE_FOLDER.glob(f"{PREFIX}*"))]


# --- setup and removal


def test_removal_leaves_nothing_behind() -> None:
    before = machine_state()
    first, second = Lab(LabOptions(prefix=f"{PREFIX}-a")), Lab(LabOptions(prefix=f"{PREFIX}-a-b"))
    with first:
        with second:
            pids = [*first.processes(), *second.processes()]
            assert len(pids) == 6, "two holders and a daemon for each lab"
        # The prefix of the removed lab begins with the prefix of this one
        assert not lost(first.deliver([Cell("pod1", "cl-p2")]))
    assert machine_state() == before
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not first.state.exists()


def test_setup_removes_the_remains_of_a_crashed_lab() -> None:
    options = LabOptions(prefix=f"{PREFIX}-crash")
    crashed = Lab(options).up()
    os.kill(crashed.processes()[0], signal.SIGKILL)
    with Lab(options) as fresh:
        assert not lost(fresh.deliver([Cell("pod1", "cl-p2")]))
    crashed.down()  # reaps the ended processes


def test_command_line_sets_up_and_removes_a_lab() -> None:
    """`up` takes every field of LabOptions from an option, so a field without one fails here."""
    before = machine_state()
    prefix = f"{PREFIX}-prompt"

    def run(*words: str) -> None:
        command = [sys.executable, "-m", "tests.lab", *words, "--prefix", prefix]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    try:
        run("up", "--second-pool")
        running = Lab.attach(prefix)
        assert running.options == LabOptions(prefix=prefix, second_pool=True)
        assert "eth0.200" in running.host("node1").output("ip -o link")
    finally:
        run("down")
    assert machine_state() == before
    assert not running.state.exists()


def test_failed_setup_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine_state()
    monkeypatch.setattr("tests.lab.kube_proxy_rules.fixture", lambda *_: "*nonsense\n")
    with pytest.raises(LabError, match="iptables"):
        Lab(LabOptions(prefix=f"{PREFIX}-broken")).up()
    assert machine_state() == before


def test_many_nodes() -> None:
    before = machine_state()
    with ManyNodes(5, prefix=f"{PREFIX}-many") as site:
        assert [host.output("cat /sys/class/net/eth0.100/operstate") for host in site.nodes] == ["up"] * 5
        assert packets.ping(site.host("node1"), site.node_addresses["node5"])
    assert machine_state() == before


def test_nodes_have_private_files(lab: Lab) -> None:
    first, second = lab.nodes
    first.run("mkdir -p /etc/iproute2/rt_protos.d && echo '77 homeward' > /etc/iproute2/rt_protos.d/homeward-test.conf")
    assert "77 homeward" in first.path("/etc/iproute2/rt_protos.d/homeward-test.conf").read_text()
    assert not second.path("/etc/iproute2/rt_protos.d/homeward-test.conf").exists()
    assert not Path("/etc/iproute2/rt_protos.d/homeward-test.conf").exists()


def test_errors_name_host_and_command(lab: Lab) -> None:
    with pytest.raises(LabError, match=r"node1: ip link show nonsense: exit 1"):
        lab.host("node1").run(["ip", "link", "show", "nonsense"])
    with pytest.raises(LabError, match=r"unknown host 'node9'; known: "):
        lab.host("node9")


# --- the probe detects failures


def test_probe_detects_a_broken_path(lab: Lab) -> None:
    cells = [Cell(client, "cl-p1", protocol) for client in ("outside", "onlink") for protocol in ("tcp", "udp")]
    assert not lost(lab.deliver(cells))
    router = lab.host("poolrouter")
    router.run("nft add table inet broken; nft add chain inet broken f '{ type filter hook forward priority 0; }'")
    router.run("nft add rule inet broken f iifname pool meta length gt 1000 drop")
    try:
        deliveries = lab.deliver(cells, timeout=1.0)
    finally:
        router.run("nft delete table inet broken")
    assert [delivery.reached for delivery in deliveries] == [False, False, True, True]
    assert deliveries[0].error is not None
    assert "receive after" in deliveries[0].error, "the connection was established, but its data was lost"


def test_probe_names_the_wrong_router() -> None:
    with Lab(LabOptions(prefix=f"{PREFIX}-none")) as lab:
        delivery = lab.deliver([Cell("outside", "cl-p1")], timeout=1.0)[0]
        assert (delivery.reached, delivery.reply_router) == (False, "default")


def test_services_have_their_endpoints_and_policies(lab: Lab) -> None:
    """A Local service reaches endpoints on its announcer only, a Cluster service any."""
    clients = {"outside", "onlink", "lan"}
    for delivery in lab.deliver(cell for cell in all_cells(lab) if cell.client in clients):
        service = lab.services[delivery.cell.service]
        allowed = service.local_endpoints(service.announcer) if service.local else service.endpoints
        assert delivery.endpoint in allowed, delivery


def test_announcement_moves_to_another_node(lab: Lab) -> None:
    client, cell = lab.host("onlink"), Cell("onlink", "cl-p1")
    for node in ("node2", "node1"):
        lab.announce({"cl-p1": node})
        assert not lost(lab.deliver([cell]))
        neighbour = client.output("ip neighbour show 1.2.3.5")
        assert packets.mac_of(lab.host(node), "eth0.100") in neighbour


# --- witnesses and packets


def test_snapshot_contains_state_and_nothing_else(lab: Lab) -> None:
    node = lab.host("node1")
    before = node.snapshot()
    lab.deliver([Cell("outside", "lo-p1"), Cell("lan", "lo-p1")])
    assert before.difference(node.snapshot()) == "", "traffic does not change the state"
    changes = {
        "ip route add 10.9.8.0/24 dev eth0 table 55": "ip route del 10.9.8.0/24 dev eth0 table 55",
        "ip -6 rule add priority 77 from fd00::/8 lookup 55": "ip -6 rule del priority 77",
        "iptables-nft -w -t raw -A PREROUTING -j ACCEPT": "iptables-nft -w -t raw -D PREROUTING -j ACCEPT",
        "iptables-legacy -w -t raw -A OUTPUT -j ACCEPT": "iptables-legacy -w -t raw -D OUTPUT -j ACCEPT",
        "nft add table inet extra; nft add chain inet extra c": "nft delete table inet extra",
        "sysctl -q net/ipv4/conf/eth0.100/arp_ignore=1": "sysctl -q net/ipv4/conf/eth0.100/arp_ignore=0",
        "ip link set eth0.100 alias changed": "ip link set eth0.100 alias ''",
    }
    for do, revert in changes.items():
        node.run(do)
        assert before.difference(node.snapshot()) != "", do
        node.run(revert)
        assert before.difference(node.snapshot()) == "", revert


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (packets.tcp("203.0.113.99", "1.2.3.7", 5555, 80), ("10.112.1.10", 8080)),
        (packets.udp("203.0.113.99", "1.2.3.7", 5556, 80), ("10.112.1.10", 8080)),
        (packets.tcp("fd00:203:0:113::99", "fd00:1:2:3::21", 5557, 80), ("fd00:112:1::10", 8080)),
        (packets.udp("fd00:203:0:113::99", "fd00:1:2:3::21", 5558, 80), ("fd00:112:1::10", 8080)),
    ],
    ids=["tcp4", "udp4", "tcp6", "udp6"],
)
def test_injected_packets_arrive(lab: Lab, packet: bytes, expected: tuple[str, int]) -> None:
    node, server = lab.host("node1"), lab.host("server1")
    with packets.Sniffer(server, "eth0", lambda seen: seen.source.endswith("99") and not seen.outgoing) as sniffer:
        packets.inject(lab.host("poolrouter"), "pool", packets.mac_of(node, "eth0.100"), packet)
        seen = sniffer.wait_for(1)
    assert [(one.destination, one.destination_port) for one in seen] == [expected]


def test_an_injected_packet_from_a_pod_address_does_not_arrive(lab: Lab) -> None:
    """The guard drops it; the arrival of a later packet shows that it would have been seen."""
    node, server, router = lab.host("node1"), lab.host("server1"), lab.host("poolrouter")
    mac = packets.mac_of(node, "eth0.100")
    with packets.Sniffer(server, "eth0", lambda seen: seen.source_port == 5560) as sniffer:
        packets.inject(router, "pool", mac, packets.udp("10.112.2.20", "1.2.3.7", 5560, 80))
        packets.inject(router, "pool", mac, packets.udp("203.0.113.99", "1.2.3.7", 5560, 80))
        assert [one.source for one in sniffer.wait_for(1)] == ["203.0.113.99"]


def test_path_mtu_is_discovered(lab: Lab) -> None:
    router = lab.host("poolrouter")
    clients = {4: "203.0.113.50", 6: "fd00:203:0:113::50"}
    for address in clients.values():
        packets.limit_path(router, address, "internet", 1300)

    def long_reply(seen: packets.Packet) -> bool:
        return seen.outgoing and seen.destination in clients.values() and seen.length > 1000

    try:
        with packets.Sniffer(router, "internet", long_reply) as sniffer:
            cells = [Cell("outside", name, "tcp", family) for name in ("ds-cl-p1", "ds-lo-p1") for family in clients]
            deliveries = lab.deliver([*cells, Cell("outside", "cl-host1"), Cell("outside", "lo-host1")])
            lengths = {seen.length for seen in sniffer.read()}
    finally:
        for address in clients.values():
            router.run(["ip", "route", "del", address, "dev", "internet"])
    assert not lost(deliveries)
    assert max(lengths) == 1300


def test_ping(lab: Lab) -> None:
    client = lab.host("lan")
    assert packets.ping(client, "192.168.1.1")
    assert packets.ping(client, "fd00:192:168:1::1", size=1400)
    assert not packets.ping(client, "192.168.1.1", size=3000, fragment=False)
    assert not packets.ping(client, "192.168.1.99")


# --- the connection plugin


def test_ansible_connects_to_the_nodes(lab: Lab, tmp_path: Path) -> None:
    hosts = inventory.write(lab, tmp_path / "inventory.yml")
    environment = os.environ | {
        "ANSIBLE_CONNECTION_PLUGINS": str(inventory.PLUGIN_FOLDER),
        "ANSIBLE_HOME": str(tmp_path / "home"),
    }
    command = [sys.executable, "-m", "ansible", "adhoc", "-i", str(hosts), "nodes", "-m", "command"]
    done = subprocess.run(
        [*command, "-a", "cat /sys/class/net/eth0/address"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for node in lab.nodes:
        assert packets.mac_of(node, "eth0") in done.stdout
