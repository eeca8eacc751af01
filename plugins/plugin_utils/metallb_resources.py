# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MetalLB's resources: address pools and advertisements, parsed, and which advertisement is for which pool.

The rules are those of MetalLB 0.16, ``internal/config/config.go``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.option_reader import ErrorCollector
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.values import is_unset, printable
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_documents import Document
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_selectors import (
    Labels,
    Selector,
    any_matches,
    read_labels,
    read_selectors,
)

POOL = "IPAddressPool"
L2 = "L2Advertisement"
BGP = "BGPAdvertisement"
_GROUP = "metallb.io/"
_LENGTH = re.compile(r"[0-9]{1,3}")


@dataclass(frozen=True)
class AddressPool:
    """An ``IPAddressPool``.

    :param networks: its addresses as networks and ranges, without host bits, as the option ``networks`` accepts them.
        Addresses that MetalLB skips because of ``avoidBuggyIPs`` are included: they belong to the same networks.
    :param paths: for each of the networks, where it stands.
    :param place: where the pool stands.
    """

    name: str
    namespace: str
    networks: tuple[str, ...]
    paths: tuple[str, ...]
    place: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Advertisement:
    """An ``L2Advertisement``, or a ``BGPAdvertisement``, which has no interfaces.

    :param interfaces: none stands for all links.
    """

    kind: str
    name: str
    namespace: str
    place: str
    pools: tuple[str, ...] = ()
    pool_selectors: tuple[Selector, ...] = ()
    node_selectors: tuple[Selector, ...] = ()
    service_selectors: tuple[Selector, ...] = ()
    interfaces: tuple[str, ...] = ()

    def selects(self, pool: AddressPool) -> bool:
        """Whether the advertisement is for the pool; one without pools and selectors is for all."""
        if self.namespace and pool.namespace and self.namespace != pool.namespace:
            return False
        if not self.pools and not self.pool_selectors:
            return True
        return pool.name in self.pools or bool(any_matches(self.pool_selectors, Labels(pool.labels)))


@dataclass(frozen=True)
class Resources:
    """What the sources contain, in their order."""

    pools: tuple[AddressPool, ...] = ()
    advertisements: tuple[Advertisement, ...] = ()


def read_resources(errors: ErrorCollector, documents: Iterable[Document], namespace: str = "") -> Resources:
    """Return MetalLB's resources among the objects; what MetalLB would refuse is an error.

    :param namespace: only resources in this one count, and those without any; ``""`` is all.
    """
    pools: list[AddressPool] = []
    advertisements: list[Advertisement] = []
    for document in documents:
        content = document.content
        kind = content.get("kind")
        if not str(content.get("apiVersion", "")).startswith(_GROUP) or kind not in (POOL, L2, BGP):
            continue
        reader = _Reader(errors, document)
        if namespace and reader.namespace not in ("", namespace):
            continue
        if kind == POOL:
            pools += reader.pool()
        else:
            advertisements += reader.advertisement()
    _refuse_duplicates(errors, pools)
    return Resources(tuple(pools), tuple(advertisements))


def pool_of(
    errors: ErrorCollector, name: str, path: str, addresses: Iterable[tuple[str, Any]]
) -> Iterator[AddressPool]:
    """Yield the pool that variables of another project describe; nothing if an address is invalid.

    :param addresses: each with its path.
    """
    before = len(errors)
    items = list(addresses)
    networks = tuple(errors.read("", read_address, where, item) for where, item in items)
    if len(errors) == before:
        yield AddressPool(name, "", networks, tuple(where for where, _item in items), path)


def read_address(path: str, value: Any) -> str:
    """Return an entry of ``spec.addresses`` without host bits.

    :raises InputError: MetalLB would refuse it.
    """
    if not isinstance(value, str):
        raise InputError(path, f"{printable(value)} without quotes is not a string", "Put the addresses in quotes.")
    text = value.strip()
    first, dash, last = (part.strip() for part in text.partition("-"))
    if dash:
        return f"{first}-{last}"
    address, slash, length = text.partition("/")
    try:
        if slash and _LENGTH.fullmatch(length):
            return str(ipaddress.ip_network(text, strict=False))
        parsed = None if slash else ipaddress.ip_address(address)
    except ValueError:
        parsed = None
    problem = f"{printable(text)} is neither a network nor a range, so MetalLB refuses it"
    remedy = "Write address/length or first-last."
    if parsed is not None:
        remedy = f"Write {parsed}/{parsed.max_prefixlen} for the one address."
    raise InputError(path, problem, remedy)


