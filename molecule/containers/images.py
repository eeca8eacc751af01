# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes' images: one per Debian release, built once and stored by the engine."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess

from tests.lab import LabError

from .engine import FOLDER, Engine

RELEASES = {"11": "bullseye", "12": "bookworm", "13": "trixie"}
_INGREDIENTS = ("Containerfile", "first-process")
_EXCLUDED = ("man", "locale", "doc")


def node_image(engine: Engine, release: str) -> str:
    """Return the name of a release's image; build it unless it exists with the same content.

    The environment variable BASE names the repository of base images, for example ``docker.io/library/debian``. By default
    podman's base image is built from Debian packages, which needs no registry, and docker's repository is ``debian``.
    """
    if release not in RELEASES:
        raise LabError(f"DEBIAN: unknown release {release!r}; known: {', '.join(RELEASES)}")
    repository = os.environ.get("BASE") or ("debian" if engine.name == "docker" else "")
    content = [repository, release, *((FOLDER / name).read_text() for name in _INGREDIENTS)]
    digest = hashlib.sha256("\0".join(content).encode()).hexdigest()[:12]
    image = f"localhost/homeward-node:{release}-{digest}"
    if not engine.has_image(image):
        print(f"Building the image of Debian {release}", flush=True)
        _build(engine, image, f"{repository}:{release}" if repository else _base_from_packages(engine, release))
    return image


def _build(engine: Engine, image: str, base: str) -> None:
    where = ("--isolation=chroot", "--ulimit=nofile=4096:4096") if engine.name == "podman" else ()
    options = [*where, "--quiet", "--network=host", f"--build-arg=BASE={base}", f"--tag={image}"]
    options += [f"--file={FOLDER / 'Containerfile'}"]  # docker's default is Dockerfile
    engine.call(["build", *options, str(FOLDER)])


def _base_from_packages(engine: Engine, release: str) -> str:
    """Build a release's base image with mmdebstrap and return its name."""
    base = f"localhost/homeward-base:{release}"
    if engine.has_image(base):
        return base
    if shutil.which("mmdebstrap") is None:
        raise LabError(
            "mmdebstrap is missing; install it, or set a repository of base images: make molecule BASE=docker.io/library/debian"
        )
    options = ["--mode=root", "--variant=apt", "--skip=check/empty,cleanup/reproducible", "--quiet"]
    options += ['--aptopt=Acquire::Languages "none"']
    options += [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in _EXCLUDED]
    build = subprocess.Popen(
        ["mmdebstrap", *options, RELEASES[release], "-"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    imported = subprocess.run(
        [engine.name, "import", "-", base],
        stdin=build.stdout,
        capture_output=True,
        text=True,
        env=engine.environment,
        check=False,
    )
    if build.wait() or imported.returncode:
        engine.call(["image", "rm", base], check=False)
        raise LabError(
            f"cannot build the base image of Debian {release}: mmdebstrap {build.returncode}, import: {imported.stderr.strip()}"
        )
    return base
