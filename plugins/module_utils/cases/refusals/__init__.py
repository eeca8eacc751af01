# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses input that could cut this node off or take over foreign objects, before anything is written."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import InputError, InputErrors


def refuse(errors: Iterable[InputError]) -> None:
    """Raise all errors together.

    :raises InputErrors: if there are any.
    """
    found = tuple(errors)
    if found:
        raise InputErrors(found)
