# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument spec, with Ansible's validator in front of the parser as in a module."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator  # type: ignore[import-untyped]

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration import (
    CASE_CHOICES,
    KUBE_PROXY_MODES,
    RP_FILTERS,
    VARIANTS,
    Cluster,
    Pool,
    Settings,
    Vlan,
    argument_spec,
    cluster_options,
    parse_declaration,
    pool_options,
    settings_options,
    vlan_options,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.argument_spec import (
    chain_options,
    link_options,
    route_options,
    rule_options,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputErrors
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Chain, Link, Route, Rule
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.extra_attributes import desired_fields
from tests.unit.declaration.flaws import VALID

EVERYTHING = """
pools:
  - name: external
    networks: [1.2.3.0/24, "fd00:1:2:3::/64", 1.2.4.10-1.2.4.60]
    onlink_networks: 192.0.2.0/24
    interface: eth0.100
    vlan: {parent: eth0, id: "100"}
    gateways: [1.2.3.1, "fd00:1:2:3::1"]
    addresses: [192.0.2.7]
    case: policy_routing
    table: 100
    mark: 0x100
    deny: [10.112.0.0/12]
    dedicated: yes
    rp_filter: strict
cluster:
  pod_networks: [10.112.0.0/12]
  node_addresses:
mark_mask: 0x3f00
protocol: "78"
table_base: 9000
"""


def validated(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that a module gets from Ansible for these arguments of a task."""
    result = ArgumentSpecValidator(argument_spec()).validate(parameters)
    assert result.error_messages == []
    return dict(result.validated_parameters)


def test_options_are_the_fields_of_the_model() -> None:
    for options, model in (
        (pool_options(), Pool),
        (vlan_options(), Vlan),
        (cluster_options(), Cluster),
        (settings_options(), Settings),
    ):
        assert set(options) == {item.name for item in fields(model)} - {"path", "ranges"}
    assert set(argument_spec()) == {"pools", "cluster", "state", *settings_options()}


def test_options_of_objects_are_the_fields_of_the_state() -> None:
    for options, model, derived in (
        (link_options(), Link, set()),
        (route_options(), Route, set()),
        (rule_options(), Rule, {"fwmask"}),  # part of fwmark
        (chain_options(), Chain, {"condition"}),  # the jumps of this module have none
    ):
        assert set(options) == {item.name for item in desired_fields(model)} - derived


def test_choices_are_those_of_the_model() -> None:
    assert tuple(pool_options()["case"]["choices"]) == CASE_CHOICES
    assert tuple(pool_options()["rp_filter"]["choices"]) == RP_FILTERS
    assert tuple(cluster_options()["kube_proxy_mode"]["choices"]) == KUBE_PROXY_MODES
    assert tuple(settings_options()["iptables_variant"]["choices"]) == VARIANTS


def test_defaults_are_those_of_the_model() -> None:
    assert parse_declaration(validated({"pools": VALID["pools"]})).settings == Settings()
    for options, model in (
        (pool_options(), Pool("", "", (), "")),
        (vlan_options(), Vlan("", 1)),
        (cluster_options(), Cluster()),
    ):
        for name, option in options.items():
            if "default" in option:
                assert option["default"] == getattr(model, name)


def test_each_spec_is_a_new_one() -> None:
    argument_spec()["pools"]["options"]["case"]["choices"].clear()
    assert argument_spec()["pools"]["options"]["case"]["choices"] == list(CASE_CHOICES)


def test_what_ansible_makes_of_the_example_parses_to_the_same() -> None:
    assert parse_declaration(validated(VALID)) == parse_declaration(VALID)


def test_what_ansible_makes_of_every_option() -> None:
    declared = parse_declaration(validated(yaml.safe_load(EVERYTHING)))
    (pool,) = declared.pools
    assert pool.vlan == Vlan("eth0", 100)
    assert (pool.table, pool.mark, pool.dedicated, pool.rp_filter) == (100, 0x100, True, "strict")
    assert (pool.onlink_networks, pool.addresses) == (("192.0.2.0/24",), ("192.0.2.7",))
    assert len(pool.networks) == 9
    assert declared.cluster == Cluster(pod_networks=("10.112.0.0/12",))
    assert declared.settings == Settings(mark_mask=0x3F00, protocol=78, table_base=9000)
    # Without Ansible's validator the result is the same.
    assert parse_declaration(yaml.safe_load(EVERYTHING)) == declared


@pytest.mark.parametrize("option", ["table", "mark"])
def test_words_for_numbers_are_refused_by_the_parser(option: str) -> None:
    parameters = validated({"pools": [{**VALID["pools"][0], option: "blue"}]})
    with pytest.raises(InputErrors, match=rf"^pools\[0\]\.{option}: "):
        parse_declaration(parameters)


def test_none_for_every_option_is_unset() -> None:
    pool = {**dict.fromkeys(pool_options()), **VALID["pools"][0]}
    parameters = {**dict.fromkeys(argument_spec()), "pools": [pool], "cluster": dict.fromkeys(cluster_options())}
    assert parse_declaration(parameters) == parse_declaration({"pools": VALID["pools"]})
