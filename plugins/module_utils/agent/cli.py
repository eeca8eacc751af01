# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command metallb-routing on a node: status, restore, remove, guard."""

# pylint: disable=ansible-bad-function  # a command speaks to its user

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from ..errors import HomewardError
from . import reconciler, service, status


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; 0 is well, 1 is not as declared, 2 is an error."""
    parser = argparse.ArgumentParser(prog="metallb-routing", description="Routing of MetalLB pools on this node.")
    commands = parser.add_subparsers(dest="command", required=True)
    told = commands.add_parser("status", help="tell what is declared, what is there, and what was healed")
    told.add_argument("--json", action="store_true", help="for programs")
    commands.add_parser("restore", help="make the node as declared, once")
    commands.add_parser("remove", help="take everything of ours off the node, as the playbook remove does")
    served = commands.add_parser(
        "agent", aliases=["guard"], help="keep the node as declared (the systemd service runs this)"
    )
    served.add_argument("--version", default="", help="told back to whoever asks what is running")
    served.add_argument(
        "--sweep", type=float, default=service.SWEEP, help="seconds between two looks at everything (%(default)s)"
    )
    arguments = parser.parse_args(words)
    try:
        if arguments.command == "status":
            return _status(as_json=arguments.json)
        if arguments.command == "restore":
            return _restore()
        if arguments.command == "remove":
            return _remove()
        service.Guard(arguments.version, arguments.sweep).run()
    except HomewardError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _status(*, as_json: bool) -> int:
    try:
        facts = status.gather()
    except HomewardError as error:
        facts = status.trouble(error)
        if as_json:
            print(json.dumps(facts, indent=1))
        else:
            print("\n".join([facts["error"], *facts["undecided"]]), file=sys.stderr)
        return 2
    print(json.dumps(facts, indent=1) if as_json else status.in_words(facts))
    return 0 if facts["right"] else 1


def _restore() -> int:
    done, waiting = reconciler.restore()
    for step in done:
        print(step)
    for sentence in waiting:
        print(sentence)
    print("The node is as declared as far as it can be at present." if waiting else "The node is as declared.")
    return 0


def _remove() -> int:
    # Here, because the guard lives long and needs nothing of what removing needs.
    from . import removal  # noqa: PLC0415

    for step in removal.remove():
        print(step)
    print("Nothing of ours is left on the node.")
    return 0
