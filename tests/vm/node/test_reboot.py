# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The applied state survives reboots without Ansible, networkd and lost links. Each test continues the one before."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.lab.snapshot import clean_save
from tests.support.pools import CLUSTER, EXTERNAL

from .conftest import Environment, report
from .machine import Machine
from .network import Flow

LINK = "eth1.100"
LOOKUP = "lookup 7701"
LAN_ADDRESS = "192.168.1.11"
AGENT = "homeward-metallb-routing.service"
DROP_IN = "/etc/systemd/networkd.conf.d/50-homeward-metallb-routing.conf"
REPORT = "/run/homeward-metallb-routing/agent.json"
#: Services with an endpoint on node1: a pod with Local policy, the host network, and a dual-stack service.
ADDRESSES = {"1.2.3.7": "pod1", "1.2.3.10": "host1", "fd00:1:2:3::21": "pod1"}
#: State that the collection manages or that decides about its packets.
STATE_COMMANDS = (
    f"ip -details -brief link show {LINK} | sed 's/[0-9]*: //'; cat /sys/class/net/{LINK}/ifalias",
    f"ip -brief address show {LINK}",
    "ip rule; ip -6 rule",
    "ip route show table 7701; ip -6 route show table 7701",
    "iptables-save -t mangle | grep HOMEWARD; iptables-save -t raw | grep HOMEWARD",
    "ip6tables-save -t mangle | grep HOMEWARD; ip6tables-save -t raw | grep HOMEWARD",
    f"sysctl net/ipv4/conf/{LINK}/rp_filter net/ipv4/conf/{LINK}/src_valid_mark net/ipv6/conf/{LINK}/accept_ra || true",
)
#: Removes the parent link before the agent starts, like a driver that is loaded late.
LATE_PARENT = "late-parent.service"
LATE_PARENT_FILE = f"/etc/systemd/system/{LATE_PARENT}"
LATE_PARENT_TEXT = f"""\
[Unit]
DefaultDependencies=no
Wants=sys-subsystem-net-devices-eth1.device
After=sys-subsystem-net-devices-eth1.device
Before=systemd-networkd.service {AGENT}
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'basename $(readlink /sys/class/net/eth1/device) > /run/late-parent'
ExecStart=/bin/sh -c 'cat /run/late-parent > /sys/bus/virtio/drivers/virtio_net/unbind'
[Install]
WantedBy=multi-user.target
""".encode()
RESTORE_PARENT = "cat /run/late-parent > /sys/bus/virtio/drivers/virtio_net/bind"
#: State that removal has to restore.
REMOVAL_COMMANDS = (
    "ip link | grep -v link/ | sed 's/^[0-9]*: //; s/@if[0-9]*//' | sort",
    "ip rule; ip -6 rule",
    "ip -4 route show table all | sort; ip -6 route show table all | grep -v expires | sort",
    "find / /run -xdev -iname '*homeward*' -not -path '/tmp/*'",
)
SAVE_COMMANDS = ("iptables-save", "ip6tables-save")


def state_of(node: Machine) -> str:
    """Return the state that the collection manages. Without the link some commands fail, but not the last."""
    return node.run("; ".join(f"echo '# {index}'; {text}" for index, text in enumerate(STATE_COMMANDS)))


def full_state(node: Machine) -> str:
    """Return all state that removal has to restore, without empty iptables tables."""
    seen = node.run("; ".join(f"echo '# {index}'; {text}" for index, text in enumerate(REMOVAL_COMMANDS)), check=False)
    return "\n".join([seen, *(clean_save(node.run(command)) for command in SAVE_COMMANDS)])


def variables() -> Mapping[str, Any]:
    own = ["1.2.3.251", "fd00:1:2:3::251"]
    pool = {**EXTERNAL, "interface": LINK, "vlan": {"parent": "eth1", "id": 100}, "addresses": own}
    return {
        "metallb_routing_pools": [pool],
        "metallb_routing_cluster": dict(CLUSTER),
        "metallb_routing_persist": True,
        # The default may be too short for an emulated node on a busy machine
        "metallb_routing_confirm_timeout": 600,
    }


