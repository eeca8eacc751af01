# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This code as one archive: the agent and later runs of pool_routing run from it."""

from __future__ import annotations

import importlib.util
import io
import marshal
import pkgutil
import sys
import zipfile
import zipimport
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from ..installed import LABEL_LENGTH, ROOT, is_intact, label, version_in_use
from ..paths import RUNTIME
from ..state import File

#: What Python runs when it is started with the archive.
MAIN_TEXT = f"""\
import sys

from {ROOT}.agent.cli import main

sys.exit(main())
"""
#: What only the modules for single objects use: Ansible does not send it with pool_routing.
EXCLUDED = frozenset(f"{ROOT}.{name}" for name in ("declaration.objects", "info", "object_modules"))
#: Before Python 3.11, marshal writes sets in an order that differs between two processes.
_COMPILES_REPRODUCIBLY = sys.version_info >= (3, 11)
#: Of bytecode that is valid whatever the date of its source: an unchecked hash in the words of PEP 552.
_BYTECODE_HEADER = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)
#: A format of marshal that does not depend on how often a constant is referenced in the process that writes it.
_MARSHAL_FORMAT = 2


def kept_or_made(installed: Iterable[File]) -> File:
    """Return the archive: the one among these files of the node if it has this version, else a new one."""
    existing = (file for file in installed if file.path == RUNTIME and is_intact(_encoded(file.content), version()))
    return next(existing, None) or make()


@lru_cache(maxsize=1)
def version() -> str:
    """Return the checksum of all sources, 64 hexadecimal digits; the same on the controller and on every node."""
    in_use = version_in_use()
    if in_use:
        return in_use
    digest = sha256()
    for name, source in sources().items():
        digest.update(name.encode() + b"\0" + source + b"\0")
    return digest.hexdigest()


@lru_cache(maxsize=1)
def make() -> File:
    """Return the modules as a zip archive with their bytecode, from which Python imports.

    A single file is replaced atomically, so nothing starts with half of its code. Another version of Python than the one that
    runs now ignores the bytecode.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        for name, source in sources().items():
            bundle.writestr(_undated(name), source)
            if _COMPILES_REPRODUCIBLY:
                bundle.writestr(_undated(f"{name}c"), _bytecode(name, source))
        bundle.comment = bytes(LABEL_LENGTH)
    content = buffer.getvalue()[:-LABEL_LENGTH]
    return File(RUNTIME, (content + label(version(), content)).decode("utf-8", "surrogateescape"))


def _encoded(content: str) -> bytes:
    return content.encode("utf-8", "surrogateescape")


def _undated(name: str) -> zipfile.ZipInfo:
    """Return an entry with the same date in every archive."""
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _bytecode(name: str, source: bytes) -> bytes:
    code = compile(source, f"{RUNTIME}/{name}", "exec", dont_inherit=True)
    return _BYTECODE_HEADER + marshal.dumps(code, _MARSHAL_FORMAT)


@lru_cache(maxsize=1)
def sources() -> Mapping[str, bytes]:
    """Return the source of each file of the archive, sorted by the file's name."""
    # Ansible sends empty files for these packages. An archive needs them: it cannot hold namespace packages.
    found = {_package_file(package): b"" for package in _packages_down_to(ROOT)}
    found.update(_files(ROOT, next(iter(sys.modules[ROOT].__path__))))
    found["__main__.py"] = MAIN_TEXT.encode()
    return dict(sorted(found.items()))


def _package_file(package: str) -> str:
    return f"{package.replace('.', '/')}/__init__.py"


def _packages_down_to(package: str) -> Iterator[str]:
    words = package.split(".")
    return (".".join(words[: length + 1]) for length in range(len(words)))


def _files(package: str, folder: str) -> Iterator[tuple[str, bytes]]:
    """Return the files of the modules below the package, without importing them.

    :param folder: of the package, in a file system or in an archive.
    """
    for _finder, name, is_package in pkgutil.iter_modules([folder], f"{package}."):
        path = f"{folder}/{name.rpartition('.')[2]}"
        if is_package:
            yield _package_file(name), _read(folder, f"{path}/__init__.py")
            yield from _files(name, path)
        elif name not in EXCLUDED:
            yield f"{name.replace('.', '/')}.py", _read(folder, f"{path}.py")


def _read(folder: str, path: str) -> bytes:
    """Return a file in the folder, which may be in an archive."""
    importer = pkgutil.get_importer(folder)
    return importer.get_data(path) if isinstance(importer, zipimport.zipimporter) else Path(path).read_bytes()
