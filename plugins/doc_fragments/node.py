# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that every module of the collection shares."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragments, by attribute name."""

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
    description: Run twice in a row with the same arguments, the second run changes nothing and says so.
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
      - Directory on the node that holds a copy of the Python package C(pyroute2), for nodes whose own is missing or too old.
      - Several directories can be given, separated by colons; the first one is where a copy is brought to.
      - The copy is brought from the controller, once, when it is needed; the node needs no internet access for it.
      - The controller needs C(pyroute2) for that; C(pip install pyroute2) beside C(ansible-core) is enough.
    type: str
    default: /var/lib/homeward.metallb_routing/python
requirements:
  - pyroute2 >= 0.7.2, on the node or on the controller
"""

    IPTABLES_VARIANT = r"""
options:
  iptables_variant:
    description:
      - Which iptables to write with. V(auto) takes the one that this node's kubelet, kube-proxy or CNI uses. Where none of them is
        there yet, it takes the one that has chains of ours, else the system's default.
    type: str
    choices: [auto, nft, legacy]
    default: auto
"""
