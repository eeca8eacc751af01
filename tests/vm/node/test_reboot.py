# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What apply did is there after a reboot, without Ansible, and survives networkd and lost links.

One story: each test continues the last.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.lab.snapshot import clean_save
from tests.support.pools import CLUSTER, EXTERNAL

from .conftest import World, report
from .machine import Machine
from .network import Flow

LINK = "eth1.100"
LOOKUP = "lookup 7701"
LAN_ADDRESS = "192.168.1.11"
GUARD = "homeward-metallb-routing.service"
DROP_IN = "/etc/systemd/networkd.conf.d/50-homeward-metallb-routing.conf"
REPORT = "/run/homeward-metallb-routing/agent.json"
#: Services of the fixture with an endpoint on node1: a pod by Local policy, the host network, and both families.
ADDRESSES = {"1.2.3.7": "pod1", "1.2.3.10": "host1", "fd00:1:2:3::21": "pod1"}
#: What of the node is ours or decides about our packets.
STATE_COMMANDS = (
    f"ip -details -brief link show {LINK} | sed 's/[0-9]*: //'; cat /sys/class/net/{LINK}/ifalias",
    f"ip -brief address show {LINK}",
    "ip rule; ip -6 rule",
    "ip route show table 7701; ip -6 route show table 7701",
    "iptables-save -t mangle | grep HOMEWARD; iptables-save -t raw | grep HOMEWARD",
    "ip6tables-save -t mangle | grep HOMEWARD; ip6tables-save -t raw | grep HOMEWARD",
    f"sysctl net/ipv4/conf/{LINK}/rp_filter net/ipv4/conf/{LINK}/src_valid_mark net/ipv6/conf/{LINK}/accept_ra || true",
)
#: Takes the parent away before anything of ours is started: as where its driver is loaded late.
LATE_PARENT = "late-parent.service"
LATE_PARENT_FILE = f"/etc/systemd/system/{LATE_PARENT}"
LATE_PARENT_TEXT = f"""\
[Unit]
DefaultDependencies=no
Wants=sys-subsystem-net-devices-eth1.device
After=sys-subsystem-net-devices-eth1.device
Before=systemd-networkd.service {GUARD}
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'basename $(readlink /sys/class/net/eth1/device) > /run/late-parent'
ExecStart=/bin/sh -c 'cat /run/late-parent > /sys/bus/virtio/drivers/virtio_net/unbind'
[Install]
WantedBy=multi-user.target
""".encode()
BRING_PARENT = "cat /run/late-parent > /sys/bus/virtio/drivers/virtio_net/bind"
#: What remove must give back.
WHOLE_COMMANDS = (
    "ip link | grep -v link/ | sed 's/^[0-9]*: //; s/@if[0-9]*//' | sort",
    "ip rule; ip -6 rule",
    "ip -4 route show table all | sort; ip -6 route show table all | grep -v expires | sort",
    "find / /run -xdev -iname '*homeward*' -not -path '/tmp/*'",
)
SAVE_COMMANDS = ("iptables-save", "ip6tables-save")


def state_of(node: Machine) -> str:
    """Return what the commands print; where the link is missing some of them fail, but not the last."""
    return node.run("; ".join(f"echo '# {index}'; {text}" for index, text in enumerate(STATE_COMMANDS)))


def whole(node: Machine) -> str:
    """Return all that anybody could see of us; a table that exists but is empty is the same as none."""
    seen = node.run("; ".join(f"echo '# {index}'; {text}" for index, text in enumerate(WHOLE_COMMANDS)), check=False)
    return "\n".join([seen, *(clean_save(node.run(command)) for command in SAVE_COMMANDS)])


def variables() -> Mapping[str, Any]:
    own = ["1.2.3.251", "fd00:1:2:3::251"]
    pool = {**EXTERNAL, "interface": LINK, "vlan": {"parent": "eth1", "id": 100}, "addresses": own}
    return {
        "metallb_routing_pools": [pool],
        "metallb_routing_cluster": dict(CLUSTER),
        "metallb_routing_persist": True,
        # An emulated node on a busy machine may need longer for the change itself than the default waits
        "metallb_routing_confirm_timeout": 600,
    }


def flows(world: World, timeout: float = 60.0) -> dict[Flow, str]:
    """Try each address from the client behind the pool's router, by TCP and UDP."""
    return world.around.reach([(address, protocol) for address in ADDRESSES for protocol in ("tcp", "udp")], timeout)


def assert_flows(world: World) -> None:
    assert flows(world) == {
        (address, protocol): name for address, name in ADDRESSES.items() for protocol in ("tcp", "udp")
    }


def assert_nothing_arrives(world: World) -> None:
    assert [answer[:3] for answer in flows(world, timeout=10.0).values()] == ["no:"] * 2 * len(ADDRESSES)


@pytest.fixture(scope="module")
def before(world: World) -> str:
    """The node as it was before us."""
    return whole(world.node)


