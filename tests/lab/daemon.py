"""The daemon of a running lab: its servers and, on each node, a substitute for MetalLB's speaker.

A socket stays in the namespace in which it was created, so one process serves all hosts. The daemon runs in the switch's
namespace and is killed when that namespace is removed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
import sys
from functools import partial
from itertools import product

from .lab import ANNOUNCED, ANNOUNCEMENTS, Lab
from .namespaces import in_namespace
from .responder import Responder
from .servers import listeners, open_sockets, serve
from .topology import NODES

_ANNOUNCEMENT_POLL_SECONDS = 0.05


def announced_by(lab: Lab, node: str, announcers: dict[str, str]) -> list[str]:
    """Addresses that a node announces."""
    return [
        address
        for name, announcer in announcers.items()
        if announcer == node
        for address in (lab.services[name].address, lab.services[name].address6)
        if address
    ]


async def follow_announcements(lab: Lab, responders: dict[tuple[str, str], Responder]) -> None:
    """Update all responders, by node and link, whenever the announcements file changes."""
    last = None
    while True:
        text = (lab.state / ANNOUNCEMENTS).read_text()
        if text != last:
            announcers = json.loads(text)
            # Withdraw before announcing, so that two nodes never answer for one address
            for (node, _link), responder in responders.items():
                responder.addresses &= frozenset(_packed(announced_by(lab, node, announcers)))
            for (node, _link), responder in responders.items():
                responder.announce(announced_by(lab, node, announcers))
            (lab.state / ANNOUNCED).write_text(text)
            if last is None:
                print("ready", flush=True)
            last = text
        await asyncio.sleep(_ANNOUNCEMENT_POLL_SECONDS)


def _packed(addresses: list[str]) -> list[bytes]:
    return [ipaddress.ip_address(address).packed for address in addresses]


async def main(prefix: str) -> None:
    lab = Lab.attach(prefix)
    loop = asyncio.get_running_loop()
    sockets: list[asyncio.Server | socket.socket] = []
    for listener in listeners(lab.options):
        stream, datagram = in_namespace(lab.namespace(listener.host), partial(open_sockets, listener))
        sockets.append(await serve(listener, stream, datagram))
        sockets.append(datagram)
    responders = {}
    for node, link in product(NODES, lab.options.pool_interfaces):
        responder = in_namespace(lab.namespace(node), partial(Responder, link))
        for handle in responder.sockets:
            loop.add_reader(handle, responder.answer_all, handle)
        responders[node, link] = responder
    await follow_announcements(lab, responders)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