def flows(environment: Environment, timeout: float = 60.0) -> dict[Flow, str]:
    """Run flows to each address from the client behind the pool's router, by TCP and UDP."""
    return environment.network.reach(
        [(address, protocol) for address in ADDRESSES for protocol in ("tcp", "udp")], timeout
    )


def assert_flows(environment: Environment) -> None:
    assert flows(environment) == {
        (address, protocol): name for address, name in ADDRESSES.items() for protocol in ("tcp", "udp")
    }


def assert_nothing_arrives(environment: Environment) -> None:
    assert [answer[:3] for answer in flows(environment, timeout=10.0).values()] == ["no:"] * 2 * len(ADDRESSES)


@pytest.fixture(scope="module")
def before(environment: Environment) -> str:
    """The state of the node before apply."""
    return full_state(environment.node)


@pytest.fixture
def agent_stopped(environment: Environment) -> Iterator[None]:
    """Stop the agent, which would restore lost state immediately and so hide the loss."""
    environment.node.run(f"systemctl stop {AGENT}")
    yield
    environment.node.run(f"systemctl start {AGENT}")


def restart_networkd(node: Machine) -> None:
    """Restart networkd and wait until it has configured all links, which includes the removal of foreign state."""
    node.run("networkctl reload && systemctl restart systemd-networkd.service")
    wait_for_networkd(node)


def wait_for_networkd(node: Machine) -> None:
    """Wait until networkd has configured its links."""
    node.run("/usr/lib/systemd/systemd-networkd-wait-online --interface=eth0 --interface=eth1 --timeout=120")


def test_nothing_arrives_before_apply(environment: Environment, before: str) -> None:
    """The control: with only the link, created by hand, nothing arrives, although all services are running."""
    assert LINK not in before
    node = environment.node
    node.run(f"ip link add link eth1 name {LINK} type vlan id 100 && ip link set {LINK} up")
    try:
        node.run("for address in 1.2.3.7 1.2.3.10; do timeout 60 bash -c ': >/dev/tcp/'$address'/80'; done")
        assert_nothing_arrives(environment)
        assert networkd_state(node) != "unmanaged", "the control: networkd takes every link"
    finally:
        node.run(f"ip link del {LINK}")


def networkd_state(node: Machine) -> str:
    """Return whether networkd is configuring the pool's link or has, failed, or leaves it unmanaged, once it has decided."""
    file = f"/run/systemd/netif/links/{node.run(f'cat /sys/class/net/{LINK}/ifindex')}"
    node.run(f"timeout 120 sh -c 'until grep -q ^ADMIN_STATE=[cfu] {file}; do sleep 0.2; done'")
    return node.run(f"sed -n s/^ADMIN_STATE=//p {file}")


