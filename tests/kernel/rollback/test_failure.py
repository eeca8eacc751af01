# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each step fails in turn, and steps fail for real causes: the node is as before, and the error names the step."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils import engine, verification
from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases import compile as compiling
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.iptables import restore
from ansible_collections.homeward.metallb_routing.plugins.module_utils.planning.placement import Placement
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import Step
from tests.kernel.rollback.failure import REASON, ROLLED_BACK, assert_restored, fails, intercept, trap
from tests.lab.snapshot import assert_same
from tests.support.agent import fake_systemd
from tests.support.locks import held
from tests.support.modules import warnings_of
from tests.support.node import Node
from tests.support.pools import ABSENT, EXTERNAL, SECOND, SHARED, STORAGE, Parameters, declared
from tests.support.snapshots import unchanged

POOLS = "pool_routing"
FIRST = declared(EXTERNAL, STORAGE)
CHANGED = declared({**EXTERNAL, "gateways": ["1.2.3.2", "fd00:1:2:3::2"], "deny": ["9.0.0.0/8"]}, SECOND, SHARED)
CAP_NET_ADMIN = 12
IPTABLES = {"iptables": "ipv4", "ip6tables": "ipv6"}
_libc = ctypes.CDLL(None, use_errno=True)


# --- every step in turn


def set_trap(number: int) -> None:
    fake_systemd()
    trap(number)


KEPT = {**FIRST, "persist": True}
KEPT_CHANGED = {**CHANGED, "persist": True}


@pytest.mark.parametrize(
    ("start", "end", "variant"),
    [
        (ABSENT, FIRST, "nft"),
        (FIRST, CHANGED, "nft"),
        (FIRST, CHANGED, "legacy"),
        (CHANGED, ABSENT, "nft"),
        (ABSENT, KEPT, "nft"),
        (KEPT, KEPT_CHANGED, "nft"),
        (KEPT_CHANGED, ABSENT, "nft"),
    ],
    ids=["come-nft", "change-nft", "change-legacy", "go-nft", "come-kept", "change-kept", "go-kept"],
)
def test_a_failure_of_any_step_is_rolled_back(node: Node, start: Parameters, end: Parameters, variant: str) -> None:
    """With the files of the agent and for the network managers, too."""
    node.change(POOLS, {**start, "iptables_variant": variant}, before=fake_systemd)
    end = {**end, "iptables_variant": variant}
    if end.get("persist"):
        planned = node.change(POOLS, end, check=True, before=fake_systemd)["commands"]
        assert any("/var/lib/homeward.metallb_routing/state.json" in line for line in planned)
    before = node.snapshot()
    tried = 0
    while True:
        answer = node.module(POOLS, end, before=partial(set_trap, tried))
        if not answer.get("failed"):
            break
        found = re.match(rf'step (\d+) of (\d+), "[^"]+", failed: {REASON}\. {ROLLED_BACK}', answer["msg"])
        assert found, answer["msg"]
        assert int(found[1]) == tried + 1
        tried += 1
        assert_restored(node, before)
    assert tried >= 15, "a plan with steps of every kind"
    assert tried == int(found[2]), "no step was passed over"
    assert before.difference(node.snapshot())


# --- real causes


def test_a_gateway_that_the_kernel_refuses_is_named(node: Node) -> None:
    routes = [
        {"destination": "5.6.7.0/24", "interface": "eth1", "table": "100"},
        {"destination": "fd56::/64", "interface": "eth1", "table": "100"},
        {"destination": "default", "gateway": "7.7.7.7", "interface": "eth1", "table": "100"},
        {"destination": "5.6.8.0/24", "interface": "eth1", "table": "100"},
    ]
    fails(node, {"routes": routes}, "default via 7.7.7.7 dev eth1", "ENETUNREACH", module="ip_routes")


def test_a_link_deleted_during_a_run_is_the_only_difference(node: Node) -> None:
    """A link is deleted after the node was read: everything else is as before."""
    before = node.snapshot()
    node.change(POOLS, FIRST)
    node.change(POOLS, ABSENT)
    assert_same(before, node.snapshot())

    def delete_link_before_routes(kind: str, steps: Sequence[Step], write: Callable[[Sequence[Step]], None]) -> None:
        if kind == "route" and Path("/proc/sys/net/ipv4/conf/eth0.100").exists():
            subprocess.run(["ip", "link", "delete", "eth0.100"], check=True)
        write(steps)

    answer = node.module(POOLS, FIRST, before=lambda: intercept(delete_link_before_routes))
    assert answer.get("failed"), answer
    assert "eth0.100" in answer["msg"]
    assert "ENODEV" in answer["msg"]
    left = before.differences(node.snapshot())
    assert all("eth0.100" in line for line in left), left
    assert not [line for line in left if ": +" in line], left


