"""A substitute for MetalLB 0.16's speaker in layer 2 mode: which addresses it announces on which links of a node.

As MetalLB's (internal/layer2/announcer.go, speaker/layer2_controller.go) it

- looks for links again and again, and creates responders for all links that are up, have no master and use ARP, as long as
  their names do not say that they belong to pods; NDP needs a link-local address. Only on its own links does it announce;
- announces a service's addresses only if one of its links existed when it last looked, and does not try again otherwise;
- joins solicited-node groups only on the links that it has when it starts to announce an address. A responder that it
  creates later, for a link that was recreated or was down, receives no solicitations for it.

It looks every second instead of every ten.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from typing import TypeVar

from . import link_table
from .link_table import SeenLink
from .responder import ArpResponder, NdpResponder

SCAN_SECONDS = 1.0
ANNOUNCE_FOR_SECONDS = 5.0
_ANNOUNCE_AGAIN_SECONDS = 1.1
_EXCLUDED = (
    "cali",
    "cni",
    "docker",
    "flannel",
    "kube-ipvs",
    "veth",
    "pod-",
)  # as in MetalLB's excludel2.yaml; "pod-" is the lab's
Responder = ArpResponder | NdpResponder
Kind = TypeVar("Kind", ArpResponder, NdpResponder)


class Speaker:
    """The speaker of one node.

    links: names of the links on which it announces, as in `spec.interfaces` of an L2Advertisement.
    opened, closed: called with each new responder and with each that ends.
    """

    def __init__(
        self,
        node: str,
        links: Iterable[str],
        opened: Callable[[Responder], None],
        closed: Callable[[Responder], None],
    ) -> None:
        self.node, self.links = node, frozenset(links)
        self._opened, self._closed = opened, closed
        self._present: frozenset[str] = frozenset()
        self._arp: dict[int, ArpResponder] = {}
        self._ndp: dict[int, NdpResponder] = {}
        self._announced: dict[str, tuple[str, ...]] = {}
        self._uses: Counter[str] = Counter()
        self._until: dict[str, float] = {}
        self._next_scan = self._next_announcement = 0.0

    def scan(self) -> bool:
        """Create and close responders, in the node's namespace. Return whether its own links have those that they could have."""
        seen = link_table.read()
        self._present = frozenset(link.name for link in seen)
        usable = (link for link in seen if link.up and link.has_arp and not link.has_master)
        candidates = (link for link in usable if link.broadcast and not link.name.startswith(_EXCLUDED))
        arp = {link.index: link for link in candidates}
        ndp = {index: link for index, link in arp.items() if link.link_local}
        self._close_others(self._arp, arp)
        self._close_others(self._ndp, ndp)
        self._create(self._arp, arp.values(), ArpResponder)
        self._create(self._ndp, ndp.values(), NdpResponder)
        own = {index for index, link in arp.items() if link.name in self.links}
        return own <= self._arp.keys() and own <= self._ndp.keys()

    def _create(self, existing: dict[int, Kind], links: Iterable[SeenLink], kind: type[Kind]) -> None:
        for link in links:
            if link.index in existing:
                continue
            try:
                existing[link.index] = kind(link, self._owns if link.name in self.links else lambda _address: False)
            except OSError as error:
                self._log(f"{kind.__name__} for {link.name}: {error}")
            else:
                self._opened(existing[link.index])

    def _close_others(self, existing: dict[int, Kind], links: Container[int]) -> None:
        for index in [index for index in existing if index not in links]:
            responder: Responder = existing.pop(index)
            self._close(responder)

    def close(self) -> None:
        """Close all sockets."""
        for responder in (*self._arp.values(), *self._ndp.values()):
            self._close(responder)

    def _close(self, responder: Responder) -> None:
        self._closed(responder)
        responder.socket.close()

    def set_service(self, name: str, addresses: Iterable[str], repeat_until: float) -> None:
        """Announce a service's addresses, unless no link for them is known.

        repeat_until: time of the caller's clock until which repeat_announcements() announces them again.
        """
        addresses = tuple(addresses)
        if not self.links & self._present:
            self._log(f"announceFailed {name}: the node has none of {', '.join(sorted(self.links))}")
            return
        for address in addresses:
            if address not in self._announced.get(name, ()):
                self._uses[address] += 1
                if self._uses[address] == 1 and ":" in address:
                    self._for_each_ndp(NdpResponder.watch, address)
            self._until[address] = repeat_until
        self._announced[name] = addresses
        self._announce(addresses)

    def delete_service(self, name: str) -> None:
        """Stop announcing a service's addresses, as far as no other service has them."""
        for address in self._announced.pop(name, ()):
            self._uses[address] -= 1
            if not self._uses[address] and ":" in address:
                self._for_each_ndp(NdpResponder.unwatch, address)

    def _for_each_ndp(self, action: Callable[[NdpResponder, str], None], address: str) -> None:
        for responder in self._ndp.values():
            with self._logged(responder):
                action(responder, address)

    def must_scan(self, now: float) -> bool:
        """Whether it is time to look for links again."""
        if now < self._next_scan:
            return False
        self._next_scan = now + SCAN_SECONDS
        return True

    def repeat_announcements(self, now: float) -> None:
        """Announce new addresses again, every 1.1 seconds."""
        if now >= self._next_announcement:
            self._next_announcement = now + _ANNOUNCE_AGAIN_SECONDS
            self._until = {address: until for address, until in self._until.items() if until > now}
            self._announce(self._until)

    def _announce(self, addresses: Iterable[str]) -> None:
        for address in filter(self._owns, addresses):
            responders: dict[int, Responder] = {**(self._ndp if ":" in address else self._arp)}
            for responder in (one for one in responders.values() if one.link.name in self.links):
                with self._logged(responder):
                    responder.announce(address)

    def answer(self, responder: Responder) -> None:
        """Answer all requests that a responder has received."""
        while True:
            try:
                responder.answer()
            except BlockingIOError:
                return
            except OSError as error:
                self._log(f"{responder.link.name}: {error}")
                if responder.socket.fileno() < 0:
                    return

    def _owns(self, address: str) -> bool:
        return self._uses[address] > 0

    @contextlib.contextmanager
    def _logged(self, responder: Responder) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._log(f"{responder.link.name}: {error}")

    def _log(self, text: str) -> None:
        print(f"speaker of {self.node}: {text}", file=sys.stderr, flush=True)
