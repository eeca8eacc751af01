# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Benchmarks of the collection. See README.md."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests import conftest as conftest  # makes the collection importable


def _have_private_files() -> None:
    """Start this program again where it cannot change files of the machine, unless ``bench/run`` has done so."""
    if "HOMEWARD_BENCH_FILES" not in os.environ and "-m" in sys.orig_argv[:-1]:
        script = str(Path(__file__).with_name("private_files"))
        os.execvp(  # noqa: S606
            "unshare", ["unshare", "--mount", "--propagation", "private", script, *sys.orig_argv]
        )


_have_private_files()
