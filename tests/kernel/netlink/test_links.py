# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links, written and read; the witness is ``ip -json``."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.links import (
    kernel_can_make,
    read_links,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rtnetlink import Rtnetlink
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Interface, Link, Ownership
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.link import PASSTHRU
from tests.support.namespace import Namespace
from tests.support.steps import OWNERSHIP, add, change, delete, inside, succeed, write, write_here

MAKE = {
    "vlan": "link add probe0 link eth0 type vlan id 4000",
    "macvlan": "link add probe0 link eth0 type macvlan",
    "dummy": "link add probe0 type dummy",
}


def _has_kind(namespace: Namespace, kind: str) -> bool:
    """Whether ``ip`` can create a link of the kind here."""
    command = ["ip", "-netns", namespace.name, *MAKE[kind].split()]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        return False
    namespace.ip("link delete probe0")
    return True


def _link(kind: str, name: str = "pool0.100", **fields: Any) -> Link:
    needed: dict[str, dict[str, Any]] = {"vlan": {"parent": "eth0", "vlan_id": 100}, "macvlan": {"parent": "eth0"}}
    return Link(name, kind, **{"mtu": 1400, **needed.get(kind, {}), **fields})


def _skip_without(namespace: Namespace, kind: str) -> None:
    if not _has_kind(namespace, kind):
        pytest.skip(f"this kernel has no {kind} links")


def _read(namespace: Namespace) -> tuple[dict[str, Interface], frozenset[Link]]:
    links = namespace.call(inside, lambda netlink: read_links(netlink, OWNERSHIP))
    return links.interfaces, links.managed


def _seen(namespace: Namespace) -> set[Link]:
    """Return the links with the alias of managed links, from ``ip -json``."""
    found = set()
    for item in namespace.ip_json("link show"):
        if item.get("ifalias") == OWNERSHIP.alias:
            info = item.get("linkinfo", {})
            vlan_id = info.get("info_data", {}).get("id", 0)
            up = "UP" in item["flags"]
            found.add(Link(item["ifname"], info["info_kind"], item.get("link", ""), vlan_id, item["mtu"], up))
    return found


@pytest.mark.parametrize("kind", MAKE)
def test_written_links_are_read_back(namespace: Namespace, kind: str) -> None:
    _skip_without(namespace, kind)
    links = {
        _link(kind),
        _link(kind, "fifteen.letters", mtu=1300, up=False, **({"vlan_id": 7} if kind == "vlan" else {})),
    }
    succeed(namespace, add(*links))
    assert _seen(namespace) == links
    assert _read(namespace)[1] == links
    succeed(namespace, delete(*links))
    assert _seen(namespace) == set()
    assert _read(namespace)[1] == set()


@pytest.mark.parametrize("kind", MAKE)
def test_a_change_keeps_the_device(namespace: Namespace, kind: str) -> None:
    _skip_without(namespace, kind)
    before = _link(kind)
    succeed(namespace, add(before))
    index = _read(namespace)[0][before.name].index
    for after in (_link(kind, mtu=1300), _link(kind, mtu=1300, up=False), _link(kind, mtu=1400, up=True)):
        succeed(namespace, [change(before, after)])
        assert _seen(namespace) == {after}
        before = after
    succeed(namespace, [change(before, _link(kind, mtu=0))])
    assert _seen(namespace) == {before}, "an MTU that is not desired stays"
    assert _read(namespace)[0][before.name].index == index


