# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the options of one mapping and collects the errors, so that a user sees all of them at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Callable, TypeVar

from ..errors import InputError, InputErrors
from .values import is_unset, printable, structure_remedy

T = TypeVar("T")

#: Words of MetalLB, Kubespray, Kubernetes and ip for options, by the options that may be meant; the first that exists is.
_OTHER_WORDS = {
    **dict.fromkeys(("ip_range", "ip_ranges", "range", "ranges", "cidr", "cidrs", "subnet", "subnets"), ("networks",)),
    **dict.fromkeys(("interfaces", "iface", "nic", "device", "dev", "link"), ("interface", "parent")),
    **dict.fromkeys(("router", "routers", "next_hop", "nexthop", "gw", "via"), ("gateways", "gateway")),
    **dict.fromkeys(("vlan_id", "tag", "vid"), ("id", "vlan_id", "vlan")),
    **dict.fromkeys(("pod_cidr", "pod_subnet", "cluster_cidr", "kube_pods_subnet"), ("pod_networks",)),
    **dict.fromkeys(("service_cidr", "service_subnet", "kube_service_addresses"), ("service_networks",)),
    **dict.fromkeys(("nodes", "node_ips", "hosts"), ("node_addresses",)),
    **dict.fromkeys(("apiserver", "api_endpoint", "control_plane_endpoint"), ("api_servers",)),
    **dict.fromkeys(("proxy_mode", "mode"), ("kube_proxy_mode",)),
    **dict.fromkeys(("prio", "pref", "preference"), ("priority",)),
    **dict.fromkeys(("lookup",), ("table",)),
    **dict.fromkeys(("dst", "to"), ("destination",)),
    **dict.fromkeys(("src", "from"), ("source",)),
    **dict.fromkeys(("type",), ("kind",)),
}

#: Fields of MetalLB's resources, also as Kubespray writes them, that no option stands for.
_OF_METALLB = frozenset(
    {
        *(
            "auto_assign",
            "avoid_buggy_ips",
            "ip_address_pools",
            "ip_address_pool_selectors",
            "namespace",
            "node_selectors",
        ),
        *(
            "preferred_node_selectors",
            "service_allocation",
            "service_selectors",
            "ipaddress_pools",
            "ipaddress_pool_selectors",
        ),
    }
)


class ErrorCollector:
    """The errors found so far, in the order in which they were found."""

    def __init__(self) -> None:
        self._errors: list[InputError] = []

    def __len__(self) -> int:
        return len(self._errors)

    def add(self, path: str, problem: str, remedy: str) -> None:
        """Add an error; the parameters are those of :class:`InputError`."""
        self._errors.append(InputError(path, problem, remedy))

    def append(self, error: InputError) -> None:
        """Add an error that a reader raised."""
        self._errors.append(error)

    def read(self, default: T, read: Callable[..., T], *arguments: object) -> T:
        """Return ``read(*arguments)``; if it raises :class:`InputError`, add the error and return ``default``."""
        try:
            return read(*arguments)
        except InputError as error:
            self.append(error)
            return default

    def has(self, path: str) -> bool:
        """Whether an error with exactly this path was added."""
        return any(error.path == path for error in self._errors)

    def raise_if_any(self) -> None:
        """Raise the collected errors.

        :raises InputErrors: all errors together, even if there is only one.
        """
        if self._errors:
            raise InputErrors(tuple(self._errors))


class OptionReader:
    """Reads the options of one mapping and remembers which of them are invalid.

    :param path: path of the mapping in the input; ``""`` for the parameters of a module.
    """

    def __init__(self, errors: ErrorCollector, path: str, options: Mapping[str, Any]) -> None:
        self.errors = errors
        self.path = path
        self.invalid: set[str] = set()
        self._prefix = f"{path}." if path else ""
        self._options = options

    def read(self, name: str, default: T, read: Callable[..., T], *arguments: object) -> T:
        """Return ``read(path, value, *arguments)``, or the default if the option is unset or invalid."""
        value = self._options.get(name)
        if value is None or is_unset(value):
            return default
        try:
            return read(self._prefix + name, value, *arguments)
        except InputError as error:
            self.errors.append(error)
            self.invalid.add(name)
            return default

    def read_nested(self, name: str, default: T, read: Callable[..., T], *arguments: object) -> T:
        """Do the same with a reader that adds errors itself: ``read(errors, path, value, *arguments)``."""
        value = self._options.get(name)
        if value is None or is_unset(value):
            return default
        before = len(self.errors)
        result = read(self.errors, self._prefix + name, value, *arguments)
        if len(self.errors) > before:
            self.invalid.add(name)
        return result

    def require(self, name: str, found: object, problem: str, remedy: str) -> None:
        """Refuse a required option that is missing: nothing was found, and no error was added for it."""
        if not found and name not in self.invalid:
            self.refuse(name, problem, remedy)

    def refuse(self, name: str, problem: str, remedy: str) -> None:
        """Add an error for an option that does not go with others."""
        self.errors.add(self._prefix + name, problem, remedy)
        self.invalid.add(name)

    def is_valid(self, *names: str) -> bool:
        """Whether each of the options is unset or was read without an error."""
        return self.invalid.isdisjoint(names)


def open_options(errors: ErrorCollector, path: str, value: Any, names: frozenset[str]) -> OptionReader | None:
    """Return a reader for a mapping of options, or None if the value is not a mapping; an unknown option is an error.

    :param names: the options that exist.
    """
    if not isinstance(value, Mapping):
        remedy = f"Give a mapping with {', '.join(sorted(names))}."
        if value is None:
            remedy = f"A variable or template in it may be empty. {remedy}"
        errors.add(path, f"{printable(value)} is not a mapping", structure_remedy(value, remedy))
        return None
    if not names.issuperset(value):
        for name in value:
            if name not in names:
                _refuse_unknown(errors, path, name, names)
    return OptionReader(errors, path, value)


def _refuse_unknown(errors: ErrorCollector, path: str, name: Any, names: frozenset[str]) -> None:
    word = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().replace("-", "_") if isinstance(name, str) else ""
    plural = [option for option in (f"{word}s", f"{word}es") if option in names]
    other = [option for option in (word, *_OTHER_WORDS.get(word, ())) if option in names]
    if plural or other:
        remedy = f"Use {plural[0]}, a list." if plural else f"Use {other[0]}."
    elif word in _OF_METALLB:
        remedy = "It belongs in MetalLB's own resources; leave it out here."
    else:
        remedy = f"The options are {', '.join(sorted(names))}."
    errors.add(f"{path}.{printable(name)}", "there is no such option", remedy)
