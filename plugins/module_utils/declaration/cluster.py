# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster that uses the pools."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..state.family import IPV4, IPV6
from .argument_spec import cluster_options
from .model import KUBE_PROXY_MODES, MAX_CLUSTER_ADDRESSES, MAX_NETWORKS_PER_POOL, Cluster
from .networks import (
    Purpose,
    Span,
    SpanIndex,
    canonical_addresses,
    canonical_networks,
    overlapping,
    parse_address,
    read_spans,
    relation,
)
from .option_reader import ErrorCollector, open_options
from .values import is_unset, read_choice

_OPTIONS = frozenset(cluster_options())

_NETWORKS = Purpose("Give the networks that the cluster was set up with.")
_NODES = Purpose("Give the addresses at which the nodes reach each other.")
# A node may reach the API servers through a local proxy on 127.0.0.1.
_API_SERVERS = Purpose(
    "Give the IP addresses of the API servers, without ports.",
    allowed=frozenset({(IPV4, "loopback"), (IPV6, "loopback")}),
)


class ClusterInput(NamedTuple):
    """The cluster, and its networks and addresses with their paths: no pool may overlap them."""

    cluster: Cluster
    protected: tuple[Span, ...]


def read_cluster(errors: ErrorCollector, value: Any) -> ClusterInput:
    """Return the cluster; what is unset or invalid is left out."""
    options = None if is_unset(value) else open_options(errors, "cluster", value, _OPTIONS)
    if options is None:
        return ClusterInput(Cluster(), ())

    def networks(name: str) -> tuple[Span, ...]:
        return options.read_nested(name, (), read_spans, _NETWORKS, MAX_NETWORKS_PER_POOL)

    def addresses(name: str, purpose: Purpose) -> tuple[Span, ...]:
        return options.read_nested(name, (), read_spans, purpose, MAX_CLUSTER_ADDRESSES, parse_address)

    pods, services = networks("pod_networks"), networks("service_networks")
    nodes, api_servers = addresses("node_addresses", _NODES), addresses("api_servers", _API_SERVERS)
    for later, earlier in overlapping([*pods, *services]):
        problem = f"{later.text} {relation(later, earlier)} {earlier.path} ({earlier.text})"
        errors.add(later.path, problem, "Correct one of the two, or remove the later one if it repeats the other.")
    of_services = SpanIndex(services)
    for node in nodes:
        service = of_services.find(node)
        if service is not None:
            problem = f"{service.text} contains {node.path} ({node.text}), but no node has an address of a service"
            errors.add(service.path, problem, _NETWORKS.remedy)
    cluster = Cluster(
        pod_networks=canonical_networks(pods),
        service_networks=canonical_networks(services),
        node_addresses=canonical_addresses(nodes),
        api_servers=canonical_addresses(api_servers),
        kube_proxy_mode=options.read("kube_proxy_mode", "auto", read_choice, KUBE_PROXY_MODES),
    )
    return ClusterInput(cluster, (*pods, *services, *nodes, *api_servers))
