# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MetalLB's resources, from manifests and from variables of other projects."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.networks import (
    Purpose,
    parse_span,
    special_ranges_except,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError, InputErrors
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_resources import (
    Resources,
    read_address,
)
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_sources import (
    Sources,
    collect,
    read_sources,
)

SAMPLES = Path(__file__).parent / "metallb"
POOL = """
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: %s, namespace: %s}
spec: {addresses: [%s]}
---
"""


def read(folder: Path, *manifests: str, **options: Any) -> Resources:
    return collect(Sources(manifests=manifests, **options), {}, None, [folder])[0]


def pool_text(name: str = "external", namespace: str = "metallb-system", addresses: str = "1.2.3.0/24") -> str:
    return POOL % (name, namespace, addresses)


def refused(folder: Path, *manifests: str, **options: Any) -> list[str]:
    with pytest.raises(InputErrors) as caught:
        read(folder, *manifests, **options)
    return [str(error) for error in caught.value.errors]


def test_a_sample_of_metallb() -> None:
    found = read(SAMPLES, "simple.yaml")
    (pool,) = found.pools
    assert pool.networks == ("192.168.10.0/24", "192.168.9.1-192.168.9.5", "fc00:f853:ccd:e799::/124")
    assert pool.paths[1] == "simple.yaml document 1 (IPAddressPool example) spec.addresses[1]"
    (advertisement,) = found.advertisements
    assert (advertisement.place, advertisement.selects(pool)) == ("simple.yaml document 2", True)


def test_host_bits_are_removed_and_ranges_may_have_spaces() -> None:
    found = read(SAMPLES, "nodes.yaml")
    assert [pool.networks for pool in found.pools] == [("192.168.10.0/24",), ("192.168.20.10-192.168.20.20",)]


def test_a_list_of_kubectl() -> None:
    found = read(SAMPLES, "services.json")
    assert found.pools[0].paths == ("services.json items[0] (IPAddressPool first-pool) spec.addresses[0]",)
    assert [one.interfaces for one in found.advertisements] == [("eth0",), ("eth1",)]


def test_pools_are_selected_by_name_and_by_label() -> None:
    found = read(SAMPLES, "nodes.yaml")
    selected = {(one.name, pool.name) for one in found.advertisements for pool in found.pools if one.selects(pool)}
    assert selected == {("subnet-a", "first-pool"), ("subnet-b", "second-pool")}


def test_an_advertisement_is_only_for_pools_in_its_namespace(tmp_path: Path) -> None:
    advertisement = "apiVersion: metallb.io/v1beta1\nkind: L2Advertisement\nmetadata: {name: a, namespace: %s}\n"
    (tmp_path / "all.yaml").write_text(pool_text() + advertisement % "other" + "---\n" + advertisement % "''")
    found = read(tmp_path, "all.yaml")
    assert [one.selects(found.pools[0]) for one in found.advertisements] == [False, True]


def test_a_folder_is_read_with_its_folders_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "manifests/b/.git").mkdir(parents=True)
    (tmp_path / "manifests/b/one.yml").write_text(pool_text("b"))
    (tmp_path / "manifests/b/.git/hidden.yaml").write_text("[")
    (tmp_path / "manifests/a.yaml").write_text(pool_text("a") + pool_text("c"))
    (tmp_path / "manifests/values.yaml").write_text("replicas: 2\n---\n---\nkind: ConfigMap\n")
    (tmp_path / "manifests/README.md").write_text("# [")
    found = read(tmp_path, "manifests/")
    assert {pool.name: pool.place for pool in found.pools} == {
        "a": "manifests/a.yaml document 1",
        "b": "manifests/b/one.yml document 1",
        "c": "manifests/a.yaml document 2",
    }


