"""The daemon of a running lab: its servers and, on each node, a substitute for MetalLB's speaker.

A socket stays in the namespace in which it was created, so one process serves all hosts. The daemon runs in the switch's
namespace and is killed when that namespace is removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import Callable
from functools import partial

from .lab import ANNOUNCED, ANNOUNCEMENTS, Announcements, Lab
from .namespaces import in_namespace
from .servers import listeners, open_sockets, serve
from .speaker import ANNOUNCE_FOR_SECONDS, Responder, Speaker
from .topology import NODES

_POLL_SECONDS = 0.05
#: A link gets its link-local address a moment after it is up
_LINK_LOCAL_SECONDS = 5.0


class Speakers:
    """The speakers of all nodes, which follow the announcements file."""

    def __init__(self, lab: Lab) -> None:
        self._lab, self._loop = lab, asyncio.get_running_loop()
        self._speakers: dict[str, Speaker] = {}
        self._done = Announcements({}, restarts=-1)

    async def follow(self) -> None:
        """Do what the file asks for, again and again."""
        while True:
            text = (self._lab.state / ANNOUNCEMENTS).read_text()
            desired = Announcements(**json.loads(text))
            if desired != self._done:
                await self._adopt(desired)
                (self._lab.state / ANNOUNCED).write_text(text)
                if self._done.restarts < 0:
                    print("ready", flush=True)
                self._done = desired
            for node, speaker in self._speakers.items():
                if speaker.must_scan(self._loop.time()):
                    self._scan(node)
                speaker.repeat_announcements(self._loop.time())
            await asyncio.sleep(_POLL_SECONDS)

    async def _adopt(self, desired: Announcements) -> None:
        services, repeat_until = tuple(desired.touched), self._loop.time() + ANNOUNCE_FOR_SECONDS
        if desired.restarts != self._done.restarts:
            # As if long ago: an unsolicited advertisement answers a client whose solicitation could not be answered
            services, repeat_until = tuple(desired.announcers), 0.0
            await self._restart()
        elif desired.scans != self._done.scans:
            services = ()
            for node in self._speakers:
                self._scan(node)
        # Withdraw before announcing, so that two nodes never answer for one address
        for name in services:
            for node, speaker in self._speakers.items():
                if node != desired.announcers[name]:
                    speaker.delete_service(name)
        for name in services:
            service = self._lab.services[name]
            addresses = filter(None, (service.address, service.address6))
            self._speakers[desired.announcers[name]].set_service(name, addresses, repeat_until)

    async def _restart(self) -> None:
        for speaker in self._speakers.values():
            speaker.close()
        for node in NODES:
            self._speakers[node] = Speaker(node, self._lab.options.pool_interfaces, self._opened(node), self._closed)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINK_LOCAL_SECONDS):
                while [node for node in NODES if not self._scan(node)]:
                    await asyncio.sleep(_POLL_SECONDS)

    def _scan(self, node: str) -> bool:
        return in_namespace(self._lab.namespace(node), self._speakers[node].scan)

    def _opened(self, node: str) -> Callable[[Responder], None]:
        """Return a function to be called in a thread that has entered a namespace."""

        def start_reading(responder: Responder) -> None:
            if responder.socket.fileno() >= 0:
                self._loop.add_reader(responder.socket, lambda: self._speakers[node].answer(responder))

        return lambda responder: self._loop.call_soon_threadsafe(start_reading, responder)

    def _closed(self, responder: Responder) -> None:
        self._loop.remove_reader(responder.socket)


async def main(prefix: str) -> None:
    lab = Lab.attach(prefix)
    sockets: list[asyncio.Server | socket.socket] = []
    for listener in listeners(lab.options):
        stream, datagram = in_namespace(lab.namespace(listener.host), partial(open_sockets, listener))
        sockets.append(await serve(listener, stream, datagram))
        sockets.append(datagram)
    await Speakers(lab).follow()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