def test_a_held_xtables_lock_is_named_with_its_holder(node: Node) -> None:
    def wait_less() -> None:
        restore.write.__defaults__ = (1,)  # seconds, instead of ten

    with held(node.host, "flock", "/run/xtables.lock"):  # as kube-proxy does while it writes
        legacy = {**FIRST, "iptables_variant": "legacy"}
        fails(node, legacy, "xtables lock is held by pid ", "waited 1 s", before=wait_less)


@pytest.mark.parametrize(
    "file",
    ["net/ipv4/conf/eth0.100/rp_filter", "net/ipv4/conf/eth0.100/src_valid_mark", "net/ipv6/conf/eth0.100/accept_ra"],
)
def test_a_read_only_sysctl_is_named(node: Node, file: str) -> None:
    node.host.run(f"mount --bind /proc/sys/{file} /proc/sys/{file}; mount -o remount,bind,ro /proc/sys/{file}")
    fails(node, FIRST, file, "EROFS")


@pytest.mark.parametrize("folder", ["/etc/iproute2/rt_protos.d", "/run/homeward.metallb_routing"])
def test_a_full_file_system_is_named(node: Node, folder: str) -> None:
    node.host.run(
        f"mkdir -p {folder}; mount -t tmpfs -o size=4k,mode=700 tmpfs {folder}; head -c 4096 /dev/zero > {folder}/full"
    )
    fails(node, FIRST, "ENOSPC")


@pytest.mark.parametrize("family", ["iptables", "ip6tables"])
@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_iptables_removed_during_a_run_is_named(node: Node, family: str, variant: str) -> None:
    """As in a package upgrade: the programs of one family cannot be started any more."""

    def replace_programs() -> None:
        write = restore._write  # noqa: SLF001

        def upgrading(step: Step, *others: Any) -> str:
            if getattr(step.subject, "family", "") == IPTABLES[family]:
                program = f"/usr/sbin/{family}-{variant}-restore"
                subprocess.run(["mount", "--bind", "/dev/null", os.path.realpath(program)], check=True)
            try:
                return write(step, *others)
            finally:
                subprocess.run(["umount", "-q", os.path.realpath(f"/usr/sbin/{family}-{variant}-restore")], check=False)

        restore._write = upgrading  # noqa: SLF001

    fails(
        node,
        {**FIRST, "iptables_variant": variant},
        "change chains",
        f"no iptables-restore for {IPTABLES[family]}",
        before=replace_programs,
    )


def drop_net_admin() -> None:
    """Take CAP_NET_ADMIN from this process and all that it starts, root or not."""
    _libc.prctl(24, CAP_NET_ADMIN, 0, 0, 0)  # PR_CAPBSET_DROP
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    assert _libc.capget(header, data) == 0
    for low in (0, 1, 2):  # effective, permitted, inheritable
        data[low] &= ~(1 << CAP_NET_ADMIN)
    if _libc.capset(header, data):
        raise OSError(ctypes.get_errno(), "capset")


@pytest.mark.parametrize(
    ("module", "parameters"),
    [
        ("ip_links", {"links": [{"name": "mv0", "kind": "macvlan", "parent": "eth1"}]}),
        ("ip_routes", {"routes": [{"destination": "5.6.7.0/24", "interface": "eth1"}]}),
        ("ip_rules", {"rules": [{"priority": 5, "table": "100"}]}),
    ],
    ids=["ip_links", "ip_routes", "ip_rules"],
)
def test_missing_cap_net_admin_is_named(node: Node, module: str, parameters: dict[str, Any]) -> None:
    with unchanged(node):
        answer = node.module(module, parameters, before=drop_net_admin)
        assert answer.get("failed"), answer
        assert errno.errorcode[errno.EPERM] in answer["msg"]
        assert "CAP_NET_ADMIN" in answer["msg"]


def test_pools_without_cap_net_admin_are_refused(node: Node) -> None:
    """With either variant: managed chains of the other one could not be read."""
    for variant in ("nft", "legacy"):
        answer = node.refuse(POOLS, {**FIRST, "iptables_variant": variant}, before=drop_net_admin)
        assert "must be root" in answer["msg"]
        assert "nothing was changed" in answer["msg"]


