#!/usr/bin/python
# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: iptables_chains
short_description: Manage whole iptables and ip6tables chains and their jumps in bulk
version_added: 0.1.0
author: homeward.metallb_routing authors (@homeward)
description:
  - Creates, replaces and removes whole chains with one C(iptables-restore --noflush) per IP family, so no packet meets an incomplete chain.
  - A chain is managed if its name begins with O(prefix). Foreign chains and rules are never changed.
  - The first rule of the built-in chain O(chains[].hook) jumps to the managed chain. If another rule was inserted before the jump, the
    jump is moved to the front again.
  - Rules can be written in any form that C(iptables) accepts. They are first loaded in a scratch network namespace, so a rule that this
    kernel rejects is refused before anything is written.
  - The scratch namespace has no ipsets. Rules that use one (C(-m set), C(-j SET)) are refused unless the chain already has this rule.
    Write such rules by other means, into a chain with a different prefix.
extends_documentation_fragment:
  - homeward.metallb_routing.node
  - homeward.metallb_routing.node.iptables_variant
options:
  state:
    description:
      - V(present) creates and replaces the listed chains. V(absent) removes the listed chains that exist.
    type: str
    choices: [present, absent]
    default: present
  chains:
    description: The chains.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the chain, at most 28 characters. It must begin with O(prefix).
        type: str
        required: true
      table:
        description: Table of the chain.
        type: str
        choices: [raw, mangle, nat, filter]
        required: true
      family:
        description: V(ipv4) for iptables, V(ipv6) for ip6tables. A family that the node does not support is refused.
        type: str
        choices: [ipv4, ipv6]
        default: ipv4
      hook:
        description: Built-in chain that jumps to this chain. Without it, only other chains can refer to the chain.
        type: str
      rules:
        description: The rules of the chain in order, without the leading C(-A NAME).
        type: list
        elements: str
        default: []
  prefix:
    description:
      - Prefix that marks chains as managed. It has 2 to 20 letters, digits, dots, underscores, colons and dashes.
      - Prefixes of foreign chains are refused because these would count as managed. These are C(HOMEWARD-), used by
        M(homeward.metallb_routing.pool_routing), C(KUBE-), C(cali-) and similar prefixes, and the names of built-in chains.
    type: str
    required: true
  comment:
    description: Comment of the jumps to managed chains, a single line of at most 255 bytes. Empty for none.
    type: str
    default: homeward.metallb_routing.iptables_chains
  purge:
    description: Remove every other chain whose name begins with O(prefix).
    type: bool
    default: false
seealso:
  - module: homeward.metallb_routing.pool_routing
"""

EXAMPLES = r"""
- name: Count packets from the pool's VLAN
  homeward.metallb_routing.iptables_chains:
    prefix: SITE-
    chains:
      - name: SITE-PREROUTING
        table: raw
        hook: PREROUTING
        rules:
          - -i eth0.100 -s 1.2.3.0/24 -j RETURN
          - -i eth0.100 -m comment --comment "from elsewhere"

- name: Remove all chains with this prefix and the jumps to them
  homeward.metallb_routing.iptables_chains:
    prefix: SITE-
    chains: []
    purge: true
"""

RETURN = r"""
changed:
  description: Whether anything was changed, or would be changed in check mode.
  type: bool
  returned: always
  sample: true
commands:
  description: Shell commands that are equivalent to the change, in order.
  type: list
  elements: str
  returned: success
  sample: ["iptables -w -t raw -N SITE-PREROUTING", "iptables -w -t raw -A SITE-PREROUTING -s 1.2.3.0/24 -i eth0.100 -j RETURN"]
diff:
  description: The objects that only the old or only the new state has, sorted, one line each, by kind.
  type: dict
  returned: in diff mode
  sample:
    before: {}
    after:
      chains: ["iptables (nft) raw SITE-PREROUTING: jumped to from PREROUTING, first"]
errors:
  description: All errors in the input, each with its path and the complete message.
  type: list
  elements: dict
  returned: if the input is refused
  sample:
    - path: chains[0].name
      message: "chains[0].name: PREROUTE does not begin with SITE-, the prefix of managed chains. Use a name such as SITE-PREROUTE."
warnings:
  description: Conditions that need attention although the run succeeded, for example an object that already exists and is foreign.
  type: list
  elements: str
  returned: success
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.argument_spec import chain_options
from ansible_collections.homeward.metallb_routing.plugins.module_utils.object_modules import converge_chains
from ansible_collections.homeward.metallb_routing.plugins.module_utils.running import run_module
from ansible_collections.homeward.metallb_routing.plugins.module_utils.short_log import with_short_log

ARGUMENT_SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "chains": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": chain_options(),
    },
    "prefix": {"type": "str", "required": True},
    "comment": {"type": "str", "default": "homeward.metallb_routing.iptables_chains"},
    "purge": {"type": "bool", "default": False},
    "iptables_variant": {"type": "str", "choices": ["auto", "nft", "legacy"], "default": "auto"},
}


def main() -> None:
    """Run the module."""
    module = with_short_log(AnsibleModule)(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    run_module(module, converge_chains)


if __name__ == "__main__":
    main()
