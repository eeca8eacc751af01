# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install pip in a virtual environment, without a download: a replacement for the script that ansible-test fetches.

ansible-test looks for that script in its cache first; tools/run_sanity.py puts this one there. It installs the pip that
is bundled with Python (ensurepip) and uses it to install the version that ansible-test asks for.
"""

from __future__ import annotations

import os
import subprocess
import sys

requested = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
# With GET_PIP set, ansible-test's wrapper of pip would run this script again.
environment = {name: value for name, value in os.environ.items() if name != "GET_PIP"}
subprocess.run([sys.executable, "-m", "ensurepip", "--default-pip"], check=True, env=environment, stdout=sys.stderr)
subprocess.run([sys.executable, "-m", "pip", "install", *requested], check=True, env=environment)
