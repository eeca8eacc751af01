# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random losses in a row, each by itself, and a hundred kills at random points."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.agent import once, service
from tests.kernel.agent.losses import ACCEPT, FOREIGN_LINK, Loss
from tests.lab import Host
from tests.lab.snapshot import Snapshot, assert_same
from tests.lab.waiting import wait_until
from tests.support.agent import Agent, command, status_json
from tests.support.examples import printed_seed
from tests.support.foreign_writers import foreign_writers
from tests.support.node import Node
from tests.support.snapshots import restorable

pytestmark = [pytest.mark.usefixtures("persisted"), pytest.mark.random]

KILLS = 100
RESET_EVERY = 5  # losses; a hundred losses a minute of the same object would make the agent back off
#: Foreign objects, some in the managed table and beside managed rules and chains
FOREIGN = (
    "ip rule add priority 2750 from 198.51.100.0/24 lookup 99",
    "ip rule add priority 1500 fwmark 0x10000/0x10000 lookup main protocol static",
    "ip route add 198.51.100.0/24 via 1.2.3.60 dev eth0.100 table 7701 onlink",
    "ip route add 203.0.113.0/24 via 192.168.1.1 table 99 proto static",
    "ip -6 route add fd00:51::/64 via fd00:192:168:1::1 table 7701",
    "iptables-nft -w -t mangle -N cali-PREROUTING",
    "iptables-nft -w -t mangle -A cali-PREROUTING -s 198.51.100.9 -j MARK --set-xmark 0x10000/0x10000",
    "iptables-nft -w -t mangle -A PREROUTING -j cali-PREROUTING",
    "ip6tables-nft -w -t raw -A PREROUTING -s fd00:51::9 -j ACCEPT",
    "ip address add 198.51.100.77/32 dev eth1",
    "ip address add 198.51.100.78/32 dev eth0.100",  # all routes over a link are removed with its last address
)
#: Those that need no lab around the node
LOSSES = [loss for loss in FOREIGN_LINK if loss.lines]
#: Of them, those that would also delete foreign objects, or that cause no event
WIDE = (
    "link set down and up",
    "all IPv4 addresses of the link flushed",
    "table flushed",
    "built-in chain flushed",
    "whole table mangle flushed",
    "ruleset of nftables flushed",
    "src_valid_mark changed",
)
OWN_LOSSES = [loss for loss in LOSSES if loss.name not in WIDE]
assert len(LOSSES) == len(OWN_LOSSES) + len(WIDE)
ALL_LOST = (
    *(
        line
        for family, program in (("-4", "iptables-nft"), ("-6", "ip6tables-nft"))
        for line in (
            f"ip {family} rule flush protocol 77",
            f"ip {family} route flush table all proto 77",
            f"ip {family} address flush dev eth0.100 scope global",
            f"{program} -w -t mangle -F",
            f"{program} -w -t mangle -X",
            f"{program} -w -t raw -D PREROUTING 1",
        )
    ),
    "sysctl -qw net/ipv4/conf/eth0.100/rp_filter=2 net/ipv4/conf/eth0.100/src_valid_mark=0",
)


@pytest.fixture
def seed() -> int:
    """A seed that is printed, so that a failure can be reproduced."""
    return printed_seed()


