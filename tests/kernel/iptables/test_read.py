# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading iptables: which variant the node uses and why, managed chains in both, and nodes without some of the programs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.iptables.tables import (
    programs as iptables_programs,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink import nf_tables
from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import PROGRAM_DIRECTORIES
from tests.kernel.iptables.world import STEMS, VARIANTS, chain, chains, load, load_kube_proxy, read, write
from tests.support.namespace import Namespace

OTHER = {"nft": "legacy", "legacy": "nft"}


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is the only one in PATH, for the programs of the node."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(iptables_programs, "PROGRAM_DIRECTORIES", ())
    return tmp_path


def install(folder: Path, **names: str) -> None:
    """Link programs of this machine under the names of another distribution (``_`` for ``-``)."""
    for name, program in names.items():
        target = shutil.which(program, path="/usr/sbin:/sbin")
        assert target, f"{program} is not on this machine"
        (folder / name.replace("_", "-")).symlink_to(Path(target).resolve())


def make_chain(namespace: Namespace, variant: str, table: str, name: str, family: str = "ipv4") -> None:
    load(namespace, variant, family, f"*{table}\n:{name} - [0:0]\nCOMMIT\n")


@pytest.mark.parametrize("hint", ["KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY"])
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_follows_the_hint_against_more_chains(namespace: Namespace, variant: str, hint: str, family: str) -> None:
    load_kube_proxy(namespace, OTHER[variant])
    make_chain(namespace, variant, "mangle", hint, family)
    state = read(namespace)
    assert (state.variant, state.reason) == (variant, f"{hint} is in its table mangle")


def test_of_two_hints_the_one_in_nft_counts(namespace: Namespace) -> None:
    for variant in VARIANTS:
        make_chain(namespace, variant, "mangle", "KUBE-IPTABLES-HINT")
    assert read(namespace).variant == "nft"


def test_follows_the_variant_with_more_chains_of_kubernetes(namespace: Namespace, variant: str) -> None:
    load_kube_proxy(namespace, variant)
    make_chain(namespace, OTHER[variant], "filter", "KUBE-FIREWALL")
    write(namespace, chains(OTHER[variant]), chains(OTHER[variant], chain("A")))
    state = read(namespace)
    assert state.variant == variant
    assert "chains of Kubernetes or a network plugin" in state.reason


def test_follows_managed_chains(namespace: Namespace, variant: str) -> None:
    write(namespace, chains(variant), chains(variant, chain("A")))
    make_chain(namespace, OTHER[variant], "filter", "DOCKER")
    state = read(namespace)
    assert (state.variant, state.reason) == (variant, "it has managed chains")


def test_follows_the_default_of_the_node(namespace: Namespace, variant: str, programs: Path) -> None:
    install(programs, **{f"xtables_{name}_multi": f"xtables-{name}-multi" for name in VARIANTS})
    (programs / "iptables").symlink_to(f"xtables-{variant}-multi")
    state = read(namespace)
    assert (state.variant, state.reason) == (variant, "it is the default of this node")
    assert state.default_variant == variant


def test_follows_the_declaration(namespace: Namespace, variant: str) -> None:
    make_chain(namespace, OTHER[variant], "mangle", "KUBE-IPTABLES-HINT")
    assert read(namespace, variant).variant == variant


def test_finds_managed_chains_in_the_other_variant_too(namespace: Namespace, variant: str) -> None:
    left = chains(OTHER[variant], chain("A", "-j RETURN", hook="INPUT"))
    write(namespace, chains(OTHER[variant]), left)
    assert read(namespace, variant).chain_sets == {chains(variant), chains(variant, family="ipv6"), left}


def test_without_managed_chains_there_is_an_empty_set_per_family(namespace: Namespace, variant: str) -> None:
    load_kube_proxy(namespace, OTHER[variant])
    assert read(namespace, variant).chain_sets == {chains(variant), chains(variant, family="ipv6")}


def test_finds_managed_chains_in_every_table(namespace: Namespace, variant: str) -> None:
    desired = chains(variant, *(chain("A", "-j RETURN", table=table) for table in ("filter", "nat", "raw", "mangle")))
    write(namespace, chains(variant), desired)
    assert desired in read(namespace, variant).chain_sets


def test_reading_creates_no_legacy_table(namespace: Namespace) -> None:
    read(namespace)
    assert namespace.run(["cat", "/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"]) == ""


def test_does_not_run_the_legacy_programs_where_the_kernel_has_no_legacy_table(
    namespace: Namespace, programs: Path
) -> None:
    install(programs, xtables_nft_multi="xtables-nft-multi")
    called = programs / "called"
    legacy = programs / "xtables-legacy-multi"
    legacy.write_text(f"#!/bin/sh\n: > {called}\n", encoding="ascii")
    legacy.chmod(0o755)
    assert read(namespace).variant == "nft"
    assert not called.exists()


def test_reports_cluster_chains_of_both_families(namespace: Namespace, variant: str) -> None:
    load_kube_proxy(namespace, variant)
    make_chain(namespace, variant, "mangle", "cali-PREROUTING", "ipv6")
    found = read(namespace).cluster_chains
    assert {"KUBE-SERVICES", "cali-PREROUTING"} <= found.names
    assert found.hints == {"KUBE-PROXY-CANARY"}


def test_reports_tables_that_iptables_cannot_print(namespace: Namespace) -> None:
    rule = "fib daddr type local accept"
    namespace.run(["nft", f"add table ip raw; add chain ip raw mine; add rule ip raw mine {rule}"])
    assert read(namespace).incompatible == {("ipv4", "raw")}