def test_apply_keeps_ssh_sessions(environment: Environment, before: str) -> None:  # noqa: ARG001 - read before apply
    """A session over the parent of the pool's link, opened before apply, still works afterwards."""
    with subprocess.Popen(
        environment.network.in_lan(environment.node.command_to(LAN_ADDRESS, 22, "cat")),
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
            played = environment.node.play("apply", variables())
            assert played.returncode == 0, played.stdout + played.stderr
            assert networkd_state(environment.node) == "unmanaged"
            session.stdin.write("after\n")
            assert session.stdout.readline() == "after\n"
        finally:
            session.kill()
    assert_flows(environment)


def test_apply_again_changes_nothing(environment: Environment) -> None:
    played = environment.node.play("apply", variables())
    assert played.returncode == 0, played.stdout + played.stderr
    assert "changed=0 " in played.stdout, played.stdout


def test_reboot(environment: Environment) -> None:
    """State and packets are correct after a reboot without Ansible, and the link is up before kubelet starts."""
    node = environment.node
    state = state_of(node)
    seconds = node.reboot()
    node.run(f"systemctl is-system-running --wait; systemctl is-active {AGENT} kubelet.service")
    assert state_of(node) == state
    assert networkd_state(node) == "unmanaged"
    assert node.run("cat /run/link-at-start") == "up", agent_journal(node)
    assert_flows(environment)
    started, ready = moment(node, AGENT, "InactiveExit"), moment(node, AGENT, "ActiveEnter")
    kubelet = moment(node, "kubelet.service", "InactiveExit")
    report(
        f"reboot until ssh responds: {seconds:.0f} s; from the start of the kernel to the desired state: {ready:.1f} s"
        f" (sshd {moment(node, 'ssh.service', 'ActiveEnter'):.1f} s, agent started {started:.1f} s, kubelet {kubelet:.1f} s)"
    )
    assert ready <= kubelet


def moment(node: Machine, unit: str, change: str) -> float:
    """Return the time of a unit's last change, in seconds from the start of the kernel.

    The agent is active once the node is in the desired state.
    """
    return int(node.run(f"systemctl show --value --property {change}TimestampMonotonic {unit}")) / 1e6


@pytest.mark.usefixtures("agent_stopped")
def test_restart_of_networkd_removes_nothing(environment: Environment) -> None:
    state = state_of(environment.node)
    restart_networkd(environment.node)
    assert state_of(environment.node) == state
    assert networkd_state(environment.node) == "unmanaged"
    assert_flows(environment)


def test_without_the_drop_in_networkd_removes_the_rules(environment: Environment) -> None:
    """The control for the drop-in. The agent restores the rules at its start, and again while it is running."""
    node = environment.node
    state = state_of(node)
    assert LOOKUP in state
    node.run(f"systemctl stop {AGENT}; mv {DROP_IN} /run/drop-in")
    try:
        restart_networkd(node)
        assert LOOKUP not in node.run("ip rule; ip -6 rule")
        assert_nothing_arrives(environment)
        node.run(f"systemctl start {AGENT}")
        assert state_of(node) == state
        restart_networkd(node)
        report(f"rules that networkd removed are restored {wait_for_state(node, state):.0f} s after it has finished")
        assert_flows(environment)
    finally:
        node.run(f"mv /run/drop-in {DROP_IN}; systemctl start {AGENT}")
        restart_networkd(node)


def wait_for_state(node: Machine, desired: str, limit: float = 180.0, restored: int = -1) -> float:
    """Wait until the agent has restored the state; return the seconds it took, accurate to about one.

    :param restored: also wait until the agent has restored more objects than this.
    """
    began = time.monotonic()
    while (current := state_of(node)) != desired or restored_objects(node) <= restored:
        assert time.monotonic() < began + limit, f"not restored in {limit:.0f} s:\n{current}\n{agent_journal(node)}"
    seconds = time.monotonic() - began
    # Datagrams are lost until duplicate address detection on the new link has finished
    node.run(f"timeout 60 sh -c 'while ip address show dev {LINK} tentative | grep -q inet6; do sleep 0.2; done'")
    return seconds


def restored_objects(node: Machine) -> int:
    """Return the number of objects that the agent has restored since its start."""
    return sum(json.loads(node.run(f"cat {REPORT}"))["healed"].values())


def agent_journal(node: Machine) -> str:
    """Return the agent's journal of this boot."""
    return node.run(f"journalctl --boot --output cat --unit {AGENT}")


LOSSES = {
    "the parent down and up": "ip link set eth1 down; sleep 1; ip link set eth1 up",
    "the link down": f"ip link set {LINK} down",
    "the link deleted": f"ip link del {LINK}",
}


@pytest.mark.parametrize("loss", LOSSES)
def test_lost_link_is_restored(environment: Environment, loss: str) -> None:
    """Without the agent nothing arrives until it is started; with it the link and everything on it are restored."""
    node = environment.node
    state = state_of(node)
    assert LOOKUP in state
    node.run(f"systemctl stop {AGENT}; {LOSSES[loss]}")
    try:
        wait_for_networkd(node)
        assert state_of(node) != state
        assert_nothing_arrives(environment)
        assert state_of(node) != state
    finally:
        node.run(f"systemctl start {AGENT}")
    wait_for_state(node, state)
    assert_flows(environment)
    assert networkd_state(node) == "unmanaged"
    restored = restored_objects(node)
    node.run(LOSSES[loss])
    report(f"{loss}: restored after {wait_for_state(node, state, restored=restored):.0f} s")
    wait_for_networkd(node)
    assert_flows(environment)


def test_link_is_kept_while_its_parent_is_down(environment: Environment) -> None:
    """The agent reports that it waits, and does not recreate the link, which may carry foreign state."""
    node = environment.node
    state, number = state_of(node), node.run(f"cat /sys/class/net/{LINK}/ifindex")
    node.run("ip link set eth1 down")
    try:
        waiting = f"link {LINK} waits: its parent eth1 is down"
        node.run(f"timeout 180 sh -c 'until grep -qF \"{waiting}\" {REPORT}; do sleep 0.5; done'")
    finally:
        node.run("ip link set eth1 up")
    wait_for_state(node, state)
    assert node.run(f"cat /sys/class/net/{LINK}/ifindex") == number
    wait_for_networkd(node)
    assert_flows(environment)


def test_boot_without_the_parent(environment: Environment) -> None:
    """The node boots, the agent reports what is missing, and restores the state when the parent appears."""
    node = environment.node
    state, failed = state_of(node), failed_units(node)
    node.run(
        f"cat > {LATE_PARENT_FILE}; systemctl daemon-reload; systemctl enable {LATE_PARENT}", stdin=LATE_PARENT_TEXT
    )
    try:
        node.reboot()
        running = node.run("systemctl is-system-running --wait", check=False)
        assert (running, failed_units(node)) == ("degraded" if failed else "running", failed)
        assert node.run("ls /sys/class/net").split().count("eth1") == 0, "the control: the parent is missing"
        assert node.run(f"systemctl is-active {AGENT} kubelet.service").split() == ["active", "active"]
        started, ready = moment(node, AGENT, "InactiveExit"), moment(node, AGENT, "ActiveEnter")
        assert moment(node, "kubelet.service", "InactiveExit") >= ready
        assert node.run("cat /run/link-at-start") == "missing"
        waiting = f"link {LINK} waits: its parent eth1 does not exist"
        assert waiting in agent_journal(node).splitlines()
        assert f"Waiting: {waiting}" in node.run("metallb-routing status", check=False).splitlines()
        seen = state_of(node)
        assert LOOKUP in seen, "rules need no link"
        assert "-j HOMEWARD-PREROUTING" in seen, "chains need no link"
        node.run(RESTORE_PARENT)
        report(
            f"late parent: the boot continues {ready - started:.1f} s after the start of the agent; the state is restored"
            f" {wait_for_state(node, state):.0f} s after the parent appears"
        )
        wait_for_networkd(node)
        assert_flows(environment)
    finally:
        node.run(
            f"systemctl disable {LATE_PARENT}; rm {LATE_PARENT_FILE}; systemctl daemon-reload;"
            f" [ -e /sys/class/net/eth1 ] || {RESTORE_PARENT}"
        )


def failed_units(node: Machine) -> str:
    return node.run("systemctl list-units --failed --plain --no-legend --full | cut -d' ' -f1")


def test_removal_restores_the_state(environment: Environment, before: str) -> None:
    played = environment.node.play("remove", variables())
    assert played.returncode == 0, played.stdout + played.stderr
    assert full_state(environment.node) == before
