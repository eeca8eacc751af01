# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs ``guest`` (this machine's files under a stock kernel), ``node`` (a complete node with reboots), ``managers`` (nodes with
network managers), or a command. ``all`` includes ``managers`` only if the environment variable ALL is 1."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from . import qemu, shared_root
from .cache import ROOT, BuildError
from .kernels import Kernel, stock_kernel
from .managers.setups import CONTENTS, SUITES
from .node.image import node_image

PARTS = ("guest", "node", "managers")
_GUEST_SECONDS = 1800.0


def main() -> int:
    """Run the selected parts; return the first exit status that is not 0."""
    parser = argparse.ArgumentParser(prog="tests/vm/run", description=__doc__)
    parser.add_argument("part", nargs="?", default="all", choices=["all", *PARTS, "run"], help="default: %(default)s")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments for pytest; with `run`, the command")
    arguments = parser.parse_args()
    try:
        kernel = stock_kernel()
        print(f"kernel {kernel.version}, {qemu.accelerator(kernel)}", flush=True)
        if arguments.part == "run":
            return _in_machine("command", kernel, arguments.arguments)
        parts = PARTS if os.environ.get("ALL") == "1" else PARTS[:2]
        parts = parts if arguments.part == "all" else (arguments.part,)
        return _parts(parts, kernel, arguments.arguments)
    except BuildError as error:
        print(f"vm: {error}", file=sys.stderr)
        return 1


def _parts(parts: Sequence[str], kernel: Kernel, arguments: list[str]) -> int:
    """Run the parts one after the other, as together they use three processors."""
    began = time.monotonic()
    results, first = [], 0
    for part in parts:
        since = time.monotonic()
        code = _guest(kernel, arguments) if part == "guest" else _nodes(part, kernel, arguments)
        results.append(f"{part} {'passed' if not code else 'FAILED'} in {time.monotonic() - since:.0f} s")
        first = first or code
    print(f"vm: {', '.join(results)}; all in {time.monotonic() - began:.0f} s", flush=True)
    return first


def _guest(kernel: Kernel, arguments: list[str]) -> int:
    return _in_machine("guest", kernel, ["pytest", "tests/vm/guest", *arguments])


def _nodes(part: str, kernel: Kernel, arguments: list[str]) -> int:
    # Before pytest, which would capture the output
    if part == "node":
        node_image(kernel)
    else:
        for suite in SUITES:
            node_image(kernel, CONTENTS, suite)
    return subprocess.run(
        [sys.executable, "-m", "pytest", f"tests/vm/{part}", *arguments], cwd=ROOT, check=False
    ).returncode


def _in_machine(what: str, kernel: Kernel, command: list[str]) -> int:
    began = time.monotonic()
    outcome = shared_root.run(kernel, command, _GUEST_SECONDS)
    total = time.monotonic() - began
    print(
        f"vm: {what}: {total:.0f} s in all, {outcome.boot_seconds:.0f} s of them until the command started", flush=True
    )
    shared_root.require_success(outcome)
    assert outcome.code is not None, "require_success() checked it"
    return outcome.code


if __name__ == "__main__":
    sys.exit(main())
