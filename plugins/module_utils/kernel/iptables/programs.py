# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of iptables: where they are, of which variant, and how they are run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ...errors import NodeError
from ...paths import PROGRAM_DIRECTORIES
from ...state.chain import VARIANTS
from ...state.family import IPV6

# With many services kube-proxy holds the lock of the legacy variant for seconds, as long as one of its restores takes.
LOCK_WAIT = 10  # seconds
# A restore of 30,000 rules takes about one second; a program that takes this long is stuck.
PATIENCE = 120  # seconds

Completed = subprocess.CompletedProcess


def find(variant: str, family: str, purpose: str = "") -> tuple[str, ...]:
    """Return the beginning of the command line of a program, or ``()`` where the node has none.

    :param variant: ``nft`` or ``legacy``.
    :param purpose: ``""`` (single commands), ``save`` or ``restore``.
    """
    stem = _stem(family)
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
    """Return the variant that plain ``iptables`` or ``ip6tables`` is here, ``""`` where there is none."""
    program = _which(_stem(family))
    if not program:
        return ""
    target = Path(program).resolve().name
    by_name = re.search(r"(nft|legacy)", target)
    if by_name:
        return by_name.group(1)
    said = run((program, "--version")).stdout
    # Before 1.8 there was but one variant, and it did not say so: "iptables v1.6.1".
    return "nft" if "nf_tables" in said else "legacy"


def installed() -> frozenset[tuple[str, str]]:
    """Return variant and family of everything that can be read and written here."""
    return frozenset(
        (variant, family)
        for variant in VARIANTS
        for family in ("ipv4", IPV6)
        if find(variant, family, "save") and find(variant, family, "restore")
    )


def run(command: Sequence[str], text: str = "") -> Completed[str]:
    """Run a program to its end and return what it said.

    :param text: what it reads.
    :raises NodeError: it cannot be started, or does not end.
    """
    try:
        # As bytes: as text Python would make a newline of every carriage return, which may stand in a comment.
        completed = subprocess.run(  # pylint: disable=ansible-bad-function
            command,
            input=text.encode("utf-8", "surrogateescape"),
            capture_output=True,
            env={**os.environ, "LC_ALL": "C", "PATH": _path()},
            timeout=PATIENCE,
            check=False,
        )
        said, complained = (
            output.decode("utf-8", "surrogateescape") for output in (completed.stdout, completed.stderr)
        )
        return Completed(completed.args, completed.returncode, said, complained)
    except OSError as error:
        raise NodeError(f"{command[0]} cannot be started: {error.strerror}. Reinstall the package iptables.") from error
    except subprocess.TimeoutExpired as error:
        raise NodeError(
            f"{' '.join(command)} has not ended after {PATIENCE} seconds."
            " Run it by hand on the node to see what it waits for."
        ) from error


def run_together(commands: Sequence[Sequence[str]]) -> list[Completed[str]]:
    """Run several programs at once and return what they said, in the order of the commands.

    Threads are started from the caller's, so they are in the caller's network namespace.
    """
    if len(commands) < 2:
        return [run(command) for command in commands]
    with ThreadPoolExecutor(max_workers=len(commands)) as pool:
        return list(pool.map(run, commands))


def complaint(completed: Completed[str]) -> str:
    """Return the program's own error in one line, without its advice to read its help and without full stops."""
    lines = [line.strip().rstrip(".") for line in completed.stderr.split("\n")]
    said = [line for line in lines if line and not line.startswith(("Try `", "# Warning"))]
    return "; ".join(said) or f"it ended with status {completed.returncode} and said nothing"


def _stem(family: str) -> str:
    return "ip6tables" if family == IPV6 else "iptables"


def _path() -> str:
    present = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join([*present, *(path for path in PROGRAM_DIRECTORIES if path not in present)])


def _which(name: str) -> str:
    return shutil.which(name, path=_path()) or ""
