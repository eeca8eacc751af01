"""The delivery matrix: which client reaches which service, and by which way the replies left."""

from __future__ import annotations

import asyncio
import fcntl
import socket
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .flows import FlowError, open_socket, run_flow
from .services import SERVICE_PORT
from .witnesses import Witnesses

if TYPE_CHECKING:
    from .lab import Lab

PROTOCOLS = ("tcp", "udp")
FAMILIES = (4, 6)
_FIRST_PORT, _LAST_PORT = 10240, 65000
_FLOWS_AT_ONCE = 400


@dataclass(frozen=True, order=True)
class Cell:
    """One try: a client (outside, onlink, lan, node1, node2, pod1, pod2) to a service by its name."""

    client: str
    service: str
    protocol: str = "tcp"
    family: int = 4


@dataclass(frozen=True)
class Delivery:
    """What came of a cell.

    reached: the whole flow went through, checked by content. endpoint: the name of the one that answered (pod1, host2).
    reply_router: "default" if any reply went by the default router, else "pool", else "direct"; None if no reply was
    seen. ways: all the ways replies took. error: why it was not reached.
    """

    cell: Cell
    reached: bool
    endpoint: str | None = None
    reply_router: str | None = None
    ways: tuple[str, ...] = ()
    error: str | None = None


def all_cells(
    lab: Lab,
    clients: list[str] | None = None,
    services: list[str] | None = None,
    protocols: list[str] | None = None,
    families: list[int] | None = None,
) -> list[Cell]:
    """The cells of a lab, or those of these clients, services ... IPv6 only where a service has it."""
    return [
        Cell(client, service.name, protocol, family)
        for client in (clients or lab.clients)
        for service in lab.services.values()
        if not services or service.name in services
        for protocol in (protocols or PROTOCOLS)
        for family in (families or FAMILIES)
        if service.address_of(family)
    ]


def deliver(lab: Lab, cells: list[Cell], timeout: float) -> list[Delivery]:
    """Try all cells at once and give back the results in the same order."""
    ports = _take_ports(lab, len(cells))
    sockets = _open_sockets(lab, list(zip(cells, ports, strict=True)))
    witnesses = Witnesses(lab)
    try:
        outcomes = asyncio.run(_run_all(lab, cells, sockets, witnesses, timeout))
        ways = witnesses.ways()
    finally:
        witnesses.close()
        for handle in sockets:
            handle.close()
    return [
        _delivery(cell, outcome, ways.get(port, ())) for cell, port, outcome in zip(cells, ports, outcomes, strict=True)
    ]


def _delivery(cell: Cell, outcome: str | FlowError, ways: tuple[str, ...]) -> Delivery:
    if isinstance(outcome, FlowError):
        return Delivery(cell, False, None, ways[0] if ways else None, ways, str(outcome))
    ways = ways or ("direct",)
    return Delivery(cell, True, outcome, ways[0], ways)


def _open_sockets(lab: Lab, cells: list[tuple[Cell, int]]) -> list[socket.socket]:
    """One socket per cell, made in its client's namespace, in the order of the cells."""
    by_client: dict[str, list[int]] = defaultdict(list)
    for index, (cell, _) in enumerate(cells):
        by_client[cell.client].append(index)
    sockets: dict[int, socket.socket] = {}
    for client, indices in by_client.items():

        def open_all(indices: list[int] = indices) -> None:
            for index in indices:
                cell, port = cells[index]
                sockets[index] = open_socket(cell.protocol, cell.family, port)

        lab.host(client).call(open_all)
    return [sockets[index] for index in range(len(cells))]


async def _run_all(
    lab: Lab, cells: list[Cell], sockets: list[socket.socket], witnesses: Witnesses, timeout: float
) -> list[str | FlowError]:
    loop = asyncio.get_running_loop()
    witnesses.attach(loop)
    slots = asyncio.Semaphore(_FLOWS_AT_ONCE)

    async def one(cell: Cell, handle: socket.socket) -> str | FlowError:
        address = lab.services[cell.service].address_of(cell.family)
        assert address is not None
        async with slots:
            try:
                return await run_flow(handle, cell.protocol, (address, SERVICE_PORT), timeout)
            except FlowError as error:
                return error

    outcomes = await asyncio.gather(*(one(cell, handle) for cell, handle in zip(cells, sockets, strict=True)))
    witnesses.detach(loop)
    return list(outcomes)


def _take_ports(lab: Lab, count: int) -> list[int]:
    """Client ports no earlier flow of this lab had: connection tracking remembers a flow longer than it lasts, and with
    it the way the flow's replies went."""
    with (lab.state / "ports").open("a+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        handle.seek(0)
        first = int(handle.read() or _FIRST_PORT)
        if first + count > _LAST_PORT:
            first = _FIRST_PORT
        handle.seek(0)
        handle.truncate()
        handle.write(str(first + count))
    return list(range(first, first + count))


def table(deliveries: Sequence[Delivery]) -> str:
    """The matrix as text, and below it how many were reached."""
    reached = sum(delivery.reached for delivery in deliveries)
    return f"{matrix(deliveries)}\n\n{reached} of {len(deliveries)} reached"


def matrix(deliveries: Sequence[Delivery]) -> str:
    """The matrix as text, one block per protocol and family: services down, clients across, the replies' way in each
    cell, or `no` with the way that a lost reply was seen on."""
    blocks = []
    groups: dict[tuple[str, int], list[Delivery]] = defaultdict(list)
    for delivery in deliveries:
        groups[delivery.cell.protocol, delivery.cell.family].append(delivery)
    for (protocol, family), group in groups.items():
        clients = list(dict.fromkeys(delivery.cell.client for delivery in group))
        found = {(delivery.cell.service, delivery.cell.client): delivery for delivery in group}
        lines = [f"{protocol}, IPv{family}".ljust(14) + "".join(client.ljust(14) for client in clients)]
        for service in dict.fromkeys(delivery.cell.service for delivery in group):
            cells = [_cell_text(found.get((service, client))) for client in clients]
            lines.append(service.ljust(14) + "".join(cell.ljust(14) for cell in cells).rstrip())
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _cell_text(delivery: Delivery | None) -> str:
    if delivery is None:
        return ""
    ways = "+".join(delivery.ways)
    return ways if delivery.reached else f"no ({ways})" if ways else "no"
