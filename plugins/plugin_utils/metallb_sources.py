# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where MetalLB's resources come from: the variable ``metallb_routing_metallb``, and the variables of other projects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.option_reader import (
    ErrorCollector,
    open_options,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.values import (
    is_unset,
    printable,
    read_boolean,
    read_items,
    read_text,
)
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_documents import (
    Document,
    objects,
    read_manifests,
)
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_resources import (
    L2,
    AddressPool,
    Advertisement,
    Resources,
    pool_of,
    read_resources,
)

VARIABLE = "metallb_routing_metallb"
KUBESPRAY = "metallb_config"
TECHNO_TIM = "metal_lb_ip_range"
_TECHNO_TIM_MODE = "metal_lb_mode"
#: What is read of Kubespray's variable. The rest may contain passwords of BGP peers.
KUBESPRAY_KEYS = ("address_pools", "layer2")
#: The variables of other projects that describe pools.
OTHER_VARIABLES = (KUBESPRAY, TECHNO_TIM, _TECHNO_TIM_MODE)

_OPTIONS = frozenset(
    {
        "manifests",
        "resources",
        "cluster",
        "cluster_host",
        "kubectl",
        "kubeconfig",
        "namespace",
        "ignored_pools",
        "label_nodes",
    }
)


@dataclass(frozen=True)
class Sources:
    """The options of ``metallb_routing_metallb``; see docs/metallb-resources.md.

    :param kubectl: the command on ``cluster_host``; ``""`` finds it.
    """

    manifests: tuple[str, ...] = ()
    resources: tuple[Any, ...] = ()
    cluster: bool = False
    cluster_host: str = ""
    kubectl: str = ""
    kubeconfig: str = ""
    namespace: str = ""
    ignored_pools: tuple[str, ...] = ()
    label_nodes: bool = False

    @property
    def are_given(self) -> bool:
        """Whether the variable names a source."""
        return bool(self.manifests or self.resources or self.cluster)

    @property
    def needs_cluster(self) -> bool:
        """Whether the cluster has to be asked or changed."""
        return self.cluster or self.label_nodes


def read_sources(value: Any) -> Sources:
    """Return the options of the variable.

    :raises InputErrors: an option is invalid.
    """
    if is_unset(value) or value == {}:
        return Sources()
    errors = ErrorCollector()
    options = open_options(errors, VARIABLE, value, _OPTIONS)
    found = Sources()
    if options is not None:
        found = Sources(
            manifests=options.read("manifests", (), _read_strings),
            resources=options.read("resources", (), _read_resources),
            cluster=options.read("cluster", False, read_boolean),
            cluster_host=options.read("cluster_host", "", read_text),
            kubectl=options.read("kubectl", "", read_text),
            kubeconfig=options.read("kubeconfig", "", read_text),
            namespace=options.read("namespace", "", read_text),
            ignored_pools=options.read("ignored_pools", (), _read_strings),
            label_nodes=options.read("label_nodes", False, read_boolean),
        )
    errors.raise_if_any()
    return found


def collect(
    sources: Sources, others: Mapping[str, Any], answer: Any, folders: Sequence[Path]
) -> tuple[Resources, tuple[str, ...]]:
    """Return the resources of all sources, and what was read.

    :param others: the values of :data:`OTHER_VARIABLES`, which count only if the variable names no source.
    :param answer: the objects in the cluster, if it was asked.
    :param folders: in which a relative path is looked for.
    :raises InputErrors: a source is missing or invalid.
    """
    errors = ErrorCollector()
    if not sources.are_given:
        found, names = _of_variables(errors, others)
    else:
        nothing: list[Document] = []
        documents = errors.read(
            nothing, lambda: list(read_manifests(f"{VARIABLE}.manifests", sources.manifests, folders))
        )
        documents = [*documents, *objects(f"{VARIABLE}.resources", sources.resources), *objects("cluster", answer)]
        found = read_resources(errors, documents, sources.namespace)
        names = (
            *sources.manifests,
            *((f"{VARIABLE}.resources",) if sources.resources else ()),
            *(("the cluster",) if sources.cluster else ()),
        )
    errors.raise_if_any()
    return found, names


def _of_variables(errors: ErrorCollector, others: Mapping[str, Any]) -> tuple[Resources, tuple[str, ...]]:
    """Return the resources that Kubespray or techno-tim/k3s-ansible make of their variables."""
    pools: list[AddressPool] = []
    advertisements: list[Advertisement] = []
    names: list[str] = []
    config = others.get(KUBESPRAY)
    if isinstance(config, Mapping) and config.get("address_pools"):
        names.append(KUBESPRAY)
        pools += _of_kubespray(errors, config["address_pools"])
        layer2 = config.get("layer2") or ()
        advertisements += [
            Advertisement(L2, name, "", f"{KUBESPRAY}.layer2[{index}]", (name,))
            for index, name in enumerate(layer2 if isinstance(layer2, (list, tuple)) else ())
            if isinstance(name, str)
        ]
    elif not is_unset(others.get(TECHNO_TIM)):
        names.append(TECHNO_TIM)
        nothing: list[tuple[str, Any]] = []
        items = errors.read(nothing, read_items, TECHNO_TIM, others[TECHNO_TIM])
        pools += pool_of(errors, "first-pool", TECHNO_TIM, items)
        if others.get(_TECHNO_TIM_MODE) in (None, "", "layer2"):
            advertisements.append(Advertisement(L2, "default", "", _TECHNO_TIM_MODE))
    return Resources(tuple(pools), tuple(advertisements)), tuple(names)


def _of_kubespray(errors: ErrorCollector, pools: Any) -> Iterator[AddressPool]:
    path = f"{KUBESPRAY}.address_pools"
    if not isinstance(pools, Mapping):
        errors.add(path, f"{printable(pools)} is not a mapping", "Kubespray expects NAME: {ip_range: [...]}.")
        return
    for name, options in pools.items():
        where = f"{path}.{name}"
        ranges = options.get("ip_range") if isinstance(options, Mapping) else None
        if not isinstance(ranges, (list, tuple)) or not ranges:
            remedy = "Kubespray expects a list of networks and ranges."
            errors.add(f"{where}.ip_range", f"{printable(ranges)} is not a list of addresses", remedy)
            continue
        items = ((f"{where}.ip_range[{index}]", item) for index, item in enumerate(ranges))
        yield from pool_of(errors, str(name), where, items)


def _read_strings(path: str, value: Any) -> tuple[str, ...]:
    return tuple(read_text(where, item).strip() for where, item in read_items(path, value))


def _read_resources(_path: str, value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)
