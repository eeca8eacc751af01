# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations with one flaw each; without the flaw the same declaration must pass, so the flaw is the reason."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration import Declaration, parse_declaration
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputErrors

#: Removes an option instead of giving it a value.
ABSENT = object()

#: The example of the documentation.
VALID: dict[str, Any] = {
    "pools": [
        {
            "name": "external",
            "networks": ["1.2.3.0/24", "fd00:1:2:3::/64"],
            "interface": "eth0.100",
            "vlan": {"parent": "eth0", "id": 100},
            "gateways": ["1.2.3.1", "fd00:1:2:3::1"],
        }
    ],
    "cluster": {
        "pod_networks": ["10.112.0.0/12", "fd00:112::/32"],
        "service_networks": ["10.96.0.0/12"],
        "kube_proxy_mode": "auto",
    },
}

#: A pool that does not conflict with the one in VALID.
SECOND: dict[str, Any] = {
    "name": "second",
    "networks": ["1.2.4.0/24"],
    "interface": "eth0.200",
    "gateways": ["1.2.4.1"],
}


def second(**options: Any) -> dict[str, Any]:
    """Return SECOND with other options."""
    return {**copy.deepcopy(SECOND), **options}


def changed(parameters: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters with the values at these paths (``pools[0].vlan.id``) changed."""
    result = copy.deepcopy(dict(parameters))
    for path, value in changes.items():
        *way, last = (int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", path))
        here: Any = result
        for part in way:
            here = here[part]
        if value is ABSENT:
            del here[last]
        elif isinstance(here, list) and last == len(here):
            here.append(copy.deepcopy(value))
        else:
            here[last] = copy.deepcopy(value)
    return result


@dataclass(frozen=True)
class Flaw:
    """One flaw in an otherwise valid declaration.

    :param flaw: what is wrong, as changes by path.
    :param path: which the error must have.
    :param words: that its text must have.
    :param given: changes to VALID that the flaw depends on; valid by themselves.
    """

    flaw: Mapping[str, Any]
    path: str
    words: tuple[str, ...]
    given: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return re.sub(r"[^\w.:/-]+", " ", f"{self.path} {self.words[0]}")[:70]


def check(flaw: Flaw) -> str:
    """Assert that the flaw is refused with its path, reason and remedy, and that nothing else is; return the message."""
    valid = changed(VALID, flaw.given)
    assert isinstance(parse_declaration(valid), Declaration), "the declaration must pass without the flaw"
    with pytest.raises(InputErrors) as caught:
        parse_declaration(changed(valid, flaw.flaw))
    assert_only(caught.value, flaw.path, flaw.words)
    return str(caught.value)


def assert_only(caught: InputErrors, path: str, words: Iterable[str]) -> None:
    """Assert that there is exactly one error, with this path, these words, a reason and a remedy."""
    assert [error.path for error in caught.errors] == [path], str(caught)
    (error,) = caught.errors
    for word in words:
        assert word in str(error), str(error)
    assert error.problem, "there is a reason"
    assert error.remedy.endswith("."), "the remedy is a sentence"
    assert not error.problem.endswith("."), "the full stop comes between problem and remedy"