@pytest.fixture
def guard_stopped(world: World) -> Iterator[None]:
    """The guard would put back within a moment what something took, and so hide it."""
    world.node.run(f"systemctl stop {GUARD}")
    yield
    world.node.run(f"systemctl start {GUARD}")


def restart_networkd(node: Machine) -> None:
    """Restart networkd, and wait until it is done with all links: only then has it removed what it calls foreign."""
    node.run("networkctl reload && systemctl restart systemd-networkd.service")
    await_networkd(node)


def await_networkd(node: Machine) -> None:
    """Wait until networkd has given its links their addresses and routes."""
    node.run("/usr/lib/systemd/systemd-networkd-wait-online --interface=eth0 --interface=eth1 --timeout=120")


def test_nothing_arrives_before(world: World, before: str) -> None:
    """The control: the link alone, made by hand, brings nothing, although all the services are there."""
    assert LINK not in before
    node = world.node
    node.run(f"ip link add link eth1 name {LINK} type vlan id 100 && ip link set {LINK} up")
    try:
        node.run("for address in 1.2.3.7 1.2.3.10; do timeout 60 bash -c ': >/dev/tcp/'$address'/80'; done")
        assert_nothing_arrives(world)
    finally:
        node.run(f"ip link del {LINK}")


def test_apply_over_ssh_keeps_its_connection(world: World, before: str) -> None:  # noqa: ARG001 - taken before us
    """A session over the pool link's own parent, open before apply, must not even stall: the same shell answers after it."""
    with subprocess.Popen(
        world.around.in_lan(world.node.command_to(LAN_ADDRESS, 22, "cat")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as session:
        assert session.stdin is not None
        assert session.stdout is not None
        try:
            session.stdin.write("before\n")
            assert session.stdout.readline() == "before\n"
            played = world.node.play("apply", variables())
            assert played.returncode == 0, played.stdout + played.stderr
            session.stdin.write("after\n")
            assert session.stdout.readline() == "after\n"
        finally:
            session.kill()
    assert_flows(world)


def test_apply_again_changes_nothing(world: World) -> None:
    played = world.node.play("apply", variables())
    assert played.returncode == 0, played.stdout + played.stderr
    assert "changed=0 " in played.stdout, played.stdout


def test_reboot(world: World) -> None:
    """After it the state is the same and packets flow; nobody has run Ansible; and no pod was earlier than the link."""
    node = world.node
    state = state_of(node)
    seconds = node.reboot()
    node.run(f"systemctl is-system-running --wait; systemctl is-active {GUARD} kubelet.service")
    assert state_of(node) == state
    assert node.run("cat /run/link-at-start") == "up", "the link has to be there when the kubelet starts"
    assert_flows(world)
    begun, right = moment(node, GUARD, "InactiveExit"), moment(node, GUARD, "ActiveEnter")
    kubelet = moment(node, "kubelet.service", "InactiveExit")
    report(
        f"reboot until ssh answers: {seconds:.0f} s; from the kernel's start until the state is right: {right:.1f} s"
        f" (sshd {moment(node, 'ssh.service', 'ActiveEnter'):.1f} s, guard begun {begun:.1f} s, kubelet {kubelet:.1f} s)"
    )
    assert right <= kubelet


def moment(node: Machine, unit: str, change: str) -> float:
    """Return when a unit last became active or began to, in seconds from the kernel's start.

    The guard is active once the state is right.
    """
    return int(node.run(f"systemctl show --value --property {change}TimestampMonotonic {unit}")) / 1e6


@pytest.mark.usefixtures("guard_stopped")
def test_a_restart_of_networkd_takes_nothing(world: World) -> None:
    state = state_of(world.node)
    restart_networkd(world.node)
    assert state_of(world.node) == state
    assert_flows(world)


def test_without_our_drop_in_it_takes_the_rules(world: World) -> None:
    """The control, and what the guard makes of it: it heals at its start, and again when the same happens while it runs."""
    node = world.node
    state = state_of(node)
    assert LOOKUP in state
    node.run(f"systemctl stop {GUARD}; mv {DROP_IN} /run/drop-in")
    try:
        restart_networkd(node)
        assert LOOKUP not in node.run("ip rule; ip -6 rule")
        assert_nothing_arrives(world)
        node.run(f"systemctl start {GUARD}")
        assert state_of(node) == state
        restart_networkd(node)
        report(f"rules taken by networkd are back {await_state(node, state):.0f} s after it is done")
        assert_flows(world)
    finally:
        node.run(f"mv /run/drop-in {DROP_IN}; systemctl start {GUARD}")
        restart_networkd(node)


def await_state(node: Machine, wanted: str, limit: float = 180.0, healed: int = -1) -> float:
    """Wait until the guard has put everything back; the seconds it took, whole ones because looking costs about one.

    :param healed: and until it says that it has put back more objects than these.
    """
    began = time.monotonic()
    while (seen := state_of(node)) != wanted or healed_by_guard(node) <= healed:
        assert time.monotonic() < began + limit, f"not put back in {limit:.0f} s:\n{seen}\n{told_by_guard(node)}"
    seconds = time.monotonic() - began
    # Until the kernel knows that nobody else has the address of a new link, datagrams over it get lost
    node.run(f"timeout 60 sh -c 'while ip address show dev {LINK} tentative | grep -q inet6; do sleep 0.2; done'")
    return seconds


def healed_by_guard(node: Machine) -> int:
    """Return how many objects the guard has put back since it was started."""
    return sum(json.loads(node.run(f"cat {REPORT}"))["healed"].values())


def told_by_guard(node: Machine) -> str:
    """Return what the guard has told the journal since the node was booted."""
    return node.run(f"journalctl --boot --output cat --unit {GUARD}")


LOSSES = {
    "the parent down and up": "ip link set eth1 down; sleep 1; ip link set eth1 up",
    "the link down": f"ip link set {LINK} down",
    "the link deleted": f"ip link del {LINK}",
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_link_that_is_lost_comes_back(world: World, loss: str) -> None:
    """Without the service it stays lost, and nothing arrives; with it the link and all that went with it are put back."""
    node = world.node
    state = state_of(node)
    assert LOOKUP in state
    node.run(f"systemctl stop {GUARD}; {LOSSES[loss]}")
    try:
        await_networkd(node)
        assert state_of(node) != state
        assert_nothing_arrives(world)
        assert state_of(node) != state
    finally:
        node.run(f"systemctl start {GUARD}")
    await_state(node, state)
    assert_flows(world)
    healed = healed_by_guard(node)
    node.run(LOSSES[loss])
    report(f"{loss}: all is back {await_state(node, state, healed=healed):.0f} s later")
    await_networkd(node)
    assert_flows(world)


def test_a_link_outlives_its_parent_being_down(world: World) -> None:
    """The guard says that it waits, and leaves the link where it is: others may have put something on it."""
    node = world.node
    state, number = state_of(node), node.run(f"cat /sys/class/net/{LINK}/ifindex")
    node.run("ip link set eth1 down")
    try:
        waiting = f"link {LINK} waits: its parent eth1 is down"
        node.run(f"timeout 180 sh -c 'until grep -qF \"{waiting}\" {REPORT}; do sleep 0.5; done'")
    finally:
        node.run("ip link set eth1 up")
    await_state(node, state)
    assert node.run(f"cat /sys/class/net/{LINK}/ifindex") == number
    await_networkd(node)
    assert_flows(world)


def test_a_boot_without_the_parent(world: World) -> None:
    """The node boots all the same, the journal says what is missing, and once that is there nobody has to do anything."""
    node = world.node
    state, failed = state_of(node), failed_units(node)
    node.run(
        f"cat > {LATE_PARENT_FILE}; systemctl daemon-reload; systemctl enable {LATE_PARENT}", given=LATE_PARENT_TEXT
    )
    try:
        node.reboot()
        running = node.run("systemctl is-system-running --wait", check=False)
        assert (running, failed_units(node)) == ("degraded" if failed else "running", failed)
        assert node.run("ls /sys/class/net").split().count("eth1") == 0, "the control: it is missing"
        assert node.run(f"systemctl is-active {GUARD} kubelet.service").split() == ["active", "active"]
        begun, ready = moment(node, GUARD, "InactiveExit"), moment(node, GUARD, "ActiveEnter")
        assert moment(node, "kubelet.service", "InactiveExit") >= ready
        assert node.run("cat /run/link-at-start") == "missing"
        waiting = f"link {LINK} waits: its parent eth1 does not exist"
        assert waiting in told_by_guard(node).splitlines()
        assert f"Waiting: {waiting}" in node.run("metallb-routing status", check=False).splitlines()
        seen = state_of(node)
        assert LOOKUP in seen, "rules need no link"
        assert "-j HOMEWARD-PREROUTING" in seen, "nor do chains"
        node.run(BRING_PARENT)
        report(
            f"a parent that comes late: the boot goes on {ready - begun:.1f} s after the guard is begun; all is right"
            f" {await_state(node, state):.0f} s after the parent came"
        )
        await_networkd(node)
        assert_flows(world)
    finally:
        node.run(
            f"systemctl disable {LATE_PARENT}; rm {LATE_PARENT_FILE}; systemctl daemon-reload;"
            f" [ -e /sys/class/net/eth1 ] || {BRING_PARENT}"
        )


def failed_units(node: Machine) -> str:
    return node.run("systemctl list-units --failed --plain --no-legend --full | cut -d' ' -f1")


def test_remove_leaves_nothing(world: World, before: str) -> None:
    played = world.node.play("remove", variables())
    assert played.returncode == 0, played.stdout + played.stderr
    assert whole(world.node) == before
