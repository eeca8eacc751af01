# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of iptables on a node: some that fail, hang or are missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.host import Host

MULTI = "$(readlink -f $(command -v iptables-nft-save))"
#: In place of all programs of the nft variant; what ends in -save does what the file says.
WRAPPER = """\
#!/bin/sh
case $0 in
  *-save) [ ! -e /run/.lab/broken ] || . /run/.lab/broken ;;
esac
exec /run/.lab/xtables-nft-multi "$(basename "$0")" "$@"
"""
FAILS = "echo 'Could not fetch rule set generation id' >&2; exit 1\n"
#: Shows the rules as they were when it was started.
LATE = """\
/run/.lab/xtables-nft-multi "$(basename "$0")" "$@" > /run/.lab/saved.$$ 2>&1
touch /run/.lab/late.$(basename "$0")
while [ -e /run/.lab/broken ]; do sleep 0.1; done
cat /run/.lab/saved.$$; rm /run/.lab/saved.$$; exit
"""
HANGS = "while [ -e /run/.lab/broken ]; do sleep 0.2; done\n"


def wrap(host: Host) -> None:
    """Put the wrapper in place of the programs; they work as before."""
    host.path("/run/.lab/wrapper").write_text(WRAPPER)
    host.run(
        f"chmod 755 /run/.lab/wrapper; cp {MULTI} /run/.lab/xtables-nft-multi; mount --bind /run/.lab/wrapper {MULTI}"
    )


@contextmanager
def broken(host: Host, how: str) -> Iterator[None]:
    """Have the programs that read rules fail or hang in the block."""
    file = host.path("/run/.lab/broken")
    file.write_text(how)
    try:
        yield
    finally:
        file.unlink()


def hide(host: Host) -> None:
    """Remove all programs of iptables from a node: an empty file that cannot be executed is in place of each."""
    host.run(
        """
        touch /run/.lab/nothing; chmod 644 /run/.lab/nothing
        for program in iptables ip6tables iptables-nft iptables-legacy ip6tables-nft ip6tables-legacy \
          xtables-nft-multi xtables-legacy-multi
        do
          for ending in '' -save -restore
          do
            path=$(command -v $program$ending) || continue
            mount --bind /run/.lab/nothing $(readlink -f $path) || true
          done
        done
        """
    )
