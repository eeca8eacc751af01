# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of all nodes of a cluster: from the inventory, from the nodes that were asked, from gathered facts."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.values import comma_separated
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.family import FAMILIES, family_of
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.inventory_addresses import (
    HostAddresses,
    read_host,
)
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.reported_addresses import (
    ANSWER,
    NoAnswer,
    read_answer,
    read_facts,
)

ASKED = "the node"
FACTS = "gathered facts"
_MOST_WARNINGS = 20

Sources = dict[str, dict[str, str]]


@dataclass(frozen=True)
class ClusterAddresses:
    """What is known about the nodes of a cluster.

    :param sources: for each node and each of its addresses, where the address comes from: a variable, or what follows "from".
    :param unknown: for each family the nodes of which no source says whether they have an address, with the reason.
    :param warnings: what the user should check, each with host and variable.
    """

    sources: Mapping[str, Mapping[str, str]]
    unknown: Mapping[str, Mapping[str, str]]
    warnings: Sequence[str]

    def dumps(self) -> str:
        """Return the text from which :func:`loads` makes an equal object."""
        return json.dumps(asdict(self))

    def for_module(self) -> str:
        """Return the option ``nodes`` of pool_routing: JSON, as one string costs Ansible less than a structure."""
        addresses = {host: sorted(sources) for host, sources in self.sources.items()}
        return json.dumps({"addresses": addresses, "unknown": self.unknown}, separators=(",", ":"))


def loads(text: str) -> ClusterAddresses:
    """Return the object of :meth:`ClusterAddresses.dumps`."""
    return ClusterAddresses(**json.loads(text))


class Reader:
    """Reads variables of hosts; a template is evaluated only where there is one.

    Ansible combines the variables of a host from all its groups at each access, so they are kept.

    :param hostvars: of Ansible.
    """

    def __init__(self, hostvars: Any) -> None:
        self._hostvars = hostvars
        self._raw: dict[str, Mapping[str, Any]] = {}

    def raw(self, host: str, name: str) -> Any:
        """Return the value of a variable with its templates, None if it is not set."""
        variables = self._raw.get(host)
        if variables is None:
            variables = self._raw[host] = self._hostvars.raw_get(host)
        return variables.get(name)

    def get(self, host: str, name: str) -> Any:
        """Return the value of a variable, None if it is not set; raise what Ansible raises for its template."""
        value = self.raw(host, name)
        if value is None or isinstance(value, (bool, int, float)) or (isinstance(value, str) and "{" not in value):
            return value
        return self._hostvars[host][name]


def from_inventory(hosts: Iterable[str], reader: Reader) -> tuple[Sources, list[str]]:
    """Return the addresses in the inventory, and warnings about values that are not the address of one node."""
    found = {host: read_host(host, partial(reader.get, host)) for host in hosts}
    owners: dict[str, list[str]] = {}
    for host, addresses in found.items():
        for address in addresses.sources:
            owners.setdefault(address, []).append(host)
    shared = {address: names for address, names in owners.items() if len(names) > 1}
    sources = {
        host: {address: name for address, name in addresses.sources.items() if address not in shared}
        for host, addresses in found.items()
    }
    return sources, [*_unreadable(found), *_shared(shared, found)]


def _unreadable(found: Mapping[str, HostAddresses]) -> Iterator[str]:
    hosts_of: dict[tuple[str, str], list[str]] = {}
    for host, addresses in found.items():
        for problem in addresses.problems:
            hosts_of.setdefault(problem, []).append(host)
    for (variable, reason), hosts in hosts_of.items():
        yield f"{comma_separated(hosts)}: {variable}: {reason} It is not used as a node address."


def _shared(shared: Mapping[str, Sequence[str]], found: Mapping[str, HostAddresses]) -> Iterator[str]:
    for address, hosts in shared.items():
        variable = found[hosts[0]].sources[address]
        yield (
            f"{comma_separated(hosts)}: {variable}: {address} is the address of {len(hosts)} hosts, for example of a router"
            " that forwards ports to them. It is not used as a node address. Set ip and ip6 to the nodes' own addresses."
        )


def collect(hosts: Sequence[str], reader: Reader, played: Collection[str]) -> ClusterAddresses:
    """Return what is known about the hosts.

    :param played: hosts of the play, of which gathered facts count; facts of others may be from a cache of any age.
    """
    sources, warnings = from_inventory(hosts, reader)
    unknown: dict[str, dict[str, str]] = {}
    for host in hosts:
        known = sources[host]
        missing = missing_families(known)
        if not missing:
            continue
        answers, reason = _answers(host, reader, played)
        for family in missing:
            for source, addresses in answers:
                if family in addresses:
                    known.update((address, source) for address in addresses[family])
                    break
            else:
                unknown.setdefault(family, {})[host] = reason
    return ClusterAddresses(sources, unknown, _limited(warnings))


def missing_families(addresses: Iterable[str]) -> list[str]:
    """Return the families of which there is no address."""
    known = {family_of(address) for address in addresses}
    return [family for family in FAMILIES if family not in known]


def _answers(
    host: str, reader: Reader, played: Collection[str]
) -> tuple[list[tuple[str, Mapping[str, Sequence[str]]]], str]:
    """Return the sources other than the inventory, best first, and why there may be none."""
    answers = []
    reason = "the node was not asked"
    answer = reader.get(host, ANSWER)
    if answer:
        try:
            answers.append((ASKED, read_answer(answer)))
        except NoAnswer as error:
            reason = str(error)
    elif host in played:
        answers.append((FACTS, read_facts(reader.get(host, "ansible_facts"))))
    return answers, reason


def _limited(warnings: Sequence[str]) -> list[str]:
    more = len(warnings) - _MOST_WARNINGS
    return [
        *warnings[:_MOST_WARNINGS],
        *([f"{more} more values of the inventory are of this kind."] if more > 0 else []),
    ]
