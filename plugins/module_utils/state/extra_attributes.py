# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes that a route or rule on the node has beyond the fields of its class, and that cannot be declared.

A rule for some users only (``uidrange 5-10``) is not the rule without that. With its extra attributes it equals no desired
rule, so it counts as drift; it can still be deleted exactly, and added again by a rollback.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, Union

Value = Union[int, bytes]
#: (name, value), sorted by name. The name is the one of a netlink attribute (``FRA_UID_RANGE``) or of a field of the
#: message's header (``tos``); the value is a decoded integer, or the payload.
ExtraAttributes = tuple[tuple[str, Value], ...]
#: Metadata of dataclass fields that only objects read from the kernel have.
CURRENT_ONLY: Mapping[str, bool] = {"current_only": True}


def extra_attributes(values: Mapping[str, Value]) -> ExtraAttributes:
    """Return the attributes in canonical form."""
    return tuple(sorted(values.items()))


def extra_text(extra: ExtraAttributes) -> str:
    """Return the attributes as ``with RTA_FLOW=5 RTA_METRICS=0x0800020014050000``, and no attributes as ``""``."""
    texts = (f"{name}={'0x' + value.hex() if isinstance(value, bytes) else value}" for name, value in extra)
    return " ".join(("with", *texts)) if extra else ""


def desired_fields(kind: Any) -> tuple[Field[Any], ...]:
    """Return the dataclass fields that a desired object can have, which are those of the state file."""
    return tuple(part for part in fields(kind) if not part.metadata.get("current_only"))
