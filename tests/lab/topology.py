"""The topology of the lab as data: hosts, segments, links, addresses, routes.

internet  203.0.113.0/24   router .1   poolrouter .2   outside .50
lan       192.168.1.0/24   router .1   node1 .11   node2 .12   lan .50
pool      1.2.3.0/24       poolrouter .1   onlink .50   node1, node2: eth0.100 without an address
second    1.2.4.0/24       router2 .1 (internet .3)   node1, node2: eth0.200; only with second_pool
pods      10.112.N.10 (server) and .20 (client), each in its own namespace, connected to node N by a veth
"""

from __future__ import annotations

from dataclasses import dataclass

from .options import BRIDGE, SECOND_INTERFACE, LabOptions
from .services import ADDRESS_SOCKET, PODS, POOL, SECOND_POOL

NODES = ("node1", "node2")
CLIENTS = ("outside", "onlink", "poolrouter", "lan", "node1", "node2", "pod1", "pod2")
SWITCH = "switch"
SWITCH_SYSCTLS: dict[str, str | int] = {f"net/ipv6/conf/{scope}/disable_ipv6": 1 for scope in ("all", "default")}
GUEST_PORT = "guest"
POD_GATEWAY = "169.254.1.1"
POD_GATEWAY_MAC = "02:ee:ee:ee:ee:ee"
POD_GATEWAY6 = "fe80::ee:eeff:feee:eeee"  # the link-local address of that MAC


@dataclass(frozen=True)
class Link:
    """A host's end of a veth to the bridge of a segment. Addresses have a prefix length."""

    name: str
    segment: str
    mac: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class HostPlan:
    """name: suffix of the namespace's name; commands: `ip` lines to run in it after its links are configured."""

    name: str
    links: tuple[Link, ...]
    commands: tuple[str, ...] = ()
    router: bool = False


def mac(segment: int, number: int) -> str:
    return f"02:00:00:00:{segment:02x}:{number:02x}"


def _link(name: str, segment: str, number: int) -> Link:
    index, prefix4, prefix6 = {
        "lan": (1, "192.168.1.", "fd00:192:168:1::"),
        "pool": (2, "1.2.3.", "fd00:1:2:3::"),
        "internet": (3, "203.0.113.", "fd00:203:0:113::"),
        "second": (4, "1.2.4.", "fd00:1:2:4::"),
    }[segment]
    return Link(name, segment, mac(index, number), (f"{prefix4}{number}/24", f"{prefix6}{number}/64"))


def _node(number: int, options: LabOptions) -> HostPlan:
    other = 3 - number
    links = [_link("eth0", "lan", 10 + number)]
    if options.pool_link and options.vlan == "veth" and options.pool_interface != "eth0":
        own = (f"1.2.3.25{number}/32", f"fd00:1:2:3::25{number}/128") if options.vlan_address else ()
        links.append(Link("eth0.100", "pool", mac(2, 10 + number), own))
    if options.second_pool:
        links.append(Link(SECOND_INTERFACE, "second", mac(4, 10 + number), ()))
    if options.second_nic:
        own = (f"192.168.1.2{number}/24", f"fd00:192:168:1::2{number}/64")
        links.append(Link("eth1", "lan", mac(5, 10 + number), own))
    commands = [
        "route add default via 192.168.1.1",
        "route add default via fd00:192:168:1::1",
        f"route add 10.112.{other}.0/24 via 192.168.1.1{other}",
        f"route add fd00:112:{other}::/64 via fd00:192:168:1::1{other}",
    ]
    commands += [*pod_routes(number, "server", 10), *pod_routes(number, "client", 20)]
    if options.bridge:
        commands += [
            f"link add {BRIDGE} address {mac(2, 10 + number)} type bridge mcast_snooping 0",
            f"link set eth0.100 master {BRIDGE}",
            f"link set {GUEST_PORT} master {BRIDGE} up",
            f"link set {BRIDGE} up",
        ]
    if options.address_socket and number == 1:
        commands.append(f"address add {ADDRESS_SOCKET.address}/32 dev lo")
    return HostPlan(f"node{number}", tuple(links), tuple(commands), router=True)


def pod_routes(number: int, kind: str, last: int) -> list[str]:
    """Return `ip` lines, for node `number`, that route to a pod through the veth pod-KIND."""
    return [
        f"link set pod-{kind} up",
        f"route add 10.112.{number}.{last} dev pod-{kind}",
        f"route add fd00:112:{number}::{last} dev pod-{kind}",
    ]


