"""kube-proxy's IPVS mode, generated from the list of services.

Creates virtual servers, the dummy link with their addresses, and the masquerading rules. Needs ip_vs, dummy links and
ipvsadm, which stock Debian kernels have.

As with kube-proxy, the external address of a Local service leads only to the node's own endpoints if it has any. On other
nodes it leads to all endpoints, so that pods reach them; processes of those nodes do not, because their source is the
service's address and is not masqueraded. The cluster address leads to all endpoints. Traffic to the external address of
a Cluster service is masqueraded, and traffic to a cluster address if it does not come from a pod. kube-proxy matches
addresses with ipsets; one rule per address is equivalent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .host import Host
from .options import LabOptions
from .services import ADDRESS_SOCKET, PODS, Service, endpoint_address

DUMMY_LINK = "kube-ipvs0"
SYSCTLS = {
    "net/ipv4/vs/conntrack": 1,
    "net/ipv4/vs/conn_reuse_mode": 0,
    "net/ipv4/vs/expire_nodest_conn": 1,
    "net/ipv4/vs/expire_quiescent_template": 1,
}


def load(node: Host, options: LabOptions, services: Mapping[str, Service]) -> None:
    """Configure IPVS on the node as kube-proxy does."""
    served = [service for service in services.values() if service.name != ADDRESS_SOCKET.name]
    node.run(["ipvsadm", "-C"])  # loads ip_vs, which creates the sysctls
    for key, value in SYSCTLS.items():
        node.set_sysctl(key, value)
    node.run(["ip", "-batch", "-"], stdin="\n".join(dummy_commands(served)) + "\n")
    node.run(["ipvsadm", "--restore"], stdin="\n".join(virtual_servers(served, node.name)) + "\n")
    for family, name in ((4, "ip"), (6, "ip6")):
        node.run([f"{name}tables-{options.variant}-restore", "-w"], stdin=rules(served, family))


def _addresses(service: Service) -> Iterator[tuple[int, str, bool]]:
    """Yield family, address, and whether it is the external address."""
    for family in (4, 6):
        for address, external in ((service.cluster_ip_of(family), False), (service.address_of(family), True)):
            if address is not None:
                yield family, address, external


def dummy_commands(services: list[Service]) -> list[str]:
    """Return `ip` lines for the link that makes the addresses local; as with kube-proxy it is down and has no ARP."""
    lines = [f"link add {DUMMY_LINK} type dummy", f"link set {DUMMY_LINK} arp off"]
    # Services can share an address
    for family, address in dict.fromkeys(
        (family, address) for one in services for family, address, _ in _addresses(one)
    ):
        length, flags = (32, "") if family == 4 else (128, " nodad")
        lines.append(f"address add {address}/{length} dev {DUMMY_LINK}{flags}")
    return lines


def virtual_servers(services: list[Service], node: str) -> list[str]:
    """Return lines for ipvsadm --restore."""
    lines = []
    for service in services:
        for family, address, external in _addresses(service):
            own = service.local_endpoints(node) if external and service.local else ()
            endpoints = own or service.endpoints
            for flag in ("-t", "-u"):
                virtual = _with_port(address, service.port)
                lines.append(f"-A {flag} {virtual} -s rr")
                for endpoint in endpoints:
                    lines.append(f"-a {flag} {virtual} -r {_with_port(*endpoint_address(endpoint, family))} -m -w 1")
    return lines


def _with_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def rules(services: list[Service], family: int) -> str:
    """Return the rules that kube-proxy has in IPVS mode, for iptables-restore."""
    nat = [
        "*nat",
        ":KUBE-SERVICES - [0:0]",
        ":KUBE-MARK-MASQ - [0:0]",
        ":KUBE-POSTROUTING - [0:0]",
        "-A PREROUTING -j KUBE-SERVICES",
        "-A OUTPUT -j KUBE-SERVICES",
        "-A POSTROUTING -j KUBE-POSTROUTING",
        "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
    ]
    hairpins = []
    for service in services:
        cluster_ip, address = service.cluster_ip_of(family), service.address_of(family)
        for protocol in ("tcp", "udp"):
            port = f"-p {protocol} --dport {service.port}"
            if cluster_ip is not None:
                nat.append(f"-A KUBE-SERVICES ! -s {PODS[family]} -d {cluster_ip} {port} -j KUBE-MARK-MASQ")
            if address is not None and not service.local:
                nat.append(f"-A KUBE-SERVICES -d {address} {port} -j KUBE-MARK-MASQ")
        hairpins += [endpoint_address(endpoint, family) for endpoint in service.endpoints]
    for target, port_number in sorted(set(hairpins)):
        for protocol in ("tcp", "udp"):
            nat.append(f"-A KUBE-POSTROUTING -s {target} -d {target} -p {protocol} --dport {port_number} -j MASQUERADE")
    nat += [
        "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
        "-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0",
        "-A KUBE-POSTROUTING -j MASQUERADE --random-fully",
        "COMMIT",
    ]
    # With built-in chains, as in the saved rules of a real kube-proxy: they persist once used
    built_in = [f":{chain} ACCEPT [0:0]" for chain in ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")]
    mangle = ["*mangle", *built_in, ":KUBE-IPTABLES-HINT - [0:0]", ":KUBE-PROXY-CANARY - [0:0]", "COMMIT"]
    forward = [
        "*filter",
        ":KUBE-FORWARD - [0:0]",
        "-A FORWARD -j KUBE-FORWARD",
        "-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT",
        "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "COMMIT",
    ]
    return "\n".join([*mangle, *forward, *nat]) + "\n"
