# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pools of all five variables as one list for pool_routing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.case_traits import CASES
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.option_reader import ErrorCollector
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.values import is_unset, printable

_PATH = re.compile(r"(?<![\w.])pools\[(\d+)\]")
_ALL = "metallb_routing_pools"
#: The variables that declare pools, with the case of their pools.
POOL_VARIABLES: Mapping[str, str] = {_ALL: "", **{f"{case}_pools": case for case in CASES}}


def is_by_variable(pools: Any) -> bool:
    """Whether these are the pools of the role ``node``, by variable."""
    return isinstance(pools, Mapping) and _ALL in pools and "name" not in pools


def join_pools(by_variable: Mapping[str, Any], required: str = "") -> tuple[list[Any], dict[str, int]]:
    """Return the pools of all variables as one list, and how many each variable declares, in the same order.

    The variable decides the case of its pools.

    :param required: the variable that must not be empty.
    :raises InputErrors: a value is not a list, or the required one is empty.
    """
    errors = ErrorCollector()
    pools: list[Any] = []
    numbers: dict[str, int] = {}
    for name, case in POOL_VARIABLES.items():
        value = by_variable.get(name)
        if is_unset(value) or value in ([], ()):
            if name == required:
                errors.add(
                    name,
                    "the list is empty",
                    "Declare at least one pool of this case, or remove the configuration from the node with the playbook"
                    " homeward.metallb_routing.remove.",
                )
        elif isinstance(value, (list, tuple)):
            numbers[name] = len(value)
            pools += [{**pool, "case": case} if case and isinstance(pool, Mapping) else pool for pool in value]
        else:
            errors.add(name, f"{printable(value)} is not a list", _remedy(name, value))
    errors.raise_if_any()
    return pools, numbers


def as_written(result: dict[str, Any], numbers: Mapping[str, int]) -> dict[str, Any]:
    """Return a result whose messages name the variable that declares a pool, and the index in it, instead of ``pools[3]``.

    :param numbers: of pools by variable, in the order in which they were joined; empty if they were declared as ``pools``.
    """
    paths = [f"{name}[{index}]" for name, number in numbers.items() for index in range(number)]

    def written(text: Any) -> Any:
        return _PATH.sub(lambda found: paths[int(found[1])] if int(found[1]) < len(paths) else found[0], str(text))

    if paths:
        if "msg" in result:
            result["msg"] = written(result["msg"])
        for error in result.get("errors", ()):
            error.update(path=written(error["path"]), message=written(error["message"]))
        if "warnings" in result:
            result["warnings"] = [written(one) if isinstance(one, str) else one for one in result["warnings"]]
    return result


def _remedy(name: str, value: Any) -> str:
    if isinstance(value, str):
        return f"-e {name}=... always passes text. Pass JSON: -e '{{\"{name}\": [...]}}'."
    if isinstance(value, Mapping):
        return "Write a dash before each pool, also if there is only one."
    return "Give a list of pools."
