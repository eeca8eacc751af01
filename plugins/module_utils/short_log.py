# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module writes to the node's log when it is called: its parameters, but lists as their length.

AnsibleModule logs all parameters. With the addresses of 5,000 nodes this is an entry of 225 kB for every run. Marking an
option with ``no_log`` would censor its values in the result, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

_LONGEST_TEXT = 200  # characters
_MOST_OPTIONS = 40


class Logging(Protocol):
    """The part of AnsibleModule that is used."""

    params: Mapping[str, Any]

    def log(self, msg: str) -> None: ...


M = TypeVar("M")


def with_short_log(module_class: type[M]) -> type[M]:
    """Return the class AnsibleModule with a short log entry, which ``no_log`` and ``no_target_syslog`` prevent as usual."""
    return type(module_class.__name__, (module_class,), {"_log_invocation": _log_invocation})


def _log_invocation(module: Logging) -> None:
    shown = (f"{name}={_short(value)}" for name, value in module.params.items() if value is not None)
    module.log(f"Invoked with {' '.join(shown)}")


def _short(value: Any) -> str:
    """Return a parameter as text; a list, and what is long, as its size."""
    if isinstance(value, Mapping) and len(value) <= _MOST_OPTIONS:
        return f"{{{', '.join(f'{name}: {_short(one)}' for name, one in value.items() if one is not None)}}}"
    if isinstance(value, (list, tuple, Mapping)):
        return f"({len(value)} entries)"
    text = str(value)
    return text if len(text) <= _LONGEST_TEXT else f"({len(text)} characters)"
