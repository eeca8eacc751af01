# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build results in .build/vm, each in a file or folder with a name derived from its inputs."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".build" / "vm"


class BuildError(Exception):
    """A kernel, an image or a machine could not be built; the text says which and why."""


def key_of(*parts: str | bytes) -> str:
    """Return a short name derived from these inputs."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode() if isinstance(part, str) else part
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()[:16]


def cached(name: str, build: Callable[[Path], None]) -> Path:
    """Return .build/vm/NAME. If it is missing, have ``build`` create it at a temporary path and rename it when complete."""
    path = FOLDER / name
    with _locked(name):
        if not path.exists():
            began = time.monotonic()
            unfinished = FOLDER / f"{name}.unfinished"
            remove(unfinished)
            build(unfinished)
            unfinished.rename(path)
            print(f"vm: built {name} in {time.monotonic() - began:.0f} s", flush=True)
    return path


def remove(path: Path) -> None:
    """Remove a file or folder, if it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _locked(name: str) -> Iterator[None]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def run(command: Sequence[str | Path], folder: Path | None = None, stdin: str | None = None) -> str:
    """Run a program and return its standard output.

    :raises BuildError: it failed; the text has the command and its error output.
    """
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(
            f"{' '.join(words)}: exit {done.returncode}: {done.stderr.strip()[-2000:] or done.stdout.strip()[-2000:]}"
        )
    return done.stdout
