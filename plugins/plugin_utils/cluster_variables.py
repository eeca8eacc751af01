# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks and proxy mode of the cluster from the variables of the tool that set it up.

Only variables that the tool itself passes to Kubernetes are read. Its defaults are not assumed: the guard drops packets from
pod and service networks, so a wrong one would drop the packets of clients.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.values import is_unset

PODS = "pod_networks"
SERVICES = "service_networks"
MODE = "kube_proxy_mode"

_MODES = ("iptables", "nftables", "ipvs")
_FLAG = r"--{0}(?:=|\s+)[\"']?([^\s\"']+)"
_PROXY_MODE = re.compile(r"proxy-mode=(\w+)")

#: Returns the value of a variable, None if it is not set; raises what Ansible raises for its template.
Get = Callable[[str], Any]


@dataclass(frozen=True)
class Found:
    """What the variables say.

    :param options: keys of ``metallb_routing_cluster`` that are not declared.
    :param sources: the variables that each of them comes from.
    :param problems: for each variable that cannot be evaluated, the reason.
    """

    options: Mapping[str, Any]
    sources: Mapping[str, str]
    problems: Mapping[str, str]


def find(declared: Mapping[str, Any], get: Get) -> Found:
    """Return the options that are not declared from the first variables that define them."""
    options: dict[str, Any] = {}
    sources: dict[str, str] = {}
    problems: dict[str, str] = {}
    for option, readers in _READERS.items():
        if not is_unset(declared.get(option)) and declared[option] not in ([], "auto"):
            continue
        for reader in readers:
            reading = _Reading(get, problems)
            value = reader(reading)
            if value:
                options[option] = value
                sources[option] = ", ".join(dict.fromkeys(reading.read))
                break
    return Found(options, sources, {} if len(options) == len(_READERS) else problems)


class _Reading:
    """Reads variables, and remembers those that contribute to a value."""

    def __init__(self, get: Get, problems: dict[str, str]) -> None:
        self._get = get
        self._problems = problems
        self.read: list[str] = []

    def value(self, name: str) -> Any:
        """Return the value of a variable, None if it is unset or cannot be evaluated."""
        try:
            value = self._get(name)
        except Exception as error:  # noqa: BLE001 - a template can raise anything
            lines = str(error).strip().splitlines()
            self._problems[name] = lines[0].rstrip(".") if lines else type(error).__name__
            return None
        return None if is_unset(value) else value

    def networks(self, name: str) -> list[str]:
        """Return the networks in a variable: a list, or text separated by commas."""
        value = self.value(name)
        items = value if isinstance(value, (list, tuple)) else str(value).split(",") if value else []
        return self._used(name, [str(item).strip() for item in items if not is_unset(item)])

    def argument(self, name: str, flag: str) -> list[str]:
        """Return the networks of a command line argument in a variable."""
        found = re.findall(_FLAG.format(flag), str(self.value(name) or ""))
        return self._used(name, found[-1].split(",") if found else [])

    def document(self, name: str, key: str) -> list[str]:
        """Return the networks in a YAML document."""
        text = self.value(name)
        try:
            parsed = yaml.safe_load(text) if isinstance(text, str) else text
        except yaml.YAMLError:
            return []
        value = parsed.get(key) if isinstance(parsed, Mapping) else None
        items = value if isinstance(value, list) else str(value).split(",") if value else []
        return self._used(name, [str(item).strip() for item in items])

    def mode(self, name: str) -> str:
        """Return the mode of kube-proxy in a variable."""
        found = _PROXY_MODE.findall(str(self.value(name) or ""))
        return "".join(self._used(name, [mode for mode in found[-1:] if mode in _MODES]))

    def is_true(self, name: str) -> bool:
        """Whether a variable is set to a true value."""
        return bool(boolean(self.value(name), strict=False))

    def _used(self, name: str, values: list[str]) -> list[str]:
        if values:
            self.read.append(name)
        return values


def _kubespray(plain: str) -> Callable[[_Reading], list[str]]:
    """Return a reader of a network that has a separate variable for IPv6 (inventory/sample/group_vars/k8s_cluster)."""

    def read(reading: _Reading) -> list[str]:
        dual = reading.is_true("ipv6_stack") or reading.is_true("enable_dual_stack_networks")
        without_ipv4 = reading.value("ipv4_stack") is not None and not reading.is_true("ipv4_stack")
        found = [] if without_ipv4 else reading.networks(plain)
        return [*found, *(reading.networks(f"{plain}_ipv6") if dual else [])]

    return read


def _kubespray_mode(reading: _Reading) -> str:
    """Return the mode, unless something else replaces kube-proxy, which the node shows."""
    replaced = reading.is_true("kube_proxy_remove") or reading.is_true("cilium_kube_proxy_replacement")
    mode = reading.value(MODE)
    if replaced or mode not in _MODES:
        return ""
    reading.read.append(MODE)
    return str(mode)


def _k3s(flag: str) -> Iterator[Callable[[_Reading], list[str]]]:
    """Yield readers of an argument of k3s; agents get their networks from the server (k3s-ansible, both of them)."""
    yield lambda reading: reading.argument("extra_server_args", flag)
    yield lambda reading: reading.document("server_config_yaml", flag)


def _techno_tim(reading: _Reading) -> list[str]:
    """Return ``cluster_cidr``, which is only used with Calico and Cilium."""
    with_plugin = reading.value("calico_iface") or reading.value("cilium_iface")
    return reading.networks("cluster_cidr") if with_plugin else []


_READERS: Mapping[str, tuple[Callable[[_Reading], Any], ...]] = {
    PODS: (
        _kubespray("kube_pods_subnet"),
        lambda reading: reading.networks("rke2_cluster_cidr"),
        _techno_tim,
        *_k3s("cluster-cidr"),
    ),
    SERVICES: (
        _kubespray("kube_service_addresses"),
        lambda reading: reading.networks("rke2_service_cidr"),
        *_k3s("service-cidr"),
    ),
    MODE: (
        _kubespray_mode,
        lambda reading: reading.mode("rke2_kube_proxy_arg"),
        lambda reading: reading.mode("extra_server_args"),
    ),
}
