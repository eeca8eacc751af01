# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries out steps of every kind in order, consecutive steps of one kind together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from ..errors import NodeError, describe
from ..state import File, Link, Ownership
from ..state.kinds import ADDRESS, CHAINS, FILE, LINK, ROUTE, RULE, SYSCTL, UNIT
from ..state.step import Step, StepsFailed
from . import files, network_managers, sysctls, systemd
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
    FILE.name: lambda _netlink, steps, _ownership: _write_files(steps),
    LINK.name: write_links,
    SYSCTL.name: lambda _netlink, steps, _ownership: sysctls.write(steps),
    ADDRESS.name: write_addresses,
    ROUTE.name: write_routes,
    CHAINS.name: lambda _netlink, steps, ownership: restore.write(steps, ownership),
    RULE.name: write_rules,
    UNIT.name: lambda _netlink, steps, _ownership: systemd.write(steps),
}


def write_steps(steps: Sequence[Step], ownership: Ownership, pyroute2_path: str) -> None:
    """Carry out the steps, in order.

    :raises StepsFailed: a step failed; names the steps that took effect. Any other exception comes before the first step.
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
                # Even a bug must not leave half of a change on the node.
                raise StepsFailed(tuple(done), run[0], describe(error), tuple(run)) from error
            done += run


def require_link_types(steps: Sequence[Step], pyroute2_path: str) -> None:
    """Refuse links that this kernel does not support, before anything is written.

    :raises NodeError: names the missing kernel module.
    """
    types = {step.after.kind for step in steps if step.before is None and isinstance(step.after, Link)}
    if not types:
        return
    with Rtnetlink(extra_directory=pyroute2_path) as netlink:
        missing = [kind for kind in sorted(types) if not kernel_can_make(netlink, kind)]
    for kind in missing:
        module = MODULE_OF_KIND[kind]
        raise NodeError(
            f"This node's kernel does not support links of type {kind} (module {module}). Load the module (modprobe {module}), run"
            " a kernel that has it, or create the link by other means; a pool on it needs no vlan then."
        )


def _write_files(steps: Sequence[Step]) -> None:
    files.write(steps)
    network_managers.tell(step.subject.path for step in steps if isinstance(step.subject, File))


def _runs(steps: Sequence[Step]) -> Iterator[tuple[str, list[Step]]]:
    return ((kind, list(run)) for kind, run in groupby(steps, key=lambda step: step.kind))


def _write(kind: str, steps: Sequence[Step], ownership: Ownership, netlink: Rtnetlink) -> None:
    WRITERS[kind](netlink, steps, ownership)
