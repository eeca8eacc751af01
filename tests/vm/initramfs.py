# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small initramfs: busybox, an init script, and selected kernel modules with their dependencies."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from .cache import BuildError, cached, key_of, run
from .kernels import Kernel

BUSYBOX = Path("/usr/bin/busybox")

#: For devices that every machine has.
VIRTIO = ("virtio_pci", "virtio_rng")
SHARED_FOLDERS = ("9pnet_virtio", "9p", "overlay")
#: Kinds of links in nodes and the lab.
LINKS = ("8021q", "bridge", "dummy", "ipvlan", "macvlan", "tun", "veth", "vrf", "vxlan")
#: Folders that are copied completely: netfilter has hundreds of small modules, which load each other by name.
NETFILTER_FOLDERS = ("net/netfilter", "net/ipv4/netfilter", "net/ipv6/netfilter", "net/bridge/netfilter")
#: Modules that ip_vs, nf_tables and others load by name, without a dependency.
HELPERS = ("nf_conntrack_netlink", "libcrc32c", "crc32c_generic", "crc32c-intel", "sch_fq_codel", "af_packet_diag")


def make_initramfs(kernel: Kernel, init: str, names: Sequence[str], folders: Sequence[str] = ()) -> Path:
    """Return an initramfs with this script, for busybox's shell, as /init.

    :param names: names of modules, which may be built in.
    :param folders: folders below ``kernel/`` from which all modules are copied.
    :raises BuildError: a module does not exist.
    """
    name = key_of(kernel.version, init, BUSYBOX.read_bytes(), *names, "", *folders)

    def build(path: Path) -> None:
        tree = path.with_suffix(".tree")
        shutil.rmtree(tree, ignore_errors=True)
        try:
            _fill(tree, init)
            copy_modules(kernel, tree / "lib" / "modules" / kernel.version, names, folders)
            run(["depmod", "-b", tree, kernel.version])
            listing = "\n".join(str(item.relative_to(tree)) for item in sorted(tree.rglob("*"))) + "\n"
            path.write_bytes(b"")
            run(["cpio", "--create", "--format=newc", "--quiet", "--owner=0:0", "-F", path], tree, listing)
        finally:
            shutil.rmtree(tree, ignore_errors=True)

    return cached(f"initramfs-{name}.cpio", build)


def _fill(tree: Path, init: str) -> None:
    for folder in ("bin", "sbin", "dev", "proc", "sys", "run", "tmp", "new"):
        (tree / folder).mkdir(parents=True)
    shutil.copy(BUSYBOX, tree / "bin" / "busybox")
    for applet in run([BUSYBOX, "--list-full"]).split():
        link = tree / "bin" / Path(applet).name
        if not link.exists():
            link.symlink_to("busybox")
    (tree / "sbin" / "modprobe").symlink_to("../bin/busybox")
    (tree / "init").write_text(init)
    (tree / "init").chmod(0o755)


def copy_modules(kernel: Kernel, target: Path, names: Sequence[str], folders: Sequence[str] = ()) -> None:
    """Copy modules, their dependencies and the lists of built-in modules. Run ``depmod`` afterwards."""
    modules = [*_named(kernel, names), *_in_folders(kernel, folders)]
    for module in with_dependencies(kernel, modules):
        (target / module).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(kernel.modules / module, target / module)
    for listing in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copy(kernel.modules / listing, target / listing)


def dependencies(kernel: Kernel) -> dict[str, list[str]]:
    """Return the dependencies of each module, by path."""
    lines = (line.partition(":") for line in (kernel.modules / "modules.dep").read_text().splitlines())
    return {module: needed.split() for module, _, needed in lines}


def with_dependencies(kernel: Kernel, modules: list[str]) -> list[str]:
    """Return the modules and their dependencies, sorted."""
    needs = dependencies(kernel)
    return sorted({one for module in modules for one in (module, *needs[module])})


def _named(kernel: Kernel, names: Sequence[str]) -> list[str]:
    known = {_normalized(Path(path).stem): path for path in dependencies(kernel)}
    built_in = {_normalized(Path(path).stem) for path in (kernel.modules / "modules.builtin").read_text().split()}
    unknown = [name for name in names if _normalized(name) not in known and _normalized(name) not in built_in]
    if unknown:
        raise BuildError(f"kernel {kernel.version} has no module {', '.join(unknown)}")
    return [known[_normalized(name)] for name in names if _normalized(name) in known]


def _normalized(name: str) -> str:
    return name.replace("-", "_")


def _in_folders(kernel: Kernel, folders: Sequence[str]) -> list[str]:
    return [path for path in dependencies(kernel) if any(path.startswith(f"kernel/{folder}/") for folder in folders)]
