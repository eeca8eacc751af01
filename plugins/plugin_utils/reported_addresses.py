# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses that a node reported when it was asked, or that Ansible gathered as facts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.family import (
    FAMILIES,
    IPV4,
    IPV6,
    family_of,
    full_length,
)

#: The variable in which the task file ``addresses.yml`` of the role ``node`` registers the answer of a node.
ANSWER = "metallb_routing_answer"
#: How it separates the outputs of its commands.
_SEPARATOR = ";"
_FAMILIES_OF_IP = {"inet": IPV4, "inet6": IPV6}
_UNUSABLE = ("temporary", "tentative", "dadfailed", "deprecated")

Addresses = Mapping[str, Sequence[str]]


class NoAnswer(Exception):
    """The node did not say which addresses it has; the text is the reason."""


def read_answer(answer: Mapping[str, Any]) -> Addresses:
    """Return the addresses of each family that a node reported as its own.

    These are the global addresses on the links of its default routes, and on the link that the connection used, without
    temporary ones and without single addresses (/32, /128) next to others: a virtual IP moves between nodes.

    :param answer: the result of the task.
    :raises NoAnswer: the node was unreachable, or has no such link.
    """
    if answer.get("unreachable"):
        raise NoAnswer("the node is unreachable")
    try:
        addresses, *routes, connection = _outputs(str(answer["stdout"]))
        links = {link["ifname"]: link["addr_info"] for link in json.loads(addresses) if link.get("addr_info")}
        uplinks = {dev for text in routes for route in json.loads(text or "[]") for dev in _devices(route)}
    except (KeyError, TypeError, ValueError) as error:
        reason = str(answer.get("stderr") or answer.get("msg") or "").strip()
        raise NoAnswer(f"the node could not list its addresses ({reason or 'unexpected output'})") from error
    local = connection.split()[2:3]  # sshd(8), SSH_CONNECTION: addresses and ports of the client and the server
    uplinks |= {name for name, items in links.items() if {item.get("local") for item in items} & set(local)}
    chosen = [items for name, items in links.items() if name in uplinks]
    if not chosen:
        raise NoAnswer("the node has no default route that shows which of its addresses the cluster uses")
    return {family: [one for items in chosen for one in _of_link(items, family)] for family in FAMILIES}


def _outputs(text: str) -> list[str]:
    """Return the outputs of the three commands, and the connection.

    :raises ValueError: there are fewer.
    """
    outputs = [""]
    for line in text.splitlines():
        if line.strip() == _SEPARATOR:
            outputs.append("")
        else:
            outputs[-1] += line
    if len(outputs) != 4:
        raise ValueError(f"{len(outputs)} outputs")
    return [*(output[output.find("[") :] if "[" in output else "" for output in outputs[:3]), outputs[3]]


def _devices(route: Mapping[str, Any]) -> Iterator[str]:
    for hop in (route, *route.get("nexthops", ())):
        if "dev" in hop:
            yield str(hop["dev"])


def _of_link(items: Sequence[Mapping[str, Any]], family: str) -> list[str]:
    usable = [
        item
        for item in items
        if _FAMILIES_OF_IP.get(str(item.get("family"))) == family
        and item.get("scope") == "global"
        and not any(item.get(flag) for flag in _UNUSABLE)
        and not (family == IPV4 and item.get("secondary"))
    ]
    lasting = [item for item in usable if item.get("prefixlen") != full_length(family) or item.get("dynamic")]
    return [str(item["local"]) for item in lasting or usable[:1]]


def read_facts(facts: Any) -> Addresses:
    """Return the addresses of each family in gathered facts; nothing if none were gathered.

    :param facts: ``ansible_facts`` of the host.
    """
    found: dict[str, list[str]] = {}
    if isinstance(facts, Mapping):
        for name, family in (("default_ipv4", IPV4), ("default_ipv6", IPV6)):
            default = facts.get(name)
            if isinstance(default, Mapping):
                address = str(default.get("address") or "")
                usable = address and family_of(address) == family and default.get("scope") != "link"
                found[family] = [address] if usable else []
    return found
