# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command metallb-routing on a node: status, restore, remove, agent."""

# pylint: disable=ansible-bad-function  # a command prints to its user

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import NoReturn

from ..errors import FAILED, UNUSABLE_STATE, USAGE, HomewardError, StateUnusable
from . import changes, once, removal, service, status


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status: 0 for success, 1 for drift, else see :mod:`..errors`."""
    arguments = _parser().parse_args(words)
    try:
        if arguments.command == "status":
            return _status(as_json=arguments.json)
        if arguments.command == "restore":
            return _restore()
        if arguments.command == "remove":
            return _remove()
        if arguments.command == "commit":
            changes.commit(arguments.name)
            return 0
        if arguments.command == "rollback":
            changes.roll_back(arguments.name)
            return 0
        service.Agent(arguments.version, arguments.sweep).run()
    except HomewardError as error:
        print(error, file=sys.stderr)
        return _status_of(error)
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit with a status of its own: 2 is that of an unusable state file, after which the service does not restart."""
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: error: {message}\n")


def _status_of(error: HomewardError) -> int:
    return UNUSABLE_STATE if isinstance(error, StateUnusable) else FAILED


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="metallb-routing", description="Routing of MetalLB pools on this node.")
    commands = parser.add_subparsers(dest="command", required=True)
    shown = commands.add_parser("status", help="show the desired state, drift, and what the agent has reconciled")
    shown.add_argument("--json", action="store_true", help="print JSON")
    commands.add_parser("restore", help="reconcile the node once")
    commands.add_parser("remove", help="remove everything managed from the node, as the playbook remove does")
    # Version 0.1.0 called it guard.
    run = commands.add_parser(
        "agent", aliases=["guard"], help="keep the node reconciled (the systemd service runs this)"
    )
    run.add_argument("--version", default="", help="version to write to the version file")
    run.add_argument(
        "--sweep",
        type=float,
        default=service.CHECK_INTERVAL,
        help="seconds between two full checks (%(default)s)",
    )
    for name, text in (
        ("commit", "confirm a change"),
        ("rollback", "roll a change back unless it is confirmed in time"),
    ):
        deciding = commands.add_parser(name, help=f"{text} (its folder in /run has this program)")
        deciding.add_argument("name", help="name of the change")
    return parser


def _status(*, as_json: bool) -> int:
    try:
        facts = status.gather()
    except HomewardError as error:
        facts = status.gather_without_state(error)
        if as_json:
            print(json.dumps(facts, indent=1))
        else:
            print("\n".join([facts["error"], *facts["undecided"]]), file=sys.stderr)
        return _status_of(error)
    print(json.dumps(facts, indent=1) if as_json else status.as_text(facts))
    return 0 if facts["right"] else 1


def _restore() -> int:
    done, waiting = once.restore()
    for step in done:
        print(step)
    for sentence in waiting:
        print(sentence)
    print(
        "The node is in the desired state, except for what is waiting."
        if waiting
        else "The node is in the desired state."
    )
    return 0


def _remove() -> int:
    steps, left = removal.remove()
    for step in steps:
        print(step)
    if left:
        print(f"These chains stay, as the node has no iptables: {', '.join(left)}. Delete them with nft.")
        return FAILED
    print("Everything managed has been removed from this node.")
    return 0