def pod(name: str, number: int, last: int) -> HostPlan:
    """Return a pod of node `number`: a /32 and a gateway that is only a neighbour entry, as with Calico."""
    return HostPlan(
        name,
        (),
        (
            "link set eth0 up",
            f"address add 10.112.{number}.{last}/32 dev eth0",
            f"address add fd00:112:{number}::{last}/128 dev eth0 nodad",
            f"route add {POD_GATEWAY} dev eth0",
            f"neighbour add {POD_GATEWAY} lladdr {POD_GATEWAY_MAC} dev eth0 nud permanent",
            f"neighbour add {POD_GATEWAY6} lladdr {POD_GATEWAY_MAC} dev eth0 nud permanent",
            f"route add default via {POD_GATEWAY} dev eth0",
            f"route add default via {POD_GATEWAY6} dev eth0",
        ),
    )


def guest(number: int) -> HostPlan:
    """Return the guest on node `number`'s bridge, a host of the pool's network."""
    return HostPlan(
        f"guest{number}",
        (),
        (
            "link set eth0 up",
            f"address add 1.2.3.6{number}/24 dev eth0",
            f"address add fd00:1:2:3::6{number}/64 dev eth0 nodad",
            "route add default via 1.2.3.1",
            "route add default via fd00:1:2:3::1",
        ),
    )


def hosts(options: LabOptions) -> list[HostPlan]:
    """Return all hosts of a lab, without the switch."""
    plans = [_node(1, options), _node(2, options)]
    for number in (1, 2):
        plans += [pod(f"server{number}", number, 10), pod(f"pod{number}", number, 20)]
        plans += [guest(number)] if options.bridge else []
    to_default = ("route add default via 203.0.113.1", "route add default via fd00:203:0:113::1")
    via_lan_router = ("route add default via 192.168.1.1", "route add default via fd00:192:168:1::1")
    plans.append(HostPlan("lan", (_link("eth0", "lan", 50),), via_lan_router))
    if options.same_subnet:
        plans.append(HostPlan("router", (_link("lan", "lan", 1), _link("internet", "internet", 1)), router=True))
        plans.append(HostPlan("outside", (_link("eth0", "internet", 50),), to_default))
        return plans
    to_pool = tuple(
        f"route add {POOL[family]} via {gateway}" for family, gateway in ((4, "203.0.113.2"), (6, "fd00:203:0:113::2"))
    )
    to_second: tuple[str, ...] = ()
    if options.second_pool:
        to_second = tuple(
            f"route add {SECOND_POOL[family]} via {gateway}"
            for family, gateway in ((4, "203.0.113.3"), (6, "fd00:203:0:113::3"))
        )
        second = (_link("second", "second", 1), _link("internet", "internet", 3))
        plans.append(HostPlan("router2", second, to_default + to_pool, router=True))
        to_pool += to_second
    via_pool_router = ("route add default via 1.2.3.1", "route add default via fd00:1:2:3::1")
    plans += [
        HostPlan("router", (_link("lan", "lan", 1), _link("internet", "internet", 1)), to_pool, router=True),
        HostPlan(
            "poolrouter",
            (_link("pool", "pool", 1), _link("internet", "internet", 2)),
            to_default + to_second,
            router=True,
        ),
        HostPlan("outside", (_link("eth0", "internet", 50),), to_default + to_pool),
        HostPlan("onlink", (_link("eth0", "pool", 50),), via_pool_router),
    ]
    return plans


def clients_of(options: LabOptions) -> tuple[str, ...]:
    return tuple(name for name in CLIENTS if not (options.same_subnet and name in ("onlink", "poolrouter")))


def node_macs() -> frozenset[str]:
    """Return the MACs of the nodes' links to the segments."""
    return frozenset(mac(segment, 10 + number) for segment in (1, 2, 4, 5) for number in (1, 2))


def sysctls(plan: HostPlan, options: LabOptions) -> dict[str, str | int]:
    """Return a host's initial sysctls. All are explicit, because a new namespace inherits some from the initial one.

    Set them before links exist, so that `default` applies to every link.
    """
    node = plan.name in NODES
    reverse_path = options.rp_filter if node else int(options.strict_pool_router and plan.name == "poolrouter")
    values: dict[str, str | int] = {"net/ipv4/ip_forward": int(plan.router)}
    for scope in ("all", "default", "lo"):
        four, six = f"net/ipv4/conf/{scope}", f"net/ipv6/conf/{scope}"
        values |= {
            f"{four}/rp_filter": reverse_path,
            f"{four}/src_valid_mark": 0,
            f"{four}/arp_ignore": 0,
            f"{four}/arp_announce": 0,
            f"{four}/arp_filter": 0,
            f"{four}/send_redirects": 0,
            f"{four}/accept_redirects": 0,
            f"{four}/accept_local": 0,
            f"{four}/route_localnet": 0,
            f"{four}/proxy_arp": 0,
            f"{six}/disable_ipv6": 0,
            f"{six}/accept_dad": 0,
            f"{six}/accept_redirects": 0,
            f"{six}/forwarding": int(plan.router),
            f"{six}/accept_ra": 1,
        }
    if plan.router:
        values["net/ipv4/icmp_ratelimit"] = 0
        values["net/ipv6/icmp/ratelimit"] = 0
    if node and options.bridge:
        values |= {f"net/bridge/bridge-nf-call-{program}": 1 for program in ("iptables", "ip6tables")}
    if plan.name == "router":
        values["net/netfilter/nf_conntrack_tcp_loose"] = 0
    return values


