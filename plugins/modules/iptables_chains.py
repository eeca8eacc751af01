#!/usr/bin/python
# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: iptables_chains
short_description: Whole chains of iptables and ip6tables, each with its jump, in bulk
version_added: 0.1.0
author: homeward.metallb_routing authors (@homeward)
description:
  - Makes, replaces and removes whole chains in one C(iptables-restore --noflush) per family, so that no packet meets half a chain.
  - A chain is ours if its name begins with O(prefix). Chains and rules of others are never changed.
  - A chain with O(chains[].hook) is jumped to by the first rule of that built-in chain; where something else was put before it,
    the jump is moved to the front again.
  - Rules may be written in any form that C(iptables) takes. They are tried in a network namespace of their own first, so a rule that
    this kernel does not accept is refused before anything is written.
  - That namespace has none of the node's ipsets, so rules with one (C(-m set), C(-j SET)) are refused, unless the node has that very
    rule already. Write those by other means, into a chain of another prefix.
extends_documentation_fragment:
  - homeward.metallb_routing.node
  - homeward.metallb_routing.node.iptables_variant
options:
  state:
    description:
      - V(present) makes and replaces the listed chains, V(absent) removes those of them that are there.
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
        description: Name of the chain, at most 28 characters, beginning with O(prefix).
        type: str
        required: true
      table:
        description: Table the chain is in.
        type: str
        choices: [raw, mangle, nat, filter]
        required: true
      family:
        description: V(ipv4) is iptables, V(ipv6) is ip6tables. A family that the node lacks is refused.
        type: str
        choices: [ipv4, ipv6]
        default: ipv4
      hook:
        description: Built-in chain that jumps to this one; without it only other chains use it.
        type: str
      rules:
        description: The chain's rules in order, each without C(-A NAME).
        type: list
        elements: str
        default: []
  prefix:
    description:
      - Names of our chains begin with it. It has 2 to 20 letters, digits, dots, underscores, colons and dashes.
      - What others' chains begin with is refused, as these would count as ours. That is C(HOMEWARD-) of
        M(homeward.metallb_routing.pool_routing), C(KUBE-), C(cali-) and the like, and the built-in chains.
    type: str
    required: true
  comment:
    description: Comment of the jumps into our chains, one line of at most 255 bytes; empty for none.
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
- name: Count what comes from the pool's VLAN
  homeward.metallb_routing.iptables_chains:
    prefix: SITE-
    chains:
      - name: SITE-PREROUTING
        table: raw
        hook: PREROUTING
        rules:
          - -i eth0.100 -s 1.2.3.0/24 -j RETURN
          - -i eth0.100 -m comment --comment "from elsewhere"

- name: No chain of this prefix is left, nor a jump to one
  homeward.metallb_routing.iptables_chains:
    prefix: SITE-
    chains: []
    purge: true
"""

RETURN = r"""
changed:
  description: Whether anything was changed, or would be in check mode.
  type: bool
  returned: always
  sample: true
commands:
  description: The same change as lines that a person could type on the node, in order.
  type: list
  elements: str
  returned: success
  sample: ["iptables -w -t raw -N SITE-PREROUTING", "iptables -w -t raw -A SITE-PREROUTING -s 1.2.3.0/24 -i eth0.100 -j RETURN"]
diff:
  description: For each kind of object the sorted lines that only the old or only the new state has.
  type: dict
  returned: in diff mode
  sample:
    before: {}
    after:
      chains: ["iptables (nft) raw SITE-PREROUTING: jumped to from PREROUTING, first"]
errors:
  description: What is wrong with the input, each with its path and the whole message.
  type: list
  elements: dict
  returned: when the input is refused
  sample:
    - path: chains[0].name
      message: "chains[0].name: PREROUTE does not begin with SITE-, by which our chains are known. Name it so."
warnings:
  description: What should be known though the run succeeded, for instance an object that is there already and is not ours.
  type: list
  elements: str
  returned: success
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homeward.metallb_routing.plugins.module_utils.object_modules import converge_chains
from ansible_collections.homeward.metallb_routing.plugins.module_utils.running import run_module

ARGUMENT_SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "chains": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "table": {"type": "str", "choices": ["raw", "mangle", "nat", "filter"], "required": True},
            "family": {"type": "str", "choices": ["ipv4", "ipv6"], "default": "ipv4"},
            "hook": {"type": "str"},
            "rules": {"type": "list", "elements": "str", "default": []},
        },
    },
    "prefix": {"type": "str", "required": True},
    "comment": {"type": "str", "default": "homeward.metallb_routing.iptables_chains"},
    "purge": {"type": "bool", "default": False},
    "iptables_variant": {"type": "str", "choices": ["auto", "nft", "legacy"], "default": "auto"},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    run_module(module, converge_chains)


if __name__ == "__main__":
    main()
