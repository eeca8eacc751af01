# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a cluster for MetalLB's resources and its nodes, with kubectl on one of its nodes."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import (
    ADMIN_KUBECONFIGS,
    KUBECTL_DIRECTORIES,
)
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_nodes import CONTROL_PLANE_GROUPS
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_selectors import READY_PREFIX
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_sources import Sources

#: The variable that the task in roles/node/tasks/metallb.yml registers.
ANSWER = "metallb_routing_cluster_answer"

KINDS = ("IPAddressPool", "L2Advertisement", "BGPAdvertisement")
_RESOURCES = ",".join(f"{kind.lower()}s.metallb.io" for kind in KINDS)
#: Without images and conditions, which are most of a node.
_NODES = (
    '{range .items[*]}{.metadata.name}{"\\t"}{.metadata.labels}{"\\t"}'
    '{range .status.addresses[*]}{.address}{" "}{end}{"\\n"}{end}'
)
_END = "--- end of resources"

#: kubectl of kubeadm and Kubespray, k3s, RKE2, MicroK8s and k0s, with the kubeconfig of an administrator.
_FIND = f"""
PATH="$PATH:{":".join(KUBECTL_DIRECTORIES)}"
if [ -z "$KUBECONFIG" ] && [ ! -r "$HOME/.kube/config" ]; then
  for file in {" ".join(ADMIN_KUBECONFIGS)}; do
    if [ -r "$file" ]; then export KUBECONFIG="$file"; break; fi
  done
fi
if command -v kubectl >/dev/null; then kubectl=kubectl
else
  for program in k3s microk8s k0s; do
    if command -v $program >/dev/null; then kubectl="$program kubectl"; break; fi
  done
fi
if [ -z "$kubectl" ]; then echo "there is no kubectl, k3s, microk8s or k0s in $PATH" >&2; exit 127; fi
"""


def host_to_ask(sources: Sources, hosts: Sequence[str], groups: Mapping[str, Sequence[str]]) -> str:
    """Return the host on which kubectl runs: the given one, else the first of the control plane, else the first node."""
    if sources.cluster_host:
        return sources.cluster_host
    in_group = (host for name in CONTROL_PLANE_GROUPS for host in groups.get(name, ()) if host in hosts)
    return next(in_group, hosts[0] if hosts else "")


def prologue(sources: Sources) -> str:
    """Return the shell commands that set ``$kubectl``."""
    config = f"export KUBECONFIG={shlex.quote(sources.kubeconfig)}\n" if sources.kubeconfig else ""
    return config + (f"kubectl={shlex.quote(sources.kubectl)}\n" if sources.kubectl else _FIND)


def question(sources: Sources) -> str:
    """Return the shell commands that print resources and nodes; what kubectl warns about is left out unless it fails."""
    where = f"--namespace={shlex.quote(sources.namespace)}" if sources.namespace else "--all-namespaces"
    ask = 'said=$($kubectl get {} 2>&1 >&3) || {{ status=$?; printf "%s\\n" "$said" >&2; exit $status; }}\n'
    return (
        f"{prologue(sources)}exec 3>&1\n{ask.format(f'{_RESOURCES} {where} --output=json')}"
        f"echo; echo '{_END}'\n{ask.format(f'nodes --output=jsonpath={shlex.quote(_NODES)}')}"
    )


def read_answer(text: str) -> dict[str, Any]:
    """Return ``resources`` and ``nodes`` of what :func:`question` printed.

    :raises NodeError: it is not what kubectl prints.
    """
    resources, _end, nodes = text.replace("\r\n", "\n").partition(f"\n{_END}\n")
    try:
        items = json.loads(resources)["items"]
        return answer(items, (_node(line) for line in nodes.splitlines() if line.strip()))
    except (ValueError, LookupError, TypeError) as error:
        raise NodeError(f"kubectl printed something else than its resources as JSON ({error})") from error


def answer(resources: Sequence[Any], nodes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the answer for hostvars: of the labels, only those that the resources mention."""
    text = json.dumps(resources)
    return {
        "resources": [_without_state(one) for one in resources],
        "nodes": [{**node, "labels": _labels_in(text, node["labels"])} for node in nodes],
    }


def _labels_in(text: str, labels: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key.startswith(READY_PREFIX) or json.dumps(key) in text}


def _without_state(resource: Any) -> Any:
    metadata = resource.get("metadata") or {}
    kept = {key: metadata[key] for key in ("name", "namespace", "labels") if key in metadata}
    return {key: resource.get(key) for key in ("apiVersion", "kind", "spec")} | {"metadata": kept}


def _node(line: str) -> dict[str, Any]:
    name, labels, addresses = line.split("\t")
    return {"name": name, "labels": json.loads(labels or "{}"), "addresses": addresses.split()}


def why(done: Mapping[str, Any]) -> str:
    """Return why kubectl failed, with the remedy if it is known."""
    said = str(done["stderr"]).strip() or str(done["stdout"]).strip()  # a terminal has only one of them
    reason = said.splitlines()[-1].rstrip(".") if said else f"kubectl ended with status {done['rc']}"
    if "have a resource type" in reason:
        return f"{reason}. MetalLB is not installed in this cluster"
    return reason