def firewall(plan: HostPlan, options: LabOptions) -> str | None:
    """Return a host's nft rules: the stateful filter of the default router, or the masquerading of a node's CNI."""
    if plan.name == "router":
        pools = () if options.same_subnet else (POOL, SECOND_POOL)
        spoofed = "".join(
            f'iifname "lan" ip saddr {pool[4]} drop\n iifname "lan" ip6 saddr {pool[6]} drop\n' for pool in pools
        )
        return (
            "table inet lab-router {\n chain forward {\n type filter hook forward priority 0; policy accept;\n"
            f" {spoofed} ct state invalid drop\n }}\n}}\n"
        )
    if plan.name in NODES:
        number = plan.name[-1]
        return _masquerade("ip", f"10.112.{number}.0/24", PODS[4]) + _masquerade(
            "ip6", f"fd00:112:{number}::/64", PODS[6]
        )
    return None


def _masquerade(family: str, own_pods: str, pods: str) -> str:
    """Return the nft table that masquerades traffic from a node's pods to outside the cluster, after kube-proxy's rules."""
    return (
        f"table {family} lab-cni {{\n chain postrouting {{\n"
        " type nat hook postrouting priority 110; policy accept;\n"
        f" {family} saddr {own_pods} {family} daddr != {pods} masquerade\n }}\n}}\n"
    )


def pod_veths(prefix: str, options: LabOptions) -> list[str]:
    """Return `ip` lines, for the host's namespace, that create the veths between nodes and their pods and guests."""
    lines = []
    for number in (1, 2) if options.bridge else ():
        lines.append(
            f"link add {GUEST_PORT} netns {prefix}-node{number} type veth "
            f"peer name eth0 netns {prefix}-guest{number} address {mac(2, 60 + number)}"
        )
    for number in (1, 2):
        for kind, pod in (("server", f"server{number}"), ("client", f"pod{number}")):
            lines.append(
                f"link add pod-{kind} netns {prefix}-node{number} address {POD_GATEWAY_MAC} type veth "
                f"peer name eth0 netns {prefix}-{pod} address {mac(16 + number, 10 if kind == 'server' else 20)}"
            )
    return lines


def cables(plans: list[HostPlan], prefix: str) -> list[str]:
    """Return `ip` lines, for the host's namespace, that create the veths between hosts and switch."""
    return [
        f"link add {link.name} netns {prefix}-{plan.name} address {link.mac} type veth "
        f"peer name {port_of(plan, link)} netns {prefix}-{SWITCH}"
        for plan in plans
        for link in plan.links
    ]


def port_of(plan: HostPlan, link: Link) -> str:
    """Return the name of the switch's end of a link."""
    return f"{plan.name}.{'nic2' if link.name == 'eth1' else link.segment[:4]}"


def bridges() -> list[str]:
    """Return `ip` lines, for the switch, that create the bridges of the segments.

    Run them before the veths are created: a veth whose two ends have the same index takes up to a second to be running.
    """
    lines = ["link set lo up"]
    for segment in ("lan", "pool", "internet", "second"):
        lines += [f"link add br-{segment} type bridge mcast_snooping 0 stp_state 0", f"link set br-{segment} up"]
    return lines


def ports(plans: list[HostPlan], options: LabOptions) -> list[str]:
    """Return `ip` lines, for the switch, that attach links to the bridges of their segments."""
    lines = []
    for plan in plans:
        for link in plan.links:
            segment = "lan" if options.shared_link and link.segment == "pool" else link.segment
            lines.append(f"link set {port_of(plan, link)} master br-{segment} up")
            if options.vlan == "real" and plan.name in NODES and options.pool_interface != "eth0":
                trunk = port_of(plan, link)
                lines.append(f"link add link {trunk} name {plan.name}.100 type vlan id 100")
                lines.append(f"link set {plan.name}.100 master br-pool up")
    return lines


def host_commands(plan: HostPlan) -> list[str]:
    """Return `ip` lines that configure the links of a host, followed by the host's own commands."""
    lines = ["link set lo up"]
    for link in plan.links:
        lines.append(f"link set {link.name} up")
        for address in link.addresses:
            own_only = " noprefixroute" if address.endswith(("/32", "/128")) else ""
            lines.append(f"address add {address} dev {link.name}{' nodad' if ':' in address else ''}{own_only}")
    return [*lines, *plan.commands]