def test_every_link_of_the_node_is_read(namespace: Namespace) -> None:
    namespace.ip(
        "link add br0 type bridge",
        "link set peer0 master br0",
        "link set eth0 alias uplink",
        "link add mac0 link eth0 type macvlan mode passthru",
        "link property add dev mac0 altname one altname two",
    )
    interfaces, managed = _read(namespace)
    assert managed == set()
    seen = {item["ifname"]: item for item in namespace.ip_json("link show")}
    assert interfaces == {
        name: Interface(
            name=name,
            index=item["ifindex"],
            up="UP" in item["flags"],
            kind=item.get("linkinfo", {}).get("info_kind", ""),
            parent=item.get("link", "") if name == "mac0" else "",
            mtu=item["mtu"],
            alias=item.get("ifalias", ""),
            master=item.get("master", ""),
            mode=PASSTHRU if name == "mac0" else 0,
            altnames=tuple(item.get("altnames", ())),
        )
        for name, item in seen.items()
    }
    assert interfaces["mac0"].parent == "eth0"
    assert interfaces["mac0"].altnames == ("one", "two")
    assert interfaces["peer0"].master == "br0"
    assert interfaces["eth0"].alias == "uplink"


def test_a_link_of_another_kind_is_foreign_in_spite_of_the_alias(namespace: Namespace) -> None:
    namespace.ip(f"link set eth0 alias {OWNERSHIP.alias}")
    interfaces, managed = _read(namespace)
    assert managed == set()
    assert not interfaces["eth0"].managed


def test_a_link_that_cannot_be_configured_is_deleted_again(namespace: Namespace) -> None:
    before = namespace.ip_json("link show")
    alias_too_long = Ownership(alias="x" * 256)
    outcome = namespace.call(write_here, add(_link("macvlan")), alias_too_long)
    assert outcome.reason.startswith(("EINVAL: ", "ERANGE: "))
    assert namespace.ip_json("link show") == before


def test_a_vlan_with_a_parent_that_is_down_fails_and_leaves_no_link(namespace: Namespace) -> None:
    _skip_without(namespace, "vlan")
    namespace.ip("link set eth0 down")
    outcome = write(namespace, add(_link("vlan")))
    assert outcome.reason.startswith("ENETDOWN: Network is down (the parent is down")
    assert _seen(namespace) == set()


def test_no_step_follows_a_failure(namespace: Namespace) -> None:
    good = _link("macvlan", "good0")
    steps = add(good, _link("macvlan", "eth0"), _link("macvlan", "later0"))
    outcome = write(namespace, steps)
    assert (outcome.done, outcome.failed) == (tuple(steps[:1]), steps[1])
    assert _seen(namespace) == {good}


@pytest.mark.parametrize("kind", MAKE)
def test_a_missing_kind_is_named_with_its_module(namespace: Namespace, kind: str) -> None:
    if _has_kind(namespace, kind):
        assert namespace.call(inside, lambda netlink: kernel_can_make(netlink, kind))
        return
    module = {"vlan": "8021q", "dummy": "dummy", "macvlan": "macvlan"}[kind]
    words = {"vlan": "802.1Q"}.get(kind, kind)
    reason = write(namespace, add(_link(kind))).reason
    assert reason == f"EOPNOTSUPP: Unknown device type (this kernel does not support {words} (module {module}))"
    assert not namespace.call(inside, lambda netlink: kernel_can_make(netlink, kind))


def test_probing_for_a_kind_creates_no_link(namespace: Namespace) -> None:
    before = namespace.ip_json("link show")
    answers = namespace.call(
        inside, lambda netlink: [kernel_can_make(netlink, kind) for kind in ("veth", "bridge", "nonsense")]
    )
    assert answers == [True, True, False]
    assert namespace.ip_json("link show") == before


def test_without_cap_net_admin_the_reason_says_so(namespace: Namespace) -> None:
    reason, refusal = namespace.call(_as_nobody)
    assert reason.startswith("EPERM: Operation not permitted (needs root or CAP_NET_ADMIN")
    assert "EPERM" in refusal


def _as_nobody() -> tuple[str, str]:
    os.setresuid(65534, 65534, 65534)
    outcome = write_here(add(_link("macvlan")))
    with pytest.raises(NodeError) as refused:
        inside(_ask_for_veth)
    return outcome.reason, str(refused.value)


def _ask_for_veth(netlink: Rtnetlink) -> bool:
    return kernel_can_make(netlink, "veth")
