# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line of the lab with containers: images, up, restart, down."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.lab import LabError, LabOptions
from tests.lab.topology import NODES

from .engine import Engine
from .images import node_image
from .lab import PREFIX, ContainerLab


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="containers", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("images", help="build the images of these releases").add_argument("release", nargs="+")
    up = commands.add_parser("up", help="start the lab; DEBIAN=13,11 sets the Debian releases of node1 and node2")
    up.add_argument("--same-subnet", action="store_true", help="the pool is part of the nodes' subnet")
    up.add_argument(
        "--read-only-usr", action="append", choices=NODES, default=[], help="mount /usr of this node read-only"
    )
    commands.add_parser("restart", help="restart a node").add_argument("node", choices=NODES)
    commands.add_parser("down", help="remove the lab")
    try:
        _run(parser.parse_args())
    except LabError as error:
        print(f"containers: {error}", file=sys.stderr)
        return 1
    return 0


def _run(arguments: argparse.Namespace) -> None:
    if arguments.command == "images":
        engine = Engine()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda release: node_image(engine, release), arguments.release))
    elif arguments.command == "up":
        releases = (os.environ.get("DEBIAN") or "12").split(",")
        images = {
            node: node_image(Engine(), release) for node, release in zip(NODES, itertools.cycle(releases), strict=False)
        }
        options = LabOptions(prefix=PREFIX, rp_filter=1, same_subnet=arguments.same_subnet)
        ContainerLab(options, images, arguments.read_only_usr).up()
    elif arguments.command == "restart":
        ContainerLab.attach().restart(arguments.node)
    else:
        ContainerLab(LabOptions(prefix=PREFIX)).down()


if __name__ == "__main__":
    sys.exit(main())