class _Reader:
    """Reads one resource."""

    def __init__(self, errors: ErrorCollector, document: Document) -> None:
        self._errors = errors
        content = document.content
        self.place = document.place
        self._kind = str(content["kind"])
        self._metadata = self._mapping("metadata", content.get("metadata"))
        self._name = self._metadata.get("name")
        self._path = f"{self.place} ({self._kind} {printable(self._name)}) "
        self._spec = self._mapping("spec", content.get("spec"))
        self.namespace = str(self._metadata.get("namespace") or "")
        if not isinstance(self._name, str) or not self._name:
            remedy = "Give it, in quotes if it is a number."
            errors.add(f"{self.place} ({self._kind}) metadata.name", "the name is missing or not a string", remedy)
            self._name = ""

    def pool(self) -> Iterator[AddressPool]:
        """Yield the pool, or nothing if it is invalid."""
        before = len(self._errors)
        path = f"{self._path}spec.addresses"
        addresses = self._list("addresses")
        if not addresses and len(self._errors) == before:
            self._errors.add(path, "the pool has no addresses", "Give networks or ranges.")
        labels = read_labels(self._errors, f"{self._path}metadata.labels", self._metadata.get("labels"))
        items = ((f"{path}[{index}]", item) for index, item in enumerate(addresses))
        for pool in pool_of(self._errors, str(self._name), self.place, items):
            if len(self._errors) == before and self._name:
                yield AddressPool(pool.name, self.namespace, pool.networks, pool.paths, self.place, labels)

    def advertisement(self) -> Iterator[Advertisement]:
        """Yield the advertisement, or nothing if it is invalid."""
        before = len(self._errors)
        found = Advertisement(
            kind=self._kind,
            name=str(self._name),
            namespace=self.namespace,
            place=self.place,
            pools=self._strings("ipAddressPools"),
            pool_selectors=self._selectors("ipAddressPoolSelectors"),
            node_selectors=self._selectors("nodeSelectors"),
            service_selectors=self._selectors("serviceSelectors"),
            interfaces=self._strings("interfaces") if self._kind == L2 else (),
        )
        if len(self._errors) == before and self._name:
            yield found

    def _mapping(self, name: str, value: Any) -> Mapping[str, Any]:
        if isinstance(value, Mapping) or value is None:
            return value or {}
        self._errors.add(f"{self.place} ({self._kind}) {name}", f"{printable(value)} is not a mapping", "Correct it.")
        return {}

    def _list(self, name: str) -> list[Any]:
        value = self._spec.get(name)
        if value is None or isinstance(value, list):
            return value or []
        remedy = "Put a dash before each entry, also before the only one."
        self._errors.add(f"{self._path}spec.{name}", f"{printable(value)} is not a list", remedy)
        return []

    def _strings(self, name: str) -> tuple[str, ...]:
        items = self._list(name)
        for index, item in enumerate(items):
            if not isinstance(item, str) or is_unset(item):
                path = f"{self._path}spec.{name}[{index}]"
                self._errors.add(path, f"{printable(item)} is not a name", "Give a name, in quotes if it is a number.")
        return tuple(dict.fromkeys(item for item in items if isinstance(item, str)))

    def _selectors(self, name: str) -> tuple[Selector, ...]:
        return read_selectors(self._errors, f"{self._path}spec.{name}", self._spec.get(name))


def _refuse_duplicates(errors: ErrorCollector, pools: Iterable[AddressPool]) -> None:
    first: dict[str, AddressPool] = {}
    for pool in pools:
        other = first.setdefault(pool.name, pool)
        if other is not pool:
            problem = f"the pool is also in {other.place}"
            remedy = (
                "Give one of them: the output of kustomize build instead of a folder with bases and overlays, or the"
                " namespace of MetalLB if they are in different ones."
            )
            errors.add(f"{pool.place} ({POOL} {pool.name})", problem, remedy)
