# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The code of the modules of this collection and of the agent."""

from __future__ import annotations

import sys

if sys.version_info < (3, 9):  # noqa: UP036 - Ansible itself still runs modules with 3.8
    raise ImportError(
        f"This node's Python is {sys.version.split()[0]} ({sys.executable}), but homeward.metallb_routing needs 3.9 or newer."
        " Install a newer Python alongside it, and set ansible_python_interpreter."
    )