def test_a_relative_path_may_start_from_any_of_the_folders(tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    (second / "pools.yaml").write_text("\ufeff" + pool_text())
    sources = Sources(manifests=("pools.yaml",))
    assert len(collect(sources, {}, None, [tmp_path, second])[0].pools) == 1
    assert len(read(tmp_path, str(second / "pools.yaml")).pools) == 1


def test_resources_in_the_variable_are_read_like_manifests() -> None:
    sources = read_sources({"resources": [{"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool"}]})
    with pytest.raises(InputErrors, match=r"^metallb_routing_metallb.resources\[0\] \(IPAddressPool\) metadata.name: "):
        collect(sources, {}, None, [])


def test_only_the_namespace_that_is_given_counts(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(pool_text("a", "blue") + pool_text("a", "green", "1.2.4.0/24"))
    assert read(tmp_path, "all.yaml", namespace="green").pools[0].networks == ("1.2.4.0/24",)
    (problem,) = refused(tmp_path, "all.yaml")
    assert problem.startswith("all.yaml document 2 (IPAddressPool a): the pool is also in all.yaml document 1.")


@pytest.mark.parametrize(
    ("text", "start", "words"),
    [
        ("a: [", "m.yaml: it is not YAML: line ", "Correct it."),
        ("a: {{ .Values.pools }}", "m.yaml: it is not YAML: ", "helm template"),
        ("$ANSIBLE_VAULT;1.1;AES256\n3132: [", "m.yaml: it is not YAML: ", "Ansible Vault"),
        (pool_text(addresses=""), "m.yaml document 1 (IPAddressPool external) spec.addresses: ", "has no addresses"),
        (
            pool_text(addresses="1.2.3.4"),
            "m.yaml document 1 (IPAddressPool external) spec.addresses[0]: ",
            "1.2.3.4/32",
        ),
        (
            pool_text(addresses="'fd00::1'"),
            "m.yaml document 1 (IPAddressPool external) spec.addresses[0]: ",
            "fd00::1/128",
        ),
        (
            pool_text(addresses="1.2.3.0/33"),
            "m.yaml document 1 (IPAddressPool external) spec.addresses[0]: ",
            "refuses",
        ),
        (pool_text(addresses="1.2.3.0/255.255.255.0"), "m.yaml document 1 (IPAddressPool external)", "refuses"),
        (pool_text(addresses="7"), "m.yaml document 1 (IPAddressPool external) spec.addresses[0]: ", "in quotes"),
        (pool_text("7"), "m.yaml document 1 (IPAddressPool) metadata.name: ", "in quotes if it is a number"),
        (
            "apiVersion: metallb.io/v1beta1\nkind: L2Advertisement\nmetadata: {name: a}\nspec: {interfaces: eth0}\n",
            "m.yaml (L2Advertisement a) spec.interfaces: ",
            "dash",
        ),
        (
            "apiVersion: metallb.io/v1beta1\nkind: L2Advertisement\nmetadata: {name: a}\nspec: {nodeSelectors: [{x: y}]}\n",
            "m.yaml (L2Advertisement a) spec.nodeSelectors[0].x: ",
            "matchLabels",
        ),
        (
            "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: a\nspec: []\n",
            "m.yaml (IPAddressPool) ",
            "mapping",
        ),
    ],
)
def test_an_error_tells_file_document_and_field(tmp_path: Path, text: str, start: str, words: str) -> None:
    (tmp_path / "m.yaml").write_text(text)
    problems = refused(tmp_path, "m.yaml")
    assert problems[0].startswith(start), problems
    assert words in problems[0]


def test_a_manifest_that_is_missing_or_empty_is_an_error(tmp_path: Path) -> None:
    assert refused(tmp_path, "m.yaml")[0].startswith(
        f"metallb_routing_metallb.manifests[0]: there is no {tmp_path}/m.yaml."
    )
    (tmp_path / "folder").mkdir()
    assert "the folder folder contains no *.yaml" in refused(tmp_path, "folder")[0]


def test_what_is_no_file_is_refused_and_loops_end(tmp_path: Path) -> None:
    assert refused(tmp_path, "/dev/null") == [
        "metallb_routing_metallb.manifests[0]: /dev/null is neither a file nor a folder. Give a file or a folder with manifests."
    ]
    (tmp_path / "m.yaml").write_text("&a [*a, [*a]]\n---\n&b {kind: List, items: [*b]}\n---\n" + pool_text())
    assert [pool.name for pool in read(tmp_path, "m.yaml").pools] == ["external"]


def test_a_manifest_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_bytes(b"\xff\xfe")
    assert refused(tmp_path, "m.yaml") == [
        "m.yaml: it cannot be read: it is not UTF-8. Correct the file, or name another."
    ]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("manifests", "metallb_routing_metallb: "),
        ({"manifest": []}, "metallb_routing_metallb.manifest: there is no such option. Use manifests, a list."),
        ({"cluster": "perhaps"}, "metallb_routing_metallb.cluster: "),
        ({"manifests": {"a": "b"}}, "metallb_routing_metallb.manifests: "),
    ],
)
def test_invalid_options_are_refused(value: Any, path: str) -> None:
    with pytest.raises(InputErrors) as caught:
        read_sources(value)
    assert str(caught.value).startswith(path)


