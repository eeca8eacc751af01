# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of many hosts as short text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

_NUMBER = re.compile(r"(\d+)")


def abridged(hosts: Sequence[str]) -> str:
    """Return the names; three or more with consecutive numbers as a range of Ansible's inventories, ``node[1:40]``."""
    return ", ".join(_ranges(hosts))


def named(hosts: Sequence[str]) -> str:
    """Return the names as in :func:`abridged`, with the number of hosts if some of them are not spelt out."""
    text = abridged(hosts)
    return f"{text} ({len(hosts)} hosts)" if "[" in text else text


def order(hosts: Iterable[str], like: Iterable[str]) -> list[str]:
    """Return the hosts in the order of others, all of which are given."""
    wanted = set(hosts)
    return [host for host in like if host in wanted]


def _ranges(hosts: Sequence[str]) -> Iterator[str]:
    run: list[str] = []
    place = None  # of the number that grows, among the parts of the names
    for host in hosts:
        grown = _next(run[-1], host) if run else None
        if grown is None or (len(run) > 1 and grown != place):
            yield from _range(run, place)
            run = []
        else:
            place = grown
        run.append(host)
    yield from _range(run, place)


def _next(earlier: str, later: str) -> int | None:
    """Return the place of the only number in which two names differ, if it is larger by one in the later name."""
    first, second = _NUMBER.split(earlier), _NUMBER.split(later)
    if len(first) != len(second):
        return None
    different = [index for index, parts in enumerate(zip(first, second)) if parts[0] != parts[1]]
    if len(different) != 1 or different[0] % 2 == 0:
        return None
    index = different[0]
    return index if second[index] == str(int(first[index]) + 1).zfill(len(first[index])) else None


def _range(run: Sequence[str], place: int | None) -> Iterator[str]:
    if len(run) < 3 or place is None:
        yield from run
        return
    parts = _NUMBER.split(run[0])
    yield f"{''.join(parts[:place])}[{parts[place]}:{_NUMBER.split(run[-1])[place]}]{''.join(parts[place + 1 :])}"