@pytest.mark.parametrize("declared", ["auto", *VARIANTS])
def test_without_iptables_there_is_a_problem_that_says_what_to_install(
    namespace: Namespace, programs: Path, declared: str
) -> None:
    """It is the caller's to raise it, where chains are to be written."""
    assert list(programs.iterdir()) == []
    state = read(namespace, declared)
    searched = ", ".join(PROGRAM_DIRECTORIES)
    assert state.problem == f"no iptables was found in PATH, {searched}. Install the package iptables (1.8 or newer)"
    assert (state.chain_sets, state.families, state.left) == (frozenset(), (), ())
    assert state.variant == ("nft" if declared == "auto" else declared)


def test_without_iptables_the_managed_chains_that_exist_are_named(
    namespace: Namespace, request: pytest.FixtureRequest
) -> None:
    make_chain(namespace, "nft", "mangle", "HOMEWARD-PREROUTING", "ipv6")
    make_chain(namespace, "nft", "mangle", "cali-PREROUTING")
    request.getfixturevalue("programs")
    assert read(namespace).left == ("ipv6 mangle HOMEWARD-PREROUTING",)


def test_with_iptables_there_is_no_problem(namespace: Namespace, variant: str) -> None:
    write(namespace, chains(variant), chains(variant, chain("A", "-j RETURN", hook="INPUT")))
    state = read(namespace)
    assert (state.problem, state.left) == ("", ())


def test_without_the_declared_variant_says_which_there_is(namespace: Namespace, variant: str, programs: Path) -> None:
    name = f"xtables-{OTHER[variant]}-multi"
    install(programs, **{name.replace("-", "_"): name})
    with pytest.raises(NodeError, match=f"iptables_variant is {variant}, but only {OTHER[variant]} is installed"):
        read(namespace, variant)


def test_finds_the_variant_of_a_lone_iptables_by_its_version(
    namespace: Namespace, variant: str, programs: Path
) -> None:
    """As on Alpine or with k3s: no program has the variant in its name, and iptables is a wrapper, not a link."""
    for stem in STEMS.values():
        for ending in ("", "-save", "-restore"):
            wrapper = programs / f"{stem}{ending}"
            wrapper.write_text(f'#!/bin/sh\nexec /usr/sbin/{stem}-{variant}{ending} "$@"\n', encoding="ascii")
            wrapper.chmod(0o755)
    desired = chains(variant, chain("A", "-j RETURN", hook="INPUT"))
    write(namespace, chains(variant), desired)
    state = read(namespace)
    assert (state.variant, state.families) == (variant, ("ipv4", "ipv6"))
    assert desired in state.chain_sets


def test_finds_programs_outside_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert iptables_programs.installed() == {(name, family) for name in VARIANTS for family in STEMS}


def test_without_ip6tables_the_node_has_no_ipv6(namespace: Namespace, variant: str, programs: Path) -> None:
    install(programs, **{f"iptables_{variant}_{verb}": f"iptables-{variant}-{verb}" for verb in ("save", "restore")})
    for link in programs.iterdir():  # the multi programs act by the name they are called by
        link.unlink()
        link.symlink_to(f"/usr/sbin/{link.name}")
    state = read(namespace)
    assert (state.variant, state.families) == (variant, ("ipv4",))
    assert state.chain_sets == {chains(variant)}


def break_save(programs: Path, variant: str, stem: str) -> None:
    """Make the program fail as it may on a busy kernel."""
    broken = programs / f"{stem}-{variant}-save"
    broken.write_text("#!/bin/sh\necho 'Could not fetch rule set generation id: Interrupted system call' >&2\nexit 4\n")
    broken.chmod(0o755)


@pytest.mark.parametrize("declared", ["auto", *VARIANTS])
@pytest.mark.parametrize("family", STEMS)
def test_a_variant_that_cannot_be_read_is_an_error(
    namespace: Namespace, variant: str, family: str, declared: str, programs: Path
) -> None:
    install(programs, **{f"xtables_{name}_multi": f"xtables-{name}-multi" for name in VARIANTS})
    left = chains(variant, chain("A", "-j DROP", hook="INPUT", family=family), family=family)
    write(namespace, chains(variant, family=family), left)
    break_save(programs, variant, STEMS[family])
    with pytest.raises(NodeError, match=rf"{STEMS[family]}-{variant}-save failed: Could not .*nothing was changed"):
        read(namespace, declared)


def test_a_failure_of_legacy_without_tables_does_not_matter(namespace: Namespace, programs: Path) -> None:
    install(programs, **{f"xtables_{name}_multi": f"xtables-{name}-multi" for name in VARIANTS})
    for stem in STEMS.values():
        break_save(programs, "legacy", stem)
    assert read(namespace).variant == "nft"


def test_a_failure_of_nft_does_not_matter_if_the_kernel_has_no_nf_tables(
    namespace: Namespace, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(programs, **{f"xtables_{name}_multi": f"xtables-{name}-multi" for name in VARIANTS})
    for stem in STEMS.values():
        break_save(programs, "nft", stem)
    # The real answer of the kernel, about a part of netfilter that no kernel has.
    monkeypatch.setattr(nf_tables, "NFNL_SUBSYS_NFTABLES", 42)
    assert read(namespace).variant == "legacy"
    with pytest.raises(NodeError, match=r"Could not fetch.*This kernel has no nf_tables"):
        read(namespace, "nft")


def test_the_kernel_of_this_machine_has_nf_tables(namespace: Namespace) -> None:
    assert namespace.call(nf_tables.kernel_has_nf_tables)
