# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The distribution's stock kernel: its package, downloaded and unpacked below .build/vm, never installed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .cache import BuildError, kept, run

STOCK = "linux-image-amd64"


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel.

    :param version: as ``uname -r`` says: ``6.1.0-37-amd64``.
    :param image: what a boot loader loads.
    :param modules: the folder with ``kernel/`` and the lists of ``depmod``.
    """

    version: str
    image: Path
    modules: Path


def stock_kernel(name: str = STOCK) -> Kernel:
    """Return the kernel that the package of this name stands for.

    :raises BuildError: apt does not have it, or it is not what a kernel's package looks like.
    """
    try:
        package, folder = _unpacked(name)
    except BuildError:
        run(["apt-get", "update", "-qq"])  # what apt knows may be older than what is offered, or nothing yet
        package, folder = _unpacked(name)
    images = sorted((folder / "boot").glob("vmlinuz-*"))
    if len(images) != 1:
        raise BuildError(f"{package} holds {len(images)} kernels in /boot, expected one")
    release = images[0].name.removeprefix("vmlinuz-")
    return Kernel(release, images[0], _modules_folder(folder, release))


def _unpacked(name: str) -> tuple[str, Path]:
    package, version = newest(name)
    return package, kept(f"kernel-{package}_{version.replace(':', '_')}", lambda path: _unpack(package, path))


def newest(name: str) -> tuple[str, str]:
    """Return the package with the kernel itself, on which the one of this name depends, and its version."""
    found = re.findall(r"^\s*Depends: (linux-image-[0-9][^\s]*)", run(["apt-cache", "depends", name]), re.MULTILINE)
    if not found:
        raise BuildError(
            f"{name} depends on no kernel: only Debian's packages are known here (apt-cache depends {name})"
        )
    policy = run(["apt-cache", "policy", found[0]])
    candidate = re.search(r"Candidate: (\S+)", policy)
    if candidate is None or candidate.group(1) == "(none)":
        raise BuildError(f"apt has no {found[0]}")
    return found[0], candidate.group(1)


def _unpack(package: str, folder: Path) -> None:
    """Download the package, and leave its kernel and modules, uncompressed and with their lists."""
    folder.mkdir(parents=True)
    # `root` downloads by itself: apt's own user may not enter the checkout
    run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package], folder)
    (archive,) = folder.glob("*.deb")
    run(["dpkg-deb", "--extract", archive, folder])
    archive.unlink()
    (image,) = (folder / "boot").glob("vmlinuz-*")
    release = image.name.removeprefix("vmlinuz-")
    modules = _modules_folder(folder, release)
    packed = sorted(modules.rglob("*.ko.xz"))
    if packed:
        run(["xz", "--decompress", "--threads=0", *packed])
    base = modules.parents[2]  # the folder in which depmod looks for lib/modules
    run(["depmod", "-b", base, release])


def _modules_folder(folder: Path, release: str) -> Path:
    for base in (folder, folder / "usr"):
        if (base / "lib" / "modules" / release).is_dir():
            return base / "lib" / "modules" / release
    raise BuildError(f"{folder.name} holds no modules of {release}")
