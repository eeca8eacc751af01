# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A finding: something on the node that keeps pools from working."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

#: Pools do not work as they should; or something works in another way, or may be intended.
FAILURE, WARNING = "failure", "warning"


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong.

    :param identifier: stable, for programs and documentation: ``reply-diverted``.
    :param pools: the names of the pools that it concerns.
    :param cause: what is wrong and what comes of it, a sentence.
    :param evidence: what shows it, such as the arguments of ``ip route get``, and the answer.
    :param remedy: what to do, a sentence.
    :param severity: :data:`FAILURE` or :data:`WARNING`.
    :param foreign: whether something that the collection does not manage is the cause.
    """

    identifier: str
    pools: tuple[str, ...]
    cause: str
    evidence: str = ""
    remedy: str = ""
    severity: str = FAILURE
    foreign: bool = True

    def __str__(self) -> str:
        pools = f"pool{'s' if len(self.pools) > 1 else ''} {', '.join(self.pools)}"
        evidence = f" ({self.evidence})" if self.evidence else ""
        remedy = f" {self.remedy}" if self.remedy else ""
        return f"{pools}: {self.cause}{evidence}.{remedy} [{self.identifier}]"

    def as_json(self) -> dict[str, Any]:
        """Return the finding as ``status --json`` prints it; the keys are an interface."""
        return asdict(self)