KUBESPRAY = {
    "speaker": {"nodeselector": {"kubernetes.io/os": "linux"}},
    "address_pools": {
        "primary": {"ip_range": ["10.5.0.0/16", "fd00:5::/112"], "auto_assign": True},
        "pool1": {"ip_range": ["192.0.2.1-192.0.2.9"], "auto_assign": False},
        "pool2": {"ip_range": ["10.10.0.0/16"], "avoid_buggy_ips": True},
    },
    "layer2": ["primary"],
    "layer3": {"metallb_peers": {"peer1": {"address_pool": ["pool1"]}}},
}


def test_the_variables_of_kubespray() -> None:
    found, names = collect(Sources(), {"metallb_config": KUBESPRAY}, None, [])
    assert names == ("metallb_config",)
    assert {pool.name: pool.networks for pool in found.pools} == {
        "primary": ("10.5.0.0/16", "fd00:5::/112"),
        "pool1": ("192.0.2.1-192.0.2.9",),
        "pool2": ("10.10.0.0/16",),
    }
    assert found.pools[0].paths[1] == "metallb_config.address_pools.primary.ip_range[1]"
    assert [(one.name, one.place) for one in found.advertisements] == [("primary", "metallb_config.layer2[0]")]


@pytest.mark.parametrize(
    ("pools", "path"),
    [
        (["primary"], "metallb_config.address_pools: "),
        ({"primary": {"ip_range": "10.5.0.0/16"}}, "metallb_config.address_pools.primary.ip_range: "),
        ({"primary": {"ip_range": ["10.5.0.1"]}}, "metallb_config.address_pools.primary.ip_range[0]: "),
        ({"primary": {}}, "metallb_config.address_pools.primary.ip_range: "),
    ],
)
def test_variables_of_kubespray_that_it_would_not_accept(pools: Any, path: str) -> None:
    with pytest.raises(InputErrors) as caught:
        collect(Sources(), {"metallb_config": {"address_pools": pools}}, None, [])
    assert str(caught.value).startswith(path)


@pytest.mark.parametrize(
    ("value", "networks"),
    [
        ("192.168.30.80-192.168.30.90", ("192.168.30.80-192.168.30.90",)),
        (["fdad:bad:ba55::1b:0/112", "192.168.123.80-192.168.123.90"],) * 2,
    ],
)
def test_the_variables_of_techno_tim(value: Any, networks: Any) -> None:
    found, names = collect(Sources(), {"metal_lb_ip_range": value, "metal_lb_mode": "layer2"}, None, [])
    assert names == ("metal_lb_ip_range",)
    assert [(pool.name, pool.networks) for pool in found.pools] == [("first-pool", tuple(networks))]
    assert found.advertisements[0].selects(found.pools[0])
    assert not collect(Sources(), {"metal_lb_ip_range": value, "metal_lb_mode": "bgp"}, None, [])[0].advertisements


ANY_ADDRESS = st.ip_addresses(v=4) | st.ip_addresses(v=6)
NOTHING_REFUSED = Purpose("", special_ranges_except(), 0)


@given(ANY_ADDRESS, st.data())
def test_a_network_with_host_bits_is_the_network_of_its_addresses(address: Any, data: st.DataObject) -> None:
    length = data.draw(st.integers(1, address.max_prefixlen))
    found = ipaddress.ip_network(read_address("path", f"{address}/{length}"))
    shift = address.max_prefixlen - length
    assert int(found.network_address) == int(address) >> shift << shift
    assert found.prefixlen == length


@given(ANY_ADDRESS, st.integers(0, 300))
def test_a_range_is_the_same_range_for_the_engine(address: Any, more: int) -> None:
    first = min(int(address), 2**address.max_prefixlen - 1 - more)
    ends = [type(address)(first), type(address)(first + more)]
    span = parse_span("path", read_address("path", f"{ends[0]} - {ends[1]}"), NOTHING_REFUSED)
    assert (span.first, span.last) == (first, first + more)


@given(st.text(alphabet="0123456789abcdef.:/- x", max_size=24))
def test_any_text_is_an_address_or_an_error(text: str) -> None:
    try:
        read_address("path", text)
    except InputError as error:
        assert error.remedy  # noqa: PT017
