# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connects AnsibleModule to the engine: passes on how a module was called, and turns errors into failures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from .engine import Result, Run
from .errors import HomewardError, InputError, Pyroute2Missing, refused
from .paths import PYROUTE2_DIRECTORY

DEFAULT_PYROUTE2_PATH = PYROUTE2_DIRECTORY
PYROUTE2_MISSING = "pyroute2_missing"


class Module(Protocol):
    """The part of AnsibleModule that is used."""

    params: Mapping[str, Any]
    check_mode: bool
    _diff: bool  # AnsibleModule has no public name for it

    def exit_json(self, **result: Any) -> Any: ...

    def warn(self, warning: str) -> None: ...

    def fail_json(self, msg: str, **result: Any) -> Any: ...


def run_module(module: Module, flow: Callable[[Mapping[str, Any], Run], Result]) -> None:
    """Call ``flow`` with the module's parameters, and leave through ``exit_json`` or ``fail_json``."""
    run = Run(
        module.check_mode,
        module._diff,  # noqa: SLF001
        module.params.get("pyroute2_path") or DEFAULT_PYROUTE2_PATH,
        module.params.get("confirm_timeout") or 0,
    )
    try:
        result = flow(module.params, run)
    except Pyroute2Missing as error:
        module.fail_json(msg=str(error), **{PYROUTE2_MISSING: True, "pyroute2_path": run.pyroute2_path})
    except InputError as error:
        module.fail_json(**refused(error, module.params))
    except HomewardError as error:
        module.fail_json(msg=str(error))
    else:
        warnings = result.pop("warnings", ())
        if module.params.get("collect_warnings"):
            result["host_warnings"] = warnings
        else:
            for warning in warnings:
                module.warn(warning)
        module.exit_json(**result)
