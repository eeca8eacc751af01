# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster around the pools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..state.family import IPV4, IPV6
from .argument_spec import cluster_options
from .model import KUBE_PROXY_MODES, MAX_CLUSTER_ADDRESSES, Cluster
from .networks import (
    Purpose,
    Span,
    canonical_addresses,
    canonical_networks,
    overlapping,
    parse_address_span,
    read_spans,
    relation,
)
from .problems import Problems
from .values import is_unset, read_choice, read_mapping

_OPTIONS = frozenset(cluster_options())

_NETWORKS = Purpose("Give the networks that the cluster was set up with.")
_NODES = Purpose("Give the addresses by which the nodes reach each other.")
# A node may reach the API servers by a proxy of its own on 127.0.0.1.
_API_SERVERS = Purpose(
    "Give the addresses of the API servers, without port and without name.",
    allowed=frozenset({(IPV4, "loopback"), (IPV6, "loopback")}),
)


class ClusterInput(NamedTuple):
    """The cluster, and what of it no pool may overlap, with paths."""

    cluster: Cluster
    protected: tuple[Span, ...]


def read_cluster(problems: Problems, value: Any) -> ClusterInput:
    """Return the cluster; what is unset or cannot be right is left out."""
    if is_unset(value):
        return ClusterInput(Cluster(), ())
    nothing: Mapping[str, Any] = {}
    options = problems.attempt(nothing, read_mapping, problems, "cluster", value, _OPTIONS)
    pods, services = (
        read_spans(problems, f"cluster.{name}", options.get(name), _NETWORKS)
        for name in ("pod_networks", "service_networks")
    )
    nodes, api_servers = (
        read_spans(problems, f"cluster.{name}", options.get(name), purpose, MAX_CLUSTER_ADDRESSES, parse_address_span)
        for name, purpose in (("node_addresses", _NODES), ("api_servers", _API_SERVERS))
    )
    for later, earlier in overlapping([*pods, *services]):
        problem = f"{later.text} {relation(later, earlier)} {earlier.path} ({earlier.text})"
        problems.add(later.path, problem, "Correct one of the two, or leave the later one out if it repeats the other.")
    mode = options.get("kube_proxy_mode")
    cluster = Cluster(
        pod_networks=canonical_networks(pods),
        service_networks=canonical_networks(services),
        node_addresses=canonical_addresses(nodes),
        api_servers=canonical_addresses(api_servers),
        kube_proxy_mode="auto"
        if is_unset(mode)
        else problems.attempt("auto", read_choice, "cluster.kube_proxy_mode", mode, KUBE_PROXY_MODES),
    )
    return ClusterInput(cluster, (*pods, *services, *nodes, *api_servers))
