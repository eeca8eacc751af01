# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps applied by the writers inside a namespace, and their outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.addresses import write_addresses
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.formats import load_formats
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.links import (
    read_links,
    write_links,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.pyroute2_loader import (
    find_pyroute2,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.routes import (
    read_routes,
    write_routes,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rtnetlink import Rtnetlink
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rules import (
    read_rules,
    write_rules,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import (
    Address,
    Link,
    Ownership,
    Route,
    Rule,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import StateObject, Step, StepsFailed
from tests.support.namespace import Namespace

OWNERSHIP = Ownership()
FORMATS = load_formats(find_pyroute2())  # once here instead of in each child
Result = TypeVar("Result")
Writer = Callable[[Rtnetlink, Sequence[Step], Ownership], None]
WRITERS: dict[type, tuple[str, Writer]] = {
    Link: ("link", write_links),
    Address: ("address", write_addresses),
    Route: ("route", write_routes),
    Rule: ("rule", write_rules),
}


class Outcome(NamedTuple):
    """What a writer raised, empty if it succeeded."""

    done: tuple[Step, ...] = ()
    failed: Step | None = None
    reason: str = ""


def add(*objects: StateObject) -> list[Step]:
    """Return the steps that add these objects."""
    return [Step(WRITERS[type(one)][0], None, one) for one in objects]


def delete(*objects: StateObject) -> list[Step]:
    """Return the steps that delete these objects."""
    return [Step(WRITERS[type(one)][0], one, None) for one in objects]


def change(before: StateObject, after: StateObject) -> Step:
    """Return the step that changes an object in place."""
    return Step(WRITERS[type(after)][0], before, after)


def write(namespace: Namespace, steps: Sequence[Step]) -> Outcome:
    """Apply the steps, all of one kind, inside the namespace."""
    return namespace.call(write_here, tuple(steps))


def write_here(steps: Sequence[Step], ownership: Ownership = OWNERSHIP) -> Outcome:
    """Apply the steps, all of one kind, in the current namespace."""
    with Rtnetlink(FORMATS) as netlink:
        try:
            WRITERS[type(steps[0].subject)][1](netlink, steps, ownership)
        except StepsFailed as failure:
            return Outcome(failure.done, failure.failed, failure.reason)
    return Outcome()


def succeed(namespace: Namespace, steps: Sequence[Step]) -> None:
    """Apply the steps; all must succeed."""
    assert write(namespace, steps) == Outcome()


def read(namespace: Namespace, kind: type) -> tuple[Any, Any]:
    """Return the managed and the foreign routes or rules."""
    return namespace.call(_read, kind)


def _read(kind: type) -> tuple[Any, Any]:
    with Rtnetlink(FORMATS) as netlink:
        if kind is Rule:
            return read_rules(netlink, OWNERSHIP)
        return read_routes(netlink, OWNERSHIP, read_links(netlink, OWNERSHIP).names)


def inside(function: Callable[[Rtnetlink], Result]) -> Result:
    """Call the function with a socket of the namespace that this runs in; to be called by :meth:`Namespace.call`."""
    with Rtnetlink(FORMATS) as netlink:
        return function(netlink)
