# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user declares: parsed, validated and put into one canonical form. Pure: no node is read."""

from __future__ import annotations

from .. import supported  # noqa: F401 - first: it explains why an older Python fails
from .argument_spec import argument_spec, cluster_options, pool_options, settings_options, vlan_options
from .case_traits import CASE_CHOICES, CASES, CaseTraits
from .model import KUBE_PROXY_MODES, RP_FILTERS, STATES, VARIANTS, Cluster, Declaration, Pool, Settings, Vlan
from .parse import parse_declaration, parse_settings

__all__ = [
    "CASES",
    "CASE_CHOICES",
    "KUBE_PROXY_MODES",
    "RP_FILTERS",
    "STATES",
    "VARIANTS",
    "CaseTraits",
    "Cluster",
    "Declaration",
    "Pool",
    "Settings",
    "Vlan",
    "argument_spec",
    "cluster_options",
    "parse_declaration",
    "parse_settings",
    "pool_options",
    "settings_options",
    "vlan_options",
]
