# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The distribution's stock kernel, downloaded and unpacked in .build/vm without installing it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .cache import BuildError, cached, run

STOCK = "linux-image-amd64"


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel.

    :param version: as in ``uname -r``: ``6.1.0-37-amd64``.
    :param image: the boot image (vmlinuz).
    :param modules: the folder with ``kernel/`` and the lists that ``depmod`` writes.
    """

    version: str
    image: Path
    modules: Path


def stock_kernel(name: str = STOCK) -> Kernel:
    """Return the kernel of a metapackage.

    :raises BuildError: apt does not have the package, or its content is unexpected.
    """
    try:
        package, folder = _unpacked(name)
    except BuildError:
        run(["apt-get", "update", "-qq"])  # package lists may be missing or outdated
        package, folder = _unpacked(name)
    images = sorted((folder / "boot").glob("vmlinuz-*"))
    if len(images) != 1:
        raise BuildError(f"{package} has {len(images)} kernels in /boot, expected one")
    release = images[0].name.removeprefix("vmlinuz-")
    return Kernel(release, images[0], _modules_folder(folder, release))


def _unpacked(name: str) -> tuple[str, Path]:
    package, version = newest(name)
    return package, cached(f"kernel-{package}_{version.replace(':', '_')}", lambda path: _unpack(package, path))


def newest(name: str) -> tuple[str, str]:
    """Return the kernel package on which a metapackage depends, and its newest version."""
    found = re.findall(r"^\s*Depends: (linux-image-[0-9][^\s]*)", run(["apt-cache", "depends", name]), re.MULTILINE)
    if not found:
        raise BuildError(f"{name} depends on no kernel package (apt-cache depends {name}); only Debian is supported")
    policy = run(["apt-cache", "policy", found[0]])
    candidate = re.search(r"Candidate: (\S+)", policy)
    if candidate is None or candidate.group(1) == "(none)":
        raise BuildError(f"apt has no {found[0]}")
    return found[0], candidate.group(1)


def _unpack(package: str, folder: Path) -> None:
    """Download and extract a package, decompress its modules and run ``depmod``."""
    folder.mkdir(parents=True)
    # apt's sandbox user may lack permission to enter the checkout
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
    base = modules.parents[2]  # depmod appends lib/modules
    run(["depmod", "-b", base, release])


def _modules_folder(folder: Path, release: str) -> Path:
    for base in (folder, folder / "usr"):
        if (base / "lib" / "modules" / release).is_dir():
            return base / "lib" / "modules" / release
    raise BuildError(f"{folder.name} has no modules of {release}")
