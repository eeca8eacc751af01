# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of every kind carried out in order, each run of one kind in as few system calls as it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from ..errors import NodeError, describe
from ..state import Link, Ownership
from ..state.kinds import ADDRESS, CHAINS, FILE, LINK, ROUTE, RULE, SYSCTL, UNIT
from ..state.step import Step, StepsFailed
from . import files, sysctls, systemd
from .iptables import restore
from .netlink.addresses import write_addresses
from .netlink.links import MODULE_OF_KIND, kernel_can_make, write_links
from .netlink.routes import write_routes
from .netlink.rtnetlink import Rtnetlink
from .netlink.rules import write_rules

#: Carries out steps of one kind, in order. Raises :class:`StepsFailed`.
Writer = Callable[[Rtnetlink, Sequence[Step], Ownership], None]

#: By name of the kind.
WRITERS: dict[str, Writer] = {
    FILE.name: lambda _netlink, steps, _ownership: files.write(steps),
    LINK.name: write_links,
    SYSCTL.name: lambda _netlink, steps, _ownership: sysctls.write(steps),
    ADDRESS.name: write_addresses,
    ROUTE.name: write_routes,
    CHAINS.name: lambda _netlink, steps, ownership: restore.write(steps, ownership),
    RULE.name: write_rules,
    UNIT.name: lambda _netlink, steps, _ownership: systemd.write(steps),
}


def write_steps(steps: Sequence[Step], ownership: Ownership, pyroute2_path: str) -> None:
    """Carry the steps out, in order.

    :raises StepsFailed: one of them failed, or something else went wrong; tells which took effect before. Whatever else is
        raised comes before the first step.
    """
    if not steps:
        return
    done: list[Step] = []
    with Rtnetlink(extra_directory=pyroute2_path) as netlink:
        for kind, run in _runs(steps):
            try:
                _write(kind, run, ownership, netlink)
            except StepsFailed as failure:
                raise StepsFailed((*done, *failure.done), failure.failed, failure.reason, failure.unsure) from failure
            except Exception as error:
                # Even a mistake of ours must leave nobody with half of a change.
                raise StepsFailed(tuple(done), run[0], describe(error), tuple(run)) from error
            done += run


def require_kinds(steps: Sequence[Step], pyroute2_path: str) -> None:
    """Refuse a plan that the kernel has no means for, before anything is written.

    :raises NodeError: the kernel cannot make a kind of link; names the missing module.
    """
    wanted = {step.after.kind for step in steps if step.before is None and isinstance(step.after, Link)}
    if not wanted:
        return
    with Rtnetlink(extra_directory=pyroute2_path) as netlink:
        missing = [kind for kind in sorted(wanted) if not kernel_can_make(netlink, kind)]
    for kind in missing:
        module = MODULE_OF_KIND[kind]
        raise NodeError(
            f"This node's kernel has no links of type {kind} (module {module}). Load the module (modprobe {module}), run a kernel"
            " that has it, or have the link made by something else and declare it without vlan."
        )


def _runs(steps: Sequence[Step]) -> Iterator[tuple[str, list[Step]]]:
    return ((kind, list(run)) for kind, run in groupby(steps, key=lambda step: step.kind))


def _write(kind: str, steps: Sequence[Step], ownership: Ownership, netlink: Rtnetlink) -> None:
    WRITERS[kind](netlink, steps, ownership)
