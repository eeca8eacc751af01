# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small initramfs: busybox, an init, and of a kernel's modules those that a test needs with all they depend on."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from .cache import BuildError, kept, key_of, run
from .kernels import Kernel

BUSYBOX = Path("/usr/bin/busybox")

#: To reach the disk or the shared folders, whatever else is done.
VIRTIO = ("virtio_pci", "virtio_rng")
SHARED_FOLDERS = ("9pnet_virtio", "9p", "overlay")
#: Kinds of links that nodes and the lab have.
LINKS = ("8021q", "bridge", "dummy", "ipvlan", "macvlan", "tun", "veth", "vrf", "vxlan")
#: Folders of which everything is taken: netfilter is hundreds of small modules that load each other by name.
NETFILTER_FOLDERS = ("net/netfilter", "net/ipv4/netfilter", "net/ipv6/netfilter", "net/bridge/netfilter")
#: Where Debian puts what cuts and checks packets; ip_vs and nf_tables name these without depending on them.
HELPERS = ("nf_conntrack_netlink", "libcrc32c", "crc32c_generic", "crc32c-intel", "sch_fq_codel", "af_packet_diag")


def make_initramfs(kernel: Kernel, init: str, names: Sequence[str], folders: Sequence[str] = ()) -> Path:
    """Return an initramfs whose /init is this script of busybox's shell.

    :param names: modules, as modprobe calls them; one that the kernel has built in is fine, an unknown one is an error.
    :param folders: folders below the modules' ``kernel/`` of which everything is taken.
    """
    name = key_of(kernel.version, init, BUSYBOX.read_bytes(), *names, "", *folders)

    def make(path: Path) -> None:
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

    return kept(f"initramfs-{name}.cpio", make)


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
    """Copy modules, all that they need, and the lists of what is built in; ``depmod`` has to follow."""
    modules = [*_named(kernel, names), *_in_folders(kernel, folders)]
    for module in with_dependencies(kernel, modules):
        (target / module).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(kernel.modules / module, target / module)
    for listing in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copy(kernel.modules / listing, target / listing)


def dependencies(kernel: Kernel) -> dict[str, list[str]]:
    """Return for each module, by its path, the paths of those it needs."""
    lines = (line.partition(":") for line in (kernel.modules / "modules.dep").read_text().splitlines())
    return {module: needed.split() for module, _, needed in lines}


def with_dependencies(kernel: Kernel, modules: list[str]) -> list[str]:
    """Return the modules and all that they need, sorted."""
    needs = dependencies(kernel)
    return sorted({one for module in modules for one in (module, *needs[module])})


def _named(kernel: Kernel, names: Sequence[str]) -> list[str]:
    known = {_plain(Path(path).stem): path for path in dependencies(kernel)}
    built_in = {_plain(Path(path).stem) for path in (kernel.modules / "modules.builtin").read_text().split()}
    unknown = [name for name in names if _plain(name) not in known and _plain(name) not in built_in]
    if unknown:
        raise BuildError(f"kernel {kernel.version} has no module {', '.join(unknown)}")
    return [known[_plain(name)] for name in names if _plain(name) in known]


def _plain(name: str) -> str:
    return name.replace("-", "_")


def _in_folders(kernel: Kernel, folders: Sequence[str]) -> list[str]:
    return [path for path in dependencies(kernel) if any(path.startswith(f"kernel/{folder}/") for folder in folders)]
