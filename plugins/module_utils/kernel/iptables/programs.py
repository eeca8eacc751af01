# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of iptables: found by variant, and run."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ...errors import NodeError
from ...paths import BUNDLED_PROGRAM_DIRECTORIES, PROGRAM_DIRECTORIES, SERVICE_PATH
from ...state.chain import PROGRAMS, VARIANTS, ChainSetKey
from ...state.family import FAMILIES

# With many services, a restore by kube-proxy holds the lock of the legacy variant for seconds.
LOCK_WAIT = 10  # seconds
# A restore of 30,000 rules takes about one second; a program that takes this long hangs.
TIMEOUT = 120  # seconds
INSTALL = "Install the package iptables (1.8 or newer)"

Completed = subprocess.CompletedProcess


def find(variant: str, family: str, purpose: str = "") -> tuple[str, ...]:
    """Return the command line of a program, or ``()`` if the node has none.

    :param variant: ``nft`` or ``legacy``.
    :param purpose: ``""`` (single commands), ``save`` or ``restore``.
    """
    stem = PROGRAMS[family]
    ending = f"-{purpose}" if purpose else ""
    named = _which(f"{stem}-{variant}{ending}")
    if named:
        return (named,)
    together = _which(f"xtables-{variant}-multi")
    if together:
        return (together, f"{stem}{ending}")
    plain = _which(f"{stem}{ending}")
    return (plain,) if plain and default_variant(family) == variant else ()


def default_variant(family: str) -> str:
    """Return the variant of plain ``iptables`` or ``ip6tables``, ``""`` if there is none."""
    program = _which(PROGRAMS[family])
    if not program:
        return ""
    target = Path(program).resolve().name
    by_name = re.search(r"(nft|legacy)", target)
    if by_name:
        return by_name.group(1)
    version = run((program, "--version")).stdout
    # Before 1.8 there was only legacy, and the version did not name it: "iptables v1.6.1".
    return "nft" if "nf_tables" in version else "legacy"


def installed() -> frozenset[ChainSetKey]:
    """Return the variants and families that have programs to read and write them."""
    return frozenset(
        ChainSetKey(variant, family)
        for variant in VARIANTS
        for family in FAMILIES
        if find(variant, family, "save") and find(variant, family, "restore")
    )


def run(command: Sequence[str], text: str = "") -> Completed[str]:
    """Run a program to its end.

    :param text: its standard input.
    :raises NodeError: it cannot be started, or hangs.
    """
    try:
        # As bytes: in text mode, Python would turn a carriage return in a comment into a newline.
        completed = subprocess.run(  # pylint: disable=ansible-bad-function
            command,
            input=text.encode("utf-8", "surrogateescape"),
            capture_output=True,
            env=_environment(),
            timeout=TIMEOUT,
            check=False,
        )
    except OSError as error:
        raise _not_started(command, error) from error
    except subprocess.TimeoutExpired as error:
        raise _hangs(command) from error
    return Completed(command, completed.returncode, *(_decoded(one) for one in (completed.stdout, completed.stderr)))


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C", "PATH": _path()}


def _decoded(output: bytes) -> str:
    return output.decode("utf-8", "surrogateescape")


def _not_started(command: Sequence[str], error: OSError) -> NodeError:
    return NodeError(f"{command[0]} cannot be started: {error.strerror}. Reinstall the package iptables.")


def _hangs(command: Any) -> NodeError:
    return NodeError(
        f"{' '.join(command)} has not ended after {TIMEOUT} seconds. Run it by hand on the node to see what it waits for."
    )


def run_together(commands: Sequence[Sequence[str]]) -> list[Completed[str]]:
    """Run several programs at once; return their results in the order of the commands.

    :raises NodeError: one cannot be started, or hangs; then all are ended.
    """
    deadline = time.monotonic() + TIMEOUT
    with ExitStack() as stack:
        running = [stack.enter_context(_started(command)) for command in commands]
        return [_ended(process, deadline) for process in running]


@contextmanager
def _started(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program, and end it after the block if it still runs."""
    try:
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment()
        )
    except OSError as error:
        raise _not_started(command, error) from error
    with process:
        try:
            yield process
        finally:
            process.kill()


def _ended(process: subprocess.Popen[bytes], deadline: float) -> Completed[str]:
    """Wait for the end of a program. One whose pipe is full waits for its turn."""
    try:
        output, errors = process.communicate(timeout=max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise _hangs(process.args) from error
    return Completed(process.args, process.returncode, *(_decoded(one) for one in (output, errors)))


def complaint(completed: Completed[str]) -> str:
    """Return the error message of the program in one line, without its pointer to its help and without full stops."""
    lines = [line.strip().rstrip(".") for line in completed.stderr.split("\n")]
    message = "; ".join(line for line in lines if line and not line.startswith(("Try `", "# Warning")))
    return message or f"it ended with status {completed.returncode} and no message"


def unusual_directories(variant: str) -> tuple[str, ...]:
    """Return the directories in which this process finds the programs, if a service would not look there."""
    found = (find(variant, family, purpose) for family in FAMILIES for purpose in ("save", "restore"))
    directories = {str(Path(command[0]).parent) for command in found if command}
    return tuple(
        sorted(directories - {*SERVICE_PATH.split(os.pathsep), *PROGRAM_DIRECTORIES, *BUNDLED_PROGRAM_DIRECTORIES})
    )


def look_in(directories: Sequence[str]) -> None:
    """Look for programs in these directories, too, if nobody but root can change what is in them."""
    _recorded.update(dict.fromkeys(directory for directory in directories if is_of_root(directory)))


def is_of_root(directory: str) -> bool:
    """Whether root owns the directory and all above it, and nobody else may write to them."""
    place = Path(directory).resolve()
    try:
        statuses = [folder.stat() for folder in (place, *place.parents)]
    except OSError:
        return False
    return all(
        status.st_uid == 0 and (not status.st_mode & 0o022 or status.st_mode & stat.S_ISVTX) for status in statuses
    )


_recorded: dict[str, None] = {}  # directories in which a run has found the programs


def _path() -> str:
    given = os.environ.get("PATH", os.defpath).split(os.pathsep)
    further = (*PROGRAM_DIRECTORIES, *_recorded, *BUNDLED_PROGRAM_DIRECTORIES)
    return os.pathsep.join([*given, *(path for path in further if path not in given)])


def _which(name: str) -> str:
    return shutil.which(name, path=_path()) or ""
