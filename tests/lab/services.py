"""The services of the lab: the 13 services of the saved kube-proxy rules, two without endpoints, and a plain socket.

Endpoints: podN is 10.112.N.10:8080 (fd00:112:N::10), hostN is 192.168.1.1N:8081 (fd00:192:168:1::1N).
The announcer is the node that answers ARP requests and neighbour solicitations for the address. As with MetalLB, a Local
service is announced by a node with an endpoint, a Cluster service by any node. The services without endpoints share the
addresses of others, on another port, so their addresses are announced for those.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

SERVICE_PORT = 80
EMPTY_PORT = 81
POD_PORT = 8080
HOST_PORT = 8081
PODS = {4: "10.112.0.0/12", 6: "fd00:112::/32"}
POOL = {4: "1.2.3.0/24", 6: "fd00:1:2:3::/64"}
SECOND_POOL = {4: "1.2.4.0/24", 6: "fd00:1:2:4::/64"}
SECOND = "second-"
SAME_SUBNET_POOL = {4: "192.168.1.192/26", 6: "fd00:192:168:1::200/119"}


@dataclass(frozen=True)
class Service:
    name: str
    address: str
    cluster_ip: str | None
    endpoints: tuple[str, ...]
    local: bool
    announcer: str
    address6: str | None = None
    cluster_ip6: str | None = None
    port: int = SERVICE_PORT

    @property
    def is_empty(self) -> bool:
        """Whether it is a service of kube-proxy without endpoints, whose clients are refused."""
        return not self.endpoints and self.cluster_ip is not None

    def address_of(self, family: int) -> str | None:
        return self.address if family == 4 else self.address6

    def cluster_ip_of(self, family: int) -> str | None:
        return self.cluster_ip if family == 4 else self.cluster_ip6

    def local_endpoints(self, node: str) -> tuple[str, ...]:
        return tuple(endpoint for endpoint in self.endpoints if endpoint[-1] == node[-1])


def endpoint_address(endpoint: str, family: int) -> tuple[str, int]:
    """Return address and port of an endpoint (pod1, host2)."""
    number = endpoint[-1]
    if endpoint.startswith("pod"):
        return (f"10.112.{number}.10" if family == 4 else f"fd00:112:{number}::10"), POD_PORT
    return (f"192.168.1.1{number}" if family == 4 else f"fd00:192:168:1::1{number}"), HOST_PORT


KUBE_SERVICES = (
    Service("cl-both", "1.2.3.4", "10.96.0.11", ("pod1", "pod2"), False, "node1"),
    Service("cl-p1", "1.2.3.5", "10.96.0.12", ("pod1",), False, "node1"),
    Service("cl-p2", "1.2.3.6", "10.96.0.13", ("pod2",), False, "node1"),
    Service("lo-p1", "1.2.3.7", "10.96.0.14", ("pod1",), True, "node1"),
    Service("lo-p2", "1.2.3.8", "10.96.0.15", ("pod2",), True, "node2"),
    Service("lo-both", "1.2.3.9", "10.96.0.16", ("pod1", "pod2"), True, "node2"),
    Service("cl-host1", "1.2.3.10", "10.96.0.17", ("host1",), False, "node2"),
    Service("lo-host1", "1.2.3.11", "10.96.0.18", ("host1",), True, "node1"),
    Service("cl-host2", "1.2.3.12", "10.96.0.22", ("host2",), False, "node2"),
    Service("cl-host3", "1.2.3.13", "10.96.0.23", ("host1",), False, "node1"),
    Service("ds-cl-p1", "1.2.3.20", "10.96.0.19", ("pod1",), False, "node2", "fd00:1:2:3::20", "fd00:96::13"),
    Service("ds-lo-p1", "1.2.3.21", "10.96.0.20", ("pod1",), True, "node1", "fd00:1:2:3::21", "fd00:96::14"),
    Service("ds-cl-p2", "1.2.3.22", "10.96.0.21", ("pod2",), False, "node2", "fd00:1:2:3::22", "fd00:96::15"),
)
EMPTY_SERVICES = (
    Service("empty-cl", "1.2.3.20", "10.96.0.24", (), False, "node2", "fd00:1:2:3::20", "fd00:96::18", EMPTY_PORT),
    Service("empty-lo", "1.2.3.21", "10.96.0.25", (), True, "node1", "fd00:1:2:3::21", "fd00:96::19", EMPTY_PORT),
)
ADDRESS_SOCKET = Service("socket1", "1.2.3.40", None, (), False, "node1")


def to_same_subnet(address: str) -> str:
    """Return the address that replaces a pool address in a lab with same_subnet."""
    if ":" in address:
        return f"fd00:192:168:1::2{address.rpartition(':')[2]}"
    return f"192.168.1.{200 + int(address.rpartition('.')[2])}"


def to_second(address: str) -> str:
    """Return the corresponding address of the second pool."""
    return address.replace("1.2.3.", "1.2.4.").replace("fd00:1:2:3:", "fd00:1:2:4:")


def services_of(
    same_subnet: bool = False, address_socket: bool = False, second_pool: bool = False
) -> dict[str, Service]:
    """Return the services of a lab by name."""
    services = (*KUBE_SERVICES, *EMPTY_SERVICES, *((ADDRESS_SOCKET,) if address_socket else ()))
    if second_pool:
        services += tuple(
            replace(
                service,
                name=f"{SECOND}{service.name}",
                address=to_second(service.address),
                address6=service.address6 and to_second(service.address6),
            )
            for service in KUBE_SERVICES
        )
    if same_subnet:
        services = tuple(
            replace(
                service,
                address=to_same_subnet(service.address),
                address6=service.address6 and to_same_subnet(service.address6),
            )
            for service in services
        )
    return {service.name: service for service in services}
