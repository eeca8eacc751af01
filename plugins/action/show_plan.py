# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugin of show_plan: prints the plan, or what was done, for all hosts of the play."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible import constants
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.host_names import named
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.plan_text import (
    Results,
    address_lines,
    changing,
    commands_of,
    difference_of,
    reason_lines,
    shared_lines,
    table_lines,
)
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.play_addresses import PlayAddresses

_RESULT = "metallb_routing_result"
_NARROWEST, _WIDEST = 60, 120  # columns

Sections = Iterable[tuple[str, Iterable[str]]]


class ActionModule(ActionBase):
    """Action plugin of the module show_plan."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"nodes", "done", "fail_on_drift"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Print the plan; return it, too."""
        variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, variables)
        results = _results(variables)
        width = max(_NARROWEST, min(Display().columns, _WIDEST))
        try:
            sections = (
                [
                    (
                        "Would be done" if self._task.check_mode else "Done",
                        table_lines(results, width, "failed; see the error above"),
                    )
                ]
                if self._is_set("done")
                else self._plan(results, variables, width)
            )
        except InputError as error:
            return {**result, "failed": True, "msg": str(error)}
        lines = [line for title, texts in sections for line in ("", f"{title}:", "", *texts)]
        if not _prints_json():
            Display().display("\n".join(lines))
        _warn(results)
        result.update(changed=False, plan=[line for line in lines if line])
        differing = changing(results)
        if differing and self._is_set("fail_on_drift"):
            what = f"{named(differing)}: not configured as declared (metallb_routing_fail_on_drift)."
            result.update(
                failed=True, msg=f"{what} The plan shows the differences; run homeward.metallb_routing.apply."
            )
        return result

    def _is_set(self, option: str) -> bool:
        return bool(boolean(self._task.args.get(option) or False, strict=False))

    def _plan(self, results: Results, variables: Mapping[str, Any], width: int) -> Sections:
        sections: list[tuple[str, Iterable[str]]] = [
            ("Plan", table_lines(results, width, "no plan; see the error above")),
            ("Pools", reason_lines(results, width)),
        ]
        if any(one and not (one.get("node_addresses") or {}).get("declared", True) for one in results.values()):
            found = PlayAddresses(self, variables, self._task.args.get("nodes", "")).addresses()
            every = Display().verbosity > 0
            sections.append(("Node addresses", address_lines(found, results, width, every=every)))
        if self._task.diff:
            sections.append(("Differences", shared_lines(results, difference_of)))
        return [*sections, ("Commands that apply would run", shared_lines(results, commands_of))]


def _results(variables: Mapping[str, Any]) -> Results:
    """Return the registered results. They are raw: evaluating those of many hosts as templates takes minutes."""
    active = set(variables["ansible_play_hosts"])
    found = {}
    for host in variables["ansible_play_hosts_all"]:
        one = variables["hostvars"].raw_get(host).get(_RESULT)
        found[host] = one if host in active or (one and one.get("failed")) else None
    return found


def _warn(results: Results) -> None:
    """Print each warning once, with all hosts that have it."""
    hosts_of: dict[str, list[str]] = {}
    for host, result in results.items():
        for warning in (result or {}).get("host_warnings", ()):
            hosts_of.setdefault(str(warning), []).append(host)
    for warning, hosts in hosts_of.items():
        Display().warning(f"{named(hosts)}: {warning}")


def _prints_json() -> bool:
    """Whether the output of Ansible is read by a program, for which other text would be invalid."""
    return "json" in str(constants.DEFAULT_STDOUT_CALLBACK).rpartition(".")[2]
