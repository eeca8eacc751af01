# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the parts: ``guest`` (the same tree under a stock kernel), or a command of one's own in such a machine."""

from __future__ import annotations

import argparse
import sys
import time

from . import qemu, same_tree
from .cache import BuildError
from .kernels import Kernel, stock_kernel

_GUEST_SECONDS = 1800.0


def main() -> int:
    """Run what the command line asks for; the exit status is the first that is not 0."""
    parser = argparse.ArgumentParser(prog="tests/vm/run", description=__doc__)
    parts = parser.add_subparsers(dest="part")
    parts.add_parser("all", help="every part (the default)")
    guest = parts.add_parser("guest", help="tests/vm/guest under a stock kernel")
    guest.add_argument("arguments", nargs=argparse.REMAINDER, help="for pytest")
    command = parts.add_parser("run", help="one command of one's own under a stock kernel")
    command.add_argument("arguments", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    try:
        kernel = stock_kernel()
        print(f"kernel {kernel.version}, {qemu.accelerator(kernel)}", flush=True)
        if arguments.part == "run":
            return _in_machine("command", kernel, arguments.arguments)
        return _in_machine("guest", kernel, ["pytest", "tests/vm/guest", *getattr(arguments, "arguments", [])])
    except BuildError as error:
        print(f"vm: {error}", file=sys.stderr)
        return 1


def _in_machine(what: str, kernel: Kernel, command: list[str]) -> int:
    began = time.monotonic()
    outcome = same_tree.run(kernel, command, _GUEST_SECONDS)
    total = time.monotonic() - began
    print(f"vm: {what}: {total:.0f} s in all, {outcome.boot_seconds:.0f} s of it until the command started", flush=True)
    same_tree.require_success(outcome)
    assert outcome.code is not None, "asked just above"
    return outcome.code


if __name__ == "__main__":
    sys.exit(main())