# --- a change that would divert packets of the node


def without_refusals() -> None:
    """Have the declaration accepted, as if no refusal covered this way to divert traffic."""
    compiling.diverted_traffic = lambda *_others: iter(())


DIVERTING = {
    **STORAGE,
    "networks": ["10.9.8.10-10.9.8.60", "fd09:9:8::/64"],
    "onlink_networks": ["10.9.8.0/24", "9.8.0.0/16", "fd09::/16"],
}


@pytest.mark.parametrize(
    ("cluster", "host", "route"),
    [
        ({"api_servers": ["9.8.7.6"]}, "9.8.7.6, a Kubernetes API server", "eth0 via 192.168.1.1 to eth1"),
        ({"node_addresses": ["fd09::7"]}, "fd09::7, a node of the cluster", "eth0 via fd00:192:168:1::1 to eth1"),
    ],
)
@pytest.mark.parametrize("confirm_timeout", [0, 60])
def test_a_change_that_diverts_packets_of_the_node_is_rolled_back(
    node: Node, cluster: dict[str, list[str]], host: str, route: str, confirm_timeout: int
) -> None:
    declaration = declared(DIVERTING, cluster=cluster, confirm_timeout=confirm_timeout)
    with unchanged(node):
        answer = node.module(POOLS, declaration, before=without_refusals)
        assert answer.get("failed"), answer
        assert f"it would divert packets to {host}, from {route}. " in answer["msg"]
        assert answer["msg"].endswith(ROLLED_BACK)


def without_placement() -> None:
    """Leave the rules where they were declared, behind foreign ones."""
    engine.place_rules = lambda desired, _node: Placement(desired)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("confirm_timeout", [0, 60])
def test_a_change_that_diverts_packets_of_pools_is_rolled_back(node: Node, family: int, confirm_timeout: int) -> None:
    """Foreign rules alone, without a change for the worse, are a warning."""
    host = node.host
    host.run(f"ip -{family} rule add priority 100 lookup main")
    node.change(POOLS, declared(EXTERNAL))
    more = declared({**EXTERNAL, "networks": [*EXTERNAL["networks"], "1.2.7.0/24"]}, confirm_timeout=confirm_timeout)
    with unchanged(node):
        answer = node.module(POOLS, more, before=without_placement)
        assert answer.get("failed"), answer
        assert "it would divert packets of pools: a reply of " in answer["msg"]
        assert f"instead of eth0.100 via {EXTERNAL['gateways'][family == 6]}. " in answer["msg"]
        assert answer["msg"].endswith(ROLLED_BACK)
    node.change(POOLS, more)


@pytest.mark.parametrize("family", [4, 6])
def test_foreign_rules_that_were_before_the_managed_ones_are_a_warning(node: Node, family: int) -> None:
    host = node.host
    host.run(f"ip -{family} rule add priority 100 lookup main")
    pool = declared({**EXTERNAL, "rp_filter": "leave"})
    answer = node.module(POOLS, pool, before=without_placement)
    (warning,) = [text for text in warnings_of(answer) if "[reply-diverted]" in text]
    assert 'the rule "priority 100 from all lookup main", which is managed by someone else, matches it first' in warning
    again = node.module(POOLS, pool, before=without_placement)
    assert (again["changed"], warning in warnings_of(again)) == (False, True)


def without_answers_after_the_change() -> None:
    """Have the kernel answer the questions before the change only."""
    look_up = verification.look_up

    def once(*arguments: Any) -> Any:
        verification.look_up = broken
        return look_up(*arguments)

    def broken(*_arguments: Any) -> Any:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    verification.look_up = once


def test_a_change_that_cannot_be_verified_is_rolled_back(node: Node) -> None:
    with unchanged(node):
        answer = node.module(POOLS, FIRST, before=without_answers_after_the_change)
        assert answer.get("failed"), answer
        assert answer["msg"].startswith("The change must not stay: OSError: "), answer["msg"]
        assert answer["msg"].endswith(ROLLED_BACK)


def test_packets_of_the_node_may_return_to_their_route_without_the_pools(node: Node) -> None:
    cluster = {"api_servers": ["9.8.7.6"]}
    node.change(POOLS, declared(DIVERTING))
    answer = node.change(POOLS, declared(STORAGE, cluster=cluster))
    assert answer["changed"]
    node.change(POOLS, ABSENT)