@pytest.mark.parametrize(
    ("foreign", "losses", "count"),
    [(FOREIGN, OWN_LOSSES, 200), ((), LOSSES, 80)],
    ids=["managed beside foreign", "all without foreign"],
)
def test_repeated_losses_are_all_reconciled(
    node: Node, tmp_path: Path, seed: int, foreign: tuple[str, ...], losses: list[Loss], count: int
) -> None:
    host, chance = node.host, random.Random(seed)
    host.run("\n".join(foreign))
    with Agent(host, tmp_path) as agent:
        # A foreign rule that matches replies has the managed rules moved before it.
        wait_until(lambda: status_json(host)[1]["missing"] == [], agent.log)
        right = restorable(host)
        assert_stable(agent, right)
        pid, memory = agent.pid, []
        for number in range(1, count + 1):
            lose(host, chance.choice(losses).lines)
            time.sleep(chance.choice((0.0, 0.0, 0.02, 0.1)))  # during a reconciliation, and after it
            if number % RESET_EVERY == 0:
                agent.reset_backoff()
            if number in (count // 4, count):
                agent.reset_backoff()
                remove_foreign(host)
                agent.wait_until_restored(right)
                memory.append(agent.memory())
        assert agent.pid == pid
        agent.signal(signal.SIGHUP)  # it is alive
        assert sum(agent.report()["healed"].values()) > count / 2
        assert "Traceback" not in agent.log()
        assert_stable(agent, right)
        early, late = memory
        assert abs(late - early) <= early / 10, memory


def assert_stable(agent: Agent, right: Snapshot) -> None:
    """Assert that the agent has nothing to reconcile, also when it checks everything again."""
    agent.reset_backoff()
    done = agent.log().count("reconciled: ")
    for _time in range(3):
        agent.reset_backoff()
    assert agent.log().count("reconciled: ") == done, agent.log()
    assert_same(right, restorable(agent.host))


def remove_foreign(host: Host) -> None:
    """Remove the foreign rules that losses have added."""
    while not host.run(f"iptables-nft -w -t mangle -D PREROUTING {ACCEPT}", check=False).returncode:
        pass


def lose(host: Host, lines: tuple[str, ...]) -> None:
    """Cause the loss, whether or not its objects still exist."""
    host.run("\n".join(f"{line} || true" for line in lines))


@pytest.mark.parametrize(
    ("kills", "writers"),
    [(KILLS, False), pytest.param(1000, True, marks=pytest.mark.slow)],
    ids=["few", "many"],
)
def test_the_next_start_reconciles_whatever_a_kill_leaves(
    node: Node, tmp_path: Path, seed: int, request: pytest.FixtureRequest, kills: int, *, writers: bool
) -> None:
    host, chance = node.host, random.Random(seed)
    right = restorable(host)
    everything, usual = _whole_restore(host)
    half_done = number = 0
    assert everything > 20
    stack = ExitStack()
    request.addfinalizer(stack.close)
    for number in range(3 * kills):  # until enough of them have hit the work half done
        if number >= kills and half_done >= kills / 10:
            break
        if writers and number % 10 == 1:
            stack.enter_context(foreign_writers(host, first=False))
        lose(host, ALL_LOST)
        victim = (once.restore, _serve)[number % 2]
        if number % 10:
            _kill(host, victim, partial(time.sleep, chance.uniform(0, 1.2 * usual)))
        else:
            _kill_the_command(host, ("restore", "agent")[number // 10 % 2], chance)
        # The next start is of the other program half of the times, among many kills one of ten times.
        if number % 4 < 2 or (writers and number % 10):
            missing = len(host.call_in_child(once.restore)[0])
        else:
            missing = len(host.call_in_child(once.check)[1].steps)
            assert _kill(host, _serve, _await_restored), "the agent ended by itself"
        half_done += 0 < missing < everything
        # The duration changes with the load of the machine; a kill that is too early or too late hits nothing.
        usual *= {0: 0.9, everything: 1.1}.get(missing, 1.0)
        if not writers or number % 10 == 0:
            drift = host.call_in_child(once.check)[1]
            assert (drift.steps, drift.waiting) == ((), ()), f"kill {number}"
        if number % 10 == 0:
            stack.close()
            assert_same(right, restorable(host))
    stack.close()
    assert_same(right, restorable(host))
    assert half_done >= kills / 10, f"only {half_done} kills hit the work half done, so they show little"
    print(f"{number} kills, {half_done} of which hit the work half done")
    with Agent(host, tmp_path) as agent:
        assert status_json(host)[0] == 0
        assert "reconciled" not in agent.log()


def _whole_restore(host: Host) -> tuple[int, float]:
    """Return the number of steps of a complete restore, and the seconds that it takes."""
    lose(host, ALL_LOST)
    start = time.monotonic()
    done, _waiting = host.call_in_child(once.restore)
    return len(done), time.monotonic() - start


def _serve() -> None:
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        service.Agent("").run()


def _kill(host: Host, victim: Callable[[], object], wait: Callable[[], object]) -> bool:
    """Run the victim on the node in a process of its own, so that no import delays it, and kill it after the wait.

    :returns: whether it still ran.
    """

    def run() -> bool:
        child = os.fork()
        if not child:
            with suppress(BaseException):
                victim()
            os._exit(0)
        wait()
        os.kill(child, signal.SIGKILL)
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])

    return host.call_in_child(run)


def _await_restored() -> None:
    wait_until(lambda: not once.check()[1].steps, "everything is restored")


def _kill_the_command(host: Host, word: str, chance: random.Random) -> None:
    process = host.start(command(word))
    time.sleep(chance.uniform(0, 0.8))
    process.kill()
    process.communicate()
