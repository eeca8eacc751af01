# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by the modules."""

from __future__ import annotations


class ModuleDocFragment:
    """The fragments, by attribute name."""

    DOCUMENTATION = r"""
options: {}
requirements:
  - root on the node
  - python >= 3.9
  - iproute2
  - iptables
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
    support: full
  idempotent:
    description:
      - When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
    support: full
  platform:
    description: Target OS/families that can be operated against.
    support: full
    platforms: linux
  action_group:
    description: Use C(group/homeward.metallb_routing.all) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - homeward.metallb_routing.all
"""

    PYROUTE2 = r"""
options:
  pyroute2_path:
    description:
      - Directory on the node with a copy of the Python package C(pyroute2). The copy is used if the node has no pyroute2
        or one that is too old. Several directories can be given, separated by colons.
      - If a module reports that there is none, the controller sends the tables of its own pyroute2 for the messages in
        use, so the node needs no internet access. Install C(pyroute2) next to C(ansible-core) on the controller for this.
    type: str
    default: /var/lib/homeward.metallb_routing/python
requirements:
  - pyroute2 >= 0.7.2, on the node or on the controller
"""

    IPTABLES_VARIANT = r"""
options:
  iptables_variant:
    description:
      - The iptables variant to write with. V(auto) selects the one that kubelet, kube-proxy or the CNI plugin use on
        this node. If none of them has run yet, it selects the variant that has managed chains, or else the system's
        default.
    type: str
    choices: [auto, nft, legacy]
    default: auto
"""
