# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program of the agent: this code as one archive."""

from __future__ import annotations

import importlib
import importlib.util
import io
import pkgutil
import sys
import zipfile
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING

from .. import agent, kernel, persistence, planning, state
from ..kernel.netlink.formats import dump_formats, find_formats
from ..paths import COMMAND, FORMATS_FILE, RUNTIME
from ..persistence import launcher
from ..persistence.deploy import Program
from ..state import File

if TYPE_CHECKING:
    # Ansible sends along what the source text of a module imports; this makes it send the agent without importing it here.
    from . import cli  # noqa: F401

PACKAGES = (state, planning, kernel, persistence, agent)
ROOT = state.__name__.rpartition(".")[0]
SINGLE_FILES = ("errors", "paths", "rollback", "transaction")


MAIN_TEXT = f"""\
import sys

from {ROOT}.agent.cli import main

sys.exit(main())
"""


def program(pyroute2_path: str) -> Program:
    """Return the files of the agent.

    :param pyroute2_path: where this run has pyroute2 from.
    """
    formats = find_formats(pyroute2_path)
    return Program(
        archive(),
        File(COMMAND, launcher.text(RUNTIME), 0o755),
        File(FORMATS_FILE, dump_formats(formats)),
        tables_needed=formats.from_file,
    )


@lru_cache(maxsize=1)
def archive() -> File:
    """Return the modules that the agent needs as a zip archive, from which Python imports.

    A single file is replaced atomically, so no agent starts with half of its code. Uncompressed and without dates, it is
    the same on every node for the same modules.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as bundle:
        modules = sorted(_names())
        for package in sorted(_packages(modules)):
            bundle.writestr(zipfile.ZipInfo(f"{package.replace('.', '/')}/__init__.py"), _source(package))
        bundle.writestr(zipfile.ZipInfo("__main__.py"), MAIN_TEXT)
        for name in modules:
            bundle.writestr(zipfile.ZipInfo(f"{name.replace('.', '/')}.py"), _source(name))
    return File(RUNTIME, buffer.getvalue().decode("utf-8", "surrogateescape"))


def _packages(modules: Iterable[str]) -> set[str]:
    """Return the packages that contain the modules; each needs a file, as an archive cannot hold namespace packages."""
    parts = (name.split(".") for name in modules)
    return {".".join(words[:length]) for words in parts for length in range(1, len(words))}


def _names() -> Iterator[str]:
    yield from (f"{ROOT}.{name}" for name in SINGLE_FILES)
    for package in PACKAGES:
        yield from _modules(package)


def _modules(package: ModuleType) -> Iterator[str]:
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if found.ispkg:
            yield from _modules(importlib.import_module(found.name))
        else:
            yield found.name


def _source(name: str) -> str:
    """Return the source of a module, from a directory or from the archive that Ansible sent."""
    module: ModuleType | None = sys.modules.get(name)
    found = module.__spec__ if module is not None else importlib.util.find_spec(name)
    source = getattr(found and found.loader, "get_source", lambda _name: None)(name)
    return source or ""
