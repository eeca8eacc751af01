# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparing snapshots of a node (``tests.lab.snapshot``), where something may differ."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Protocol

from tests.lab import Host
from tests.lab.snapshot import Snapshot, assert_same, clean_ruleset, clean_save, unordered, without_link_numbers
from tests.lab.waiting import wait_until

#: A difference that only the first of two snapshots has, after the name of its part.
_LOST = re.compile(r"\S+: -")
#: Original values of sysctls: their file is named after the network namespace.
_ORIGINALS = r"^homeward\.metallb_routing( 40|/originals\.)"


class Observable(Protocol):
    """A host or node."""

    def snapshot(self) -> Snapshot: ...


@contextmanager
def unchanged(host: Observable, assert_like: Callable[[Snapshot, Snapshot], None] = assert_same) -> Iterator[None]:
    """Assert that the host is the same after the block as before it."""
    before = host.snapshot()
    yield
    assert_like(before, host.snapshot())


def assert_equivalent(before: Snapshot, after: Snapshot) -> None:
    """Assert that two snapshots differ in nothing but the order of chains and addresses, and saved original values."""
    assert_same(_canonical(before), _canonical(after))


def _canonical(snapshot: Snapshot) -> Snapshot:
    return unordered(snapshot.replaced(files=without_lines(snapshot["files"], _ORIGINALS)))


def restorable(host: Host) -> Snapshot:
    """Take a snapshot that does not depend on link numbers and on the order of chains."""
    return without_link_numbers(unordered(host.snapshot()))


def lost(before: Snapshot, host: Host) -> list[str]:
    """Return the lines of a :func:`restorable` snapshot that are missing on the host now."""
    return [line for line in before.differences(restorable(host)) if _LOST.match(line)]


def wait_until_same(host: Host, before: Snapshot, explain: Callable[[], str]) -> None:
    """Wait until the host is again as in a :func:`restorable` snapshot."""

    def same() -> bool:
        return restorable(host) == before

    wait_until(same, lambda: "\n".join([before.difference(restorable(host)), *explain().splitlines()[-20:]]))


def without_managed(snapshot: Snapshot, addresses: Collection[str] = ()) -> Snapshot:
    """Return what must never change: the snapshot without everything that carries a marker of ownership.

    :param addresses: managed ones; this ``ip`` does not show their protocol number.
    """
    found = Snapshot(snapshot)
    links = [json.loads(line) for line in snapshot["addresses"].splitlines()]
    for link in links:
        link["addr_info"] = [item for item in link["addr_info"] if item["local"] not in addresses]
    found["addresses"] = "\n".join(json.dumps(link) for link in sorted(links, key=lambda link: str(link["ifindex"])))
    for part in ("routes4", "routes6", "rules4", "rules6"):
        found[part] = without_lines(snapshot[part], '"protocol": "77"')
    for address in addresses:
        local = rf'"dst": "{address}".*"table": "255"'
        found.update({part: without_lines(found[part], local) for part in ("routes4", "routes6")})
    for part in snapshot:
        if part.endswith("-save"):
            found[part] = clean_save(without_lines(snapshot[part], "HOMEWARD-"))
    chains = re.sub(r"(?m)^\tchain HOMEWARD-\S* \{\n(?:\t\t.*\n)*\t\}\n\n?", "", snapshot["nft"])
    found["nft"] = clean_ruleset(re.sub(r"\n\n\}", "\n}", without_lines(chains, "HOMEWARD-")))
    settings = r"conf/(eth\S*/(rp_filter|src_valid_mark|accept_ra)|all/arp_(ignore|announce)) "
    found["sysctls"] = without_lines(snapshot["sysctls"], settings)
    found["files"] = without_lines(snapshot["files"], "homeward")
    return found


def without_lines(text: str, pattern: str) -> str:
    """Return the text without the lines in which the pattern is found."""
    return "".join(line for line in text.splitlines(keepends=True) if not re.search(pattern, line))
