# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that finds a Python at each start and runs the program of the agent with it.

A distribution upgrade may remove the Python of the last run, and root must not run a Python that other users can replace.
"""

from __future__ import annotations

import os
import subprocess
import sys
from shlex import quote

from ..errors import NodeError
from ..paths import FILE_HEADER, HOME_DIRECTORIES, PYTHONS

NOT_FOUND = 69  # EX_UNAVAILABLE of sysexits.h
HOMES = " | ".join(f"{directory}/*" for directory in HOME_DIRECTORIES)
_ONLY_FIND = "--find-python"
_SECONDS = 30

_TEXT = """\
#!/bin/sh
{header}# Runs the program with the first Python >= 3.9 that nobody but root can replace: root owns it and every folder above it.
# Home directories are left out, as the service cannot see them.

is_trusted() {{
  python=$(readlink -f "$1" 2>/dev/null) || return 1
  case $python in {homes}) return 1 ;; esac
  [ -f "$python" ] && [ -x "$python" ] || return 1
  set -- /
  path=$python
  while [ -n "$path" ]; do
    set -- "$@" "$path"
    path=${{path%/*}}
  done
  stat -c '%u %g %a' "$@" | {{
    while read -r owner group mode; do
      [ "$owner" = 0 ] || exit 1
      [ $((0$mode & 01000)) -ne 0 ] && continue # sticky: nobody can replace what root has in it
      [ $((0$mode & 02)) -eq 0 ] || exit 1
      [ $((0$mode & 020)) -eq 0 ] || [ "$group" = 0 ] || exit 1
    done
  }}
}}

is_recent() {{
  case ${{python##*/}} in python3.9 | python3.[1-9][0-9]) return 0 ;; esac
  "$python" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1
}}

for candidate in {recorded} {places}; do
  is_trusted "$candidate" && is_recent || continue
  [ "${{1-}}" != {only_find} ] || {{ printf '%s\\n' "$python"; exit 0; }}
  exec "$python" -I -S -B {program} "$@"
done
echo "metallb-routing: found no Python >= 3.9 that root owns together with every folder above it, outside of home" \\
  "directories. Looked for {recorded} {places}. Install the package python3." >&2
exit {not_found}
"""


def text(program: str) -> str:
    """Return the script that runs this program, an archive with a ``__main__.py``.

    It looks at the Python of this run first. Its real path names the version, so an upgrade does not change what it is.
    """
    return _TEXT.format(
        header=FILE_HEADER,
        recorded=quote(os.path.realpath(sys.executable)),
        places=PYTHONS,
        homes=HOMES,
        only_find=_ONLY_FIND,
        program=quote(program),
        not_found=NOT_FOUND,
    )


def require_python(script: str) -> None:
    """Refuse a node on which the script would find no Python.

    :raises NodeError: with the message of the script, and what to do.
    """
    command = ["/bin/sh", "-c", script, "metallb-routing", _ONLY_FIND]
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        problem = done.stderr.strip() if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    if problem:
        raise NodeError(
            f"persist: the service cannot run on this node. {problem} Or set persist: false. Nothing was changed."
        )
