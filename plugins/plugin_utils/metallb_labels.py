# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The label that tells that a node is ready for a pool: its key contains the pool, its value is the link."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.option_reader import ErrorCollector
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_selectors import READY_PREFIX

#: Of a pool or a link: what Kubernetes accepts as the name and the value of a label.
_IN_LABEL = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_NODES_PER_COMMAND = 100
_NEW_LINK = re.compile(r"^ip link add .*\bname (\S+)", re.MULTILINE)
#: The prefixes of MetalLB's annotations, as JSONPath.
_METALLB = (r"metallb\.io", r"metallb\.universe\.tf")

#: The link of each pool.
Links = Mapping[str, str]


def key_of(pool: str) -> str:
    """Return the key of the label for a pool."""
    return f"{READY_PREFIX}{pool}"


def labels_of(links: Links) -> dict[str, str]:
    """Return the labels of a node that is ready for these pools."""
    return {key_of(pool): interface for pool, interface in links.items()}


def stale(current: Mapping[str, Mapping[str, str]], desired: Mapping[str, Links]) -> dict[str, tuple[str, ...]]:
    """Return for each node the words of ``kubectl label`` that remove what is not desired.

    :param current: the labels of each node.
    :param desired: nodes that are missing keep their labels.
    """
    found = {}
    for node, links in desired.items():
        right = labels_of(links)
        words = tuple(
            f"{key}-"
            for key, value in sorted(current.get(node, {}).items())
            if key.startswith(READY_PREFIX) and right.get(key) != value
        )
        if words:
            found[node] = words
    return found


def missing(current: Mapping[str, Mapping[str, str]], ready: Mapping[str, Links]) -> dict[str, tuple[str, ...]]:
    """Return for each node the words of ``kubectl label`` that set what is missing."""
    found = {}
    for node, links in ready.items():
        has = current.get(node, {})
        words = tuple(f"{key}={value}" for key, value in sorted(labels_of(links).items()) if has.get(key) != value)
        if words:
            found[node] = words
    return found


def commands(changes: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield shell commands, one for many nodes with the same change."""
    nodes_of: dict[tuple[str, ...], list[str]] = {}
    for node, words in changes.items():
        nodes_of.setdefault(words, []).append(node)
    for words, nodes in nodes_of.items():
        for start in range(0, len(nodes), _NODES_PER_COMMAND):
            some = nodes[start : start + _NODES_PER_COMMAND]
            yield f"$kubectl label node {shlex.join(some)} {shlex.join(words)} --overwrite"


def check_links(links: Iterable[tuple[str, str]]) -> None:
    """Refuse pools and links that cannot be in a label.

    :raises InputErrors: with the pool's name as its path.
    """
    errors = ErrorCollector()
    for pool, interface in sorted(set(links)):
        for what, text in (("name of the pool", pool), ("name of the link", interface)):
            if not _IN_LABEL.fullmatch(text):
                problem = (
                    f"{text} is the {what}, but not the {'key' if text == pool else 'value'} of a label in Kubernetes"
                )
                errors.add(f"pool {pool}", problem, "Give it a name that begins and ends with a letter or a digit.")
    errors.raise_if_any()


def advertisement(pool: str, interface: str, name: str, namespace: str, selectors: list[Any]) -> dict[str, Any]:
    """Return the ``L2Advertisement`` of a pool on a link."""
    spec: dict[str, Any] = {"ipAddressPools": [pool], "interfaces": [interface]}
    if selectors:
        spec["nodeSelectors"] = selectors
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement", "metadata": metadata, "spec": spec}


def advertisements(
    links: Mapping[str, Links], names: Mapping[str, str], namespace: str, *, by_label: bool
) -> list[dict[str, Any]]:
    """Return the advertisements that fit: each pool on the link that it has here, from the nodes that have it.

    :param links: of each host.
    :param names: of the hosts in the cluster.
    :param by_label: select nodes by the label, else by their names; no node is named if all have the pool on one link.
    """
    hosts_of: dict[tuple[str, str], list[str]] = {}
    for host, of_host in links.items():
        for pool, interface in of_host.items():
            hosts_of.setdefault((pool, interface), []).append(host)
    several = {pool for pool, _interface in hosts_of if sum(other == pool for other, _link in hosts_of) > 1}
    found = []
    for (pool, interface), hosts in sorted(hosts_of.items()):
        selectors: list[Any] = []
        if by_label:
            selectors = [{"matchLabels": {key_of(pool): interface}}]
        elif len(hosts) < len(links):
            values = sorted(names.get(host, host) for host in hosts)
            expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": values}
            selectors = [{"matchExpressions": [expression]}]
        name = f"{pool}-{interface}".lower().replace("_", "-") if pool in several else pool
        found.append(advertisement(pool, interface, name, namespace, selectors))
    return found


def services_question() -> str:
    """Return the command that prints namespace, name, and pool of each service; MetalLB before 0.14 had another prefix."""
    fields = "".join(f'{{"\\t"}}{{.metadata.annotations.{prefix}/ip-allocated-from-pool}}' for prefix in _METALLB)
    template = f'{{range .items[*]}}{{.metadata.namespace}}{{"\\t"}}{{.metadata.name}}{fields}{{"\\n"}}{{end}}'
    return f"$kubectl get services --all-namespaces --output=jsonpath={shlex.quote(template)}"


def announce_again(services: str, pools: Iterable[str], value: str) -> Iterator[str]:
    """Yield the commands that make the speakers handle the services of these pools again.

    :param services: what :func:`services_question` printed.
    :param value: of the annotation; only a new one has an effect.
    """
    affected = set(pools)
    names: dict[str, list[str]] = {}
    for line in services.splitlines():
        namespace, name, *of_pools = line.split("\t")
        if affected.intersection(of_pools):
            names.setdefault(namespace, []).append(name)
    for namespace, some in names.items():
        what = shlex.join([*some, f"--namespace={namespace}", f"{READY_PREFIX}link-created={value}"])
        yield f"$kubectl annotate service {what} --overwrite"


def links_of_result(result: Any) -> Links | None:
    """Return the links of a host from the result of pool_routing, None if it did not succeed."""
    if not isinstance(result, Mapping) or result.get("failed") or result.get("unreachable"):
        return None
    if result.get("skipped"):
        return {}
    if "cases" not in result or result.get("confirmed") is False:
        return None
    return {str(case["pool"]): str(case["interface"]) for case in result["cases"]}


def pools_on_new_links(result: Any, labels: Mapping[str, str]) -> set[str]:
    """Return the pools of a node whose link a run has created although their label was set before.

    MetalLB may have elected the node for them. A speaker looks for the link only when it handles a service, and a label that
    is unchanged does not cause that.

    :param result: of pool_routing.
    :param labels: of the node before the run.
    """
    links = links_of_result(result) or {}
    made = set(_NEW_LINK.findall("\n".join(map(str, result.get("commands", ()))))) if links else set()
    return {pool for pool, interface in links.items() if interface in made and labels.get(key_of(pool)) == interface}
