# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses a Python that is too old, with a sentence instead of a syntax or type error.

Import it first in each file that modules import directly. It has to run on old Pythons itself.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 9):  # noqa: UP036 - ansible-core 2.19 still runs modules with 3.8
    raise ImportError(
        f"This node's Python is {sys.version.split()[0]} ({sys.executable}), but homeward.metallb_routing needs 3.9 or newer."
        " Install a newer Python alongside it, and set ansible_python_interpreter."
    )
