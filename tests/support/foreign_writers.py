# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that change foreign objects on a node all the time, and leave it as they found it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.codec import address_bytes
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.formats import load_formats
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.pyroute2_loader import (
    find_pyroute2,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rtnetlink import (
    RTM_DELROUTE,
    RTM_NEWROUTE,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.wire import (
    NLM_F_CREATE,
    NLM_F_REPLACE,
    Request,
    pack_requests,
)
from tests.lab import Host

_FLAG = "/run/.lab/writing"
#: Beside managed objects: routes of the same link, rules before and after the managed ones, rules and chains in the same tables.
_LOOP = """\
while [ -e FLAG ]
do
  ip -batch - <<-END || true
	route add 198.51.100.128/25 dev eth0.100 table 99
	route add 203.0.113.128/25 via 192.168.1.1 table 99
	rule add priority 1990 from 198.51.100.77 lookup 99
	rule add priority 30000 fwmark 0x20000/0x20000 lookup 99
	address add 198.51.100.80/32 dev eth1
	link add foreign0 type dummy
	link set foreign0 up
	END
  for program in iptables-nft ip6tables-nft
  do
    printf '*mangle\\n:cali-X - [0:0]\\n-A cali-X -j RETURN\\n-PLACE PREROUTING -j cali-X\\n-A POSTROUTING -j cali-X\\nCOMMIT\\n' \\
      | $program-restore -w --noflush || true
    $program -w -t raw -PLACE PREROUTING -i foreign0 -j ACCEPT || true
    $program -w -t raw -D PREROUTING -i foreign0 -j ACCEPT || true
    printf '*mangle\\n-D PREROUTING -j cali-X\\n-D POSTROUTING -j cali-X\\n-F cali-X\\n-X cali-X\\nCOMMIT\\n' \\
      | $program-restore -w --noflush || true
  done
  ip -force -batch - <<-END || true
	link del foreign0
	address del 198.51.100.80/32 dev eth1
	rule del priority 30000 fwmark 0x20000/0x20000 lookup 99
	rule del priority 1990 from 198.51.100.77 lookup 99
	route del 203.0.113.128/25 via 192.168.1.1 table 99
	route del 198.51.100.128/25 dev eth0.100 table 99
	END
done
"""


@contextmanager
def foreign_writers(host: Host, *, first: bool = True) -> Iterator[None]:
    """Change foreign objects in the block.

    :param first: put rules before all others, so the agent has to move the managed ones.
    """
    host.path(_FLAG).touch()
    process = host.start(_LOOP.replace("FLAG", _FLAG).replace("PLACE", "I" if first else "A"))
    try:
        yield
    finally:
        host.path(_FLAG).unlink(missing_ok=True)
        process.communicate()


ROUTES = 100  # that are added and deleted again and again


def storm(seconds: float, wanted: int, alive: Callable[[], object] = lambda: None) -> tuple[int, float]:
    """Add and delete foreign routes over eth0 at this rate; return how many changes were made, and in how many seconds.

    Call it on the node. The requests are sent without waiting for answers.

    :param alive: is called about once a second.
    """
    formats = load_formats(find_pyroute2())
    index = socket.if_nametoindex("eth0")
    requests = []
    for kind, flags in ((RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE), (RTM_DELROUTE, 0)):
        for number in range(ROUTES):
            fields = {
                "family": socket.AF_INET,
                "dst_len": 32,
                "table": 99,
                "proto": 4,
                "scope": 253,
                "type": 1,
                "flags": 0,
                "RTA_TABLE": 99,
                "RTA_DST": address_bytes(f"203.0.113.{number}"),
                "RTA_OIF": index,
            }
            requests.append(Request(kind, flags, formats.route.encode(fields)))
    text = pack_requests(requests, 1, 0)
    done, start = 0, time.monotonic()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sender:
        while time.monotonic() - start < seconds:
            sender.send(text)
            done += len(requests)
            if done % (len(requests) * 250) == 0:
                alive()
            time.sleep(max(0.0, start + done / wanted - time.monotonic()))
    return done, time.monotonic() - start
