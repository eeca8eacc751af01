# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much may be declared; beyond these a template has run wild rather than a network grown."""

from __future__ import annotations

#: A run with 1,000 pools is what is measured; what nobody has measured is not promised.
MAX_POOLS = 1024

#: Entries of one list, and networks that they come to. One IPv6 range comes to at most 238, so any range fits.
MAX_NETWORKS_PER_POOL = 256

#: Of each kind (networks, onlink_networks, deny) in all pools together: each becomes routes and rules.
MAX_NETWORKS = 4096

#: Kubernetes goes up to 5,000 nodes; each may have an address per family and one more.
MAX_CLUSTER_ADDRESSES = 16384
