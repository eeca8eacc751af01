# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a virtual environment its pip, in the place of the script that ansible-test would download.

ansible-test looks for that script in its cache first; tools/run_sanity.py puts this one there. It takes the pip that
every Python carries along (ensurepip), and lets that one install the version that ansible-test asks for.
"""

from __future__ import annotations

import os
import subprocess
import sys

wanted = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
# GET_PIP tells ansible-test's pip to run this script instead; the pip below must be the real one.
environment = {name: value for name, value in os.environ.items() if name != "GET_PIP"}
subprocess.run([sys.executable, "-m", "ensurepip", "--default-pip"], check=True, env=environment, stdout=sys.stderr)
subprocess.run([sys.executable, "-m", "pip", "install", *wanted], check=True, env=environment)
