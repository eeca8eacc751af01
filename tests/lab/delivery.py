"""The delivery matrix: which client reaches which service, and which path the replies take."""

from __future__ import annotations

import asyncio
import fcntl
import socket
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .flows import FlowError, open_socket, run_flow
from .services import SECOND
from .witnesses import Witnesses

if TYPE_CHECKING:
    from .lab import Lab

PROTOCOLS = ("tcp", "udp")
FAMILIES = (4, 6)
#: Clients whose replies have to leave through the gateway of the pool.
BEHIND_ROUTERS = ("outside", "lan")
REFUSED = "Connection refused"
_FIRST_PORT, _LAST_PORT = 10240, 65000
_FLOWS_AT_ONCE = 400


@dataclass(frozen=True, order=True)
class Cell:
    """One flow: from a client (outside, onlink, poolrouter, lan, node1, pod1 ...) to a service, both by name."""

    client: str
    service: str
    protocol: str = "tcp"
    family: int = 4


@dataclass(frozen=True)
class Delivery:
    """The result of a cell.

    reached: the flow was complete and its content correct. endpoint: name of the endpoint that answered (pod1, host2).
    reply_router: "default" if any reply left through the default router, else "pool", else "direct"; None if no reply was
    seen. ways: all paths that replies took (see witnesses.py). error: why the service was not reached.
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
    """Return the cells of a lab, optionally of some clients, services ... only; IPv6 only for dual-stack services.

    Services without endpoints are left out unless they are named.
    """
    return [
        Cell(client, service.name, protocol, family)
        for client in (clients or lab.clients)
        for service in lab.services.values()
        if (service.name in services if services else not service.is_empty)
        for protocol in (protocols or PROTOCOLS)
        for family in (families or FAMILIES)
        if service.address_of(family)
    ]


def deliver(lab: Lab, cells: list[Cell], timeout: float) -> list[Delivery]:
    """Run the flows of all cells at once and return the results in the same order. timeout: seconds without progress."""
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
    """Create one socket per cell in the namespace of its client, in the order of the cells."""
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
        service = lab.services[cell.service]
        address = service.address_of(cell.family)
        assert address is not None
        async with slots:
            try:
                return await run_flow(handle, cell.protocol, (address, service.port), timeout)
            except FlowError as error:
                return error

    outcomes = await asyncio.gather(*(one(cell, handle) for cell, handle in zip(cells, sockets, strict=True)))
    witnesses.detach(loop)
    return list(outcomes)


def _take_ports(lab: Lab, count: int) -> list[int]:
    """Return client ports that no earlier flow of this lab used: conntrack entries, with the marks that route replies,
    outlive their flows."""
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
    """Format the matrix with a closing line that counts the cells reached."""
    reached = sum(delivery.reached for delivery in deliveries)
    return f"{matrix(deliveries)}\n\n{reached} of {len(deliveries)} reached"


def matrix(deliveries: Sequence[Delivery]) -> str:
    """Format the matrix, one block per protocol and family: a row per service, a column per client. A cell has the path
    of the replies, or `no` and the path on which a lost reply was seen."""
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


def expected_ways(client: str, service: str = "", *, same_subnet: bool = False) -> tuple[str, ...]:
    """Return the only paths that replies to a client may take, by default those of the first pool's services."""
    if same_subnet:
        return ("default",) if client == "outside" else ("direct",)
    if service.startswith(SECOND):
        return ("second",) if client in (*BEHIND_ROUTERS, "onlink", "poolrouter") else ("direct",)
    return ("pool",) if client in (*BEHIND_ROUTERS, "poolrouter") else ("direct",)


def assert_delivered(lab: Lab, deliveries: Sequence[Delivery]) -> None:
    """Assert that every cell was reached and all its replies took the expected path."""
    assert deliveries, "no cell was tried"
    same_subnet = lab.options.same_subnet
    wrong = [
        one
        for one in deliveries
        if not one.reached or one.ways != expected_ways(one.cell.client, one.cell.service, same_subnet=same_subnet)
    ]
    assert not wrong, f"{len(wrong)} of {len(deliveries)} cells, the first {wrong[0]}\n\n{matrix(wrong)}"


def refused_cells(lab: Lab) -> list[Cell]:
    """Return the cells whose clients kube-proxy refuses: to services without endpoints, from all clients but nodes.

    In iptables mode kube-proxy does not check what a node's own processes send to external addresses.
    """
    clients = [client for client in lab.clients if not client.startswith("node")]
    return all_cells(lab, clients, [service.name for service in lab.services.values() if service.is_empty])


def assert_refused(deliveries: Sequence[Delivery]) -> None:
    """Assert that every client was told at once that nothing listens."""
    assert deliveries, "no cell was tried"
    wrong = [one for one in deliveries if one.reached or one.error != REFUSED]
    assert not wrong, f"{len(wrong)} of {len(deliveries)} cells, the first {wrong[0]}\n\n{matrix(wrong)}"
