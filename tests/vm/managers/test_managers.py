# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network managers that take every link do not manage the collection's. Each test continues the one before.

A foreign link is the control: whenever the manager has taken that one, it has also had the time to take the pool's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.pools import CLUSTER, EXTERNAL
from tests.vm.node.machine import Machine

from .conftest import Environment

LINK, OTHER = "eth1.100", "eth1.101"
AGENT = "homeward-metallb-routing.service"
OWN_FILES = "grep -rsl homeward /etc /run/systemd/network /run/systemd/networkd.conf.d /run/NetworkManager | sort"
#: Everything that a manager would change.
STATE = (
    f"ip -brief address show dev {LINK} | sed 's/@.*UP/ UP/'; ip -4 route show default; ip -6 route show default;"
    f" ip route show dev {LINK}; ip -details link show dev {LINK} | grep -o 'addrgenmode [a-z0-9]*';"
    f" cat /sys/class/net/{LINK}/ifalias;"
    " ip rule | grep -c 'proto 77'; ip route show table 7701"
)
EVENTS = {
    "reload": "{setup.reload}",
    "restart": "{setup.restart}",
    "parent flap": "ip link set eth1 down; sleep 1; ip link set eth1 up",
    "link deleted": f"ip link del {LINK}",
}


def variables() -> Mapping[str, Any]:
    pool = {**EXTERNAL, "interface": LINK, "vlan": {"parent": "eth1", "id": 100}, "addresses": ["1.2.3.251"]}
    return {
        "metallb_routing_pools": [pool],
        "metallb_routing_cluster": dict(CLUSTER),
        "metallb_routing_confirm_timeout": 600,
    }


def await_that(node: Machine, condition: str, seconds: int = 180) -> None:
    node.run(f"timeout {seconds} sh -c {_quoted(f'until {condition}; do sleep 0.5; done')} 2>/dev/null")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def make_link(node: Machine, name: str) -> None:
    node.run(f"ip link del {name} 2>/dev/null; ip link add link eth1 name {name} type vlan id {name.partition('.')[2]}")
    node.run(f"ip link set {name} up")


def await_taken(environment: Environment, name: str) -> None:
    """Wait until the manager has taken a link that is not the collection's."""
    await_that(environment.node, environment.setup.taken.format(link=name))


def settled_state(environment: Environment) -> str:
    """Return the state after the manager has taken another new link."""
    make_link(environment.node, OTHER)
    await_taken(environment, OTHER)
    environment.node.run(f"ip link del {OTHER}")
    return environment.node.run(STATE)


def state_again(environment: Environment, state: str) -> str:
    """Return the state once the manager has settled and the agent has restored what was changed."""
    found = settled_state(environment)
    for _attempt in range(60):
        if found == state:
            break
        environment.node.run("sleep 1")
        found = environment.node.run(STATE, check=False)
    return found


@pytest.fixture(scope="module")
def applied(environment: Environment) -> str:
    """The state after apply."""
    played = environment.node.play("apply", variables())
    assert played.returncode == 0, played.stdout + played.stderr
    return settled_state(environment)


def test_the_manager_takes_every_link(environment: Environment) -> None:
    """The control: with a link that was created by hand."""
    make_link(environment.node, LINK)
    await_taken(environment, LINK)
    environment.node.run(f"ip link del {LINK}")


def test_apply_is_rolled_back_if_the_manager_takes_the_link_all_the_same(environment: Environment) -> None:
    node, file = environment.node, "/etc/systemd/network/00-00-a.network"
    if "networkctl" not in environment.setup.reload:
        pytest.skip("for systemd-networkd, by a file that comes before the collection's")
    node.run(f"printf '[Match]\\nName=eth1.*\\n[Network]\\nDHCP=yes\\n' > {file}")
    try:
        played = node.play("apply", variables())
        assert played.returncode != 0
        assert f"{LINK} is managed by a network manager: systemd-networkd configures it as {file} says" in played.stdout
        assert "The change was rolled back; the node is as before." in played.stdout
        assert node.run(f"ls /sys/class/net | grep -c {LINK}", check=False) == "0"
        assert node.run(OWN_FILES) == ""
    finally:
        node.run(f"rm {file}; networkctl reload")


def test_apply_leaves_the_link_unmanaged(applied: str) -> None:
    lines = applied.splitlines()
    assert "1.2.3.251/32" in lines[0]
    assert "fe80::" in lines[0]
    assert "100.64." not in applied


def test_apply_again_changes_nothing(environment: Environment, applied: str) -> None:
    played = environment.node.play("apply", variables())
    assert "changed=0 " in played.stdout, played.stdout
    assert "is managed by a network manager" not in played.stdout
    assert environment.node.run(STATE) == applied


@pytest.mark.parametrize("event", EVENTS)
def test_the_link_stays_unmanaged(environment: Environment, applied: str, event: str) -> None:
    environment.node.run(EVENTS[event].format(setup=environment.setup))
    assert state_again(environment, applied) == applied


def test_reboot(environment: Environment, applied: str) -> None:
    environment.node.reboot()
    await_that(environment.node, f"systemctl is-active --quiet {AGENT}", 380)
    assert state_again(environment, applied) == applied


def test_without_its_file_the_manager_takes_the_link(environment: Environment, applied: str) -> None:
    """The control for the file: the same link, but the manager does not know of it."""
    node, setup = environment.node, environment.setup
    node.run(
        f"systemctl stop {AGENT}; mkdir /var/tmp/kept; cp -a /etc /var/tmp/kept/; {setup.excludes}; {setup.restart}"
    )
    try:
        await_taken(environment, LINK)
        assert node.run(STATE) != applied
    finally:
        node.run(f"cp -a /var/tmp/kept/etc / ; {setup.restart}; ip link del {LINK}; systemctl start {AGENT}")
    assert state_again(environment, applied) == applied


def test_after_removal_the_manager_takes_the_link(environment: Environment) -> None:
    """Its files are removed, and it has read that."""
    played = environment.node.play("remove", variables())
    assert played.returncode == 0, played.stdout + played.stderr
    assert environment.node.run(OWN_FILES) == ""
    make_link(environment.node, LINK)
    await_taken(environment, LINK)
