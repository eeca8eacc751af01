"""The lab's command line: up, down, probe, run, snapshot, inventory, control, situations."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, fields
from typing import Any

from . import controls, inventory, situations
from .delivery import FAMILIES, PROTOCOLS, all_cells, table
from .lab import Lab
from .namespaces import LabError
from .options import KUBE_PROXY_MODES, VARIANTS, VLAN_KINDS, LabOptions


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    # Accepted after the command: `probe --prefix P`
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--prefix", default=LabOptions.prefix, help="prefix of the lab (default %(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", parents=[common], help="set up a lab")
    up.add_argument("--kube-proxy", choices=KUBE_PROXY_MODES, default=LabOptions.kube_proxy)
    up.add_argument("--variant", choices=VARIANTS, default=LabOptions.variant)
    up.add_argument("--rp-filter", type=int, choices=(0, 1, 2), default=LabOptions.rp_filter)
    up.add_argument("--vlan", choices=VLAN_KINDS, default=LabOptions.vlan)
    for flag in (
        "vlan-address",
        "same-subnet",
        "shared-link",
        "strict-pool-router",
        "second-pool",
        "address-socket",
        "bridge",
        "second-nic",
    ):
        up.add_argument(f"--{flag}", action="store_true")
    up.add_argument(
        "--situation",
        action="append",
        default=[],
        choices=sorted(situations.SITUATIONS),
        metavar="NAME",
        help="a situation of the nodes (repeatable); `situations` lists them",
    )
    up.add_argument("--no-pool-link", dest="pool_link", action="store_false")
    commands.add_parser("situations", parents=[common], help="list the situations of nodes")
    commands.add_parser("down", parents=[common], help="remove the lab")
    add_probe_arguments(
        commands.add_parser(
            "probe", parents=[common], help="show which client reaches which service, and the path of the replies"
        )
    )
    run = commands.add_parser("run", parents=[common], help="run a command on a host")
    run.add_argument("host")
    run.add_argument("words", nargs=argparse.REMAINDER)
    commands.add_parser("snapshot", parents=[common], help="print the network state of a host").add_argument("host")
    inventory_parser = commands.add_parser("inventory", parents=[common], help="print an Ansible inventory")
    inventory_parser.add_argument("--python", default=inventory.DEFAULT_PYTHON, help="Python interpreter of the nodes")
    control = commands.add_parser("control", parents=[common], help="run the commands of a recipe on both nodes")
    control.add_argument("name", choices=sorted(controls.CONTROLS))
    control.add_argument("--show", action="store_true", help="only print the commands")
    return parser


def add_probe_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--client", action="append", help="only this client (repeatable)")
    parser.add_argument("--service", action="append", help="only this service (repeatable)")
    parser.add_argument("--protocol", action="append", choices=PROTOCOLS)
    parser.add_argument("--family", action="append", type=int, choices=FAMILIES)
    parser.add_argument("--timeout", type=float, default=2.0, help="seconds without progress (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print a JSON array of deliveries")


def probe(lab: Lab, arguments: argparse.Namespace) -> int:
    """Print the delivery table. Return 0 if every cell was reached, else 3."""
    for kind, given, known in (
        ("client", arguments.client, lab.clients),
        ("service", arguments.service, lab.services),
    ):
        for name in given or ():
            if name not in known:
                raise LabError(f"unknown {kind} {name!r}; known: {', '.join(known)}")
    cells = all_cells(lab, arguments.client, arguments.service, arguments.protocol, arguments.family)
    deliveries = lab.deliver(cells, arguments.timeout)
    print(json.dumps([asdict(delivery) for delivery in deliveries], indent=1) if arguments.json else table(deliveries))
    return 0 if all(delivery.reached for delivery in deliveries) else 3


def _up(arguments: argparse.Namespace) -> None:
    chosen = [situations.SITUATIONS[name] for name in arguments.situation]
    options = {field.name: getattr(arguments, field.name) for field in fields(LabOptions)}
    link = situations.SHARED if arguments.shared_link else situations.DEDICATED
    if not situations.fits(chosen, link):
        raise LabError(f"these situations do not occur together on a {link} link")
    if chosen:
        options |= situations.options_of(chosen, link)
    situations.prepare(Lab(_options(options)).up(), chosen)


def _down(arguments: argparse.Namespace) -> None:
    Lab(_options({"prefix": arguments.prefix})).down()


def _list_situations(_arguments: argparse.Namespace) -> None:
    for one in situations.SITUATIONS.values():
        print(f"{one.name:24}{one.summary}")


def _options(chosen: dict[str, Any]) -> LabOptions:
    try:
        return LabOptions(**chosen)
    except ValueError as error:
        raise LabError(str(error)) from error


def _run(arguments: argparse.Namespace) -> int:
    without_lab = {"up": _up, "down": _down, "situations": _list_situations}
    if arguments.command in without_lab:
        without_lab[arguments.command](arguments)
        return 0
    lab = Lab.attach(arguments.prefix)
    if arguments.command == "probe":
        return probe(lab, arguments)
    if arguments.command == "run":
        done = lab.host(arguments.host).run(arguments.words, check=False)
        sys.stdout.write(done.stdout)
        sys.stderr.write(done.stderr)
        return done.returncode
    if arguments.command == "snapshot":
        for part, text in lab.host(arguments.host).snapshot().items():
            print(f"# {part}\n{text}\n")
    elif arguments.command == "inventory":
        print(inventory.text(lab, arguments.python), end="")
    elif arguments.show:
        print("\n".join(controls.commands(arguments.name, lab.options)))
    else:
        controls.apply(lab, arguments.name)
    return 0


def main(words: list[str] | None = None) -> int:
    try:
        return _run(_parser().parse_args(words))
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
