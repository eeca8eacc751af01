"""Situations: what real nodes have besides the pool, each as commands that set it up in the lab.

Fields in braces are filled in for each node: {n} and {m}, the number of the node and of the other one; {link}, the pool's
link; {variant}, the variant of iptables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from . import topology
from .lab import Lab
from .options import LabOptions

DEDICATED, SHARED = "dedicated", "shared"
_BOTH_LINKS = (DEDICATED, SHARED)


@dataclass(frozen=True)
class Situation:
    """touches: parts of a node that it sets; situations that touch the same exclude each other.

    node, hosts: commands for each node, and for other hosts by name. options: of the lab. links: kinds of the pool's link
    with which it can occur. gateways: those of the pool, if they differ.
    """

    name: str
    summary: str
    touches: frozenset[str]
    node: tuple[str, ...] = ()
    hosts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    links: tuple[str, ...] = _BOTH_LINKS
    gateways: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


def _both(line: str, **fields: tuple[str, str]) -> tuple[str, ...]:
    """Return an `ip` command for IPv4 and for IPv6; fields: name -> (for IPv4, for IPv6)."""
    return tuple(
        f"ip -{4 + 2 * six} " + line.format_map(_Fields({name: pair[six] for name, pair in fields.items()}))
        for six in (0, 1)
    )


class _Fields(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return f"{{{name}}}"


def _situation(name: str, summary: str, touches: str, *node: str, **more: Any) -> Situation:
    return Situation(name, summary, frozenset(touches.split()), node, **more)


_NODE = ("192.168.1.1{n}", "fd00:192:168:1::1{n}")
_OTHER = ("192.168.1.1{m}", "fd00:192:168:1::1{m}")
_ROUTER = ("192.168.1.1", "fd00:192:168:1::1")
_LAN = ("192.168.1.0/24", "fd00:192:168:1::/64")
_POOL = ("1.2.3.0/24", "fd00:1:2:3::/64")
_OWN_PODS = ("10.112.{n}.0/24", "fd00:112:{n}::/64")
_OTHER_PODS = ("10.112.{m}.0/24", "fd00:112:{m}::/64")
_ALL_PODS = ("10.112.0.0/12", "fd00:112::/32")
_FAR = ("203.0.113.0/24", "fd00:203:0:113::/64")
_VPN = (
    "ip link add {vpn} type veth peer name {vpn}-far",
    "ip link set {vpn} up",
    "ip link set {vpn}-far up",
)


def _vpn(name: str) -> tuple[str, ...]:
    return tuple(line.format(vpn=name) for line in _VPN)


def _table(number: int) -> tuple[str, ...]:
    """Return the commands for a table with the LAN and the default router."""
    return (
        *_both(f"route add {{lan}} dev eth0 table {number}", lan=_LAN),
        *_both(f"route add default via {{router}} dev eth0 table {number}", router=_ROUTER),
    )


RULES = (
    _situation(
        "from-node",
        "packets from the node's address have a table of their own, as on nodes with several NICs",
        "rules default4 default6 cluster-net",
        *_table(101),
        *_both("rule add priority 90 to {pods} lookup main", pods=_ALL_PODS),
        *_both("rule add from {node} lookup 101 priority 100", node=_NODE),
    ),
    _situation(
        "wg-quick",
        "a VPN that takes all packets except its own, as wg-quick sets it up",
        "rules default4 default6 sysctl/all.src_valid_mark",
        *_vpn("wg0"),
        *_both("route add default dev wg0 table 51820"),
        *_both("rule add not fwmark 51820 table 51820"),
        *_both("rule add table main suppress_prefixlength 0"),
        "sysctl -q -w net/ipv4/conf/all/src_valid_mark=1",
    ),
    _situation(
        "low-table",
        "all packets look up another table before rules at 2000, as with several uplinks",
        "rules default4 default6 cluster-net",
        *_table(102),
        *_both("rule add priority 1000 lookup main suppress_prefixlength 0"),
        *_both("rule add priority 1001 lookup 102"),
    ),
    _situation(
        "pods-in-table-52",
        "pods of other nodes are reached by another table, as with k3s and Tailscale",
        "rules pods",
        *_both("route del {pods}", pods=_OTHER_PODS),
        *_both("route add {pods} via {other} dev eth0 table 52", pods=_OTHER_PODS, other=_OTHER),
        *_both("rule add priority 5270 lookup 52"),
    ),
    _situation(
        "from-pods",
        "packets from the node's pods have a table of their own, as with the VPC CNI of AWS",
        "rules cluster-net",
        *_table(103),
        *_both("rule add priority 512 to {pods} lookup main", pods=_ALL_PODS),
        *_both("rule add priority 1536 from {pods} lookup 103", pods=_OWN_PODS),
    ),
    _situation(
        "iif-pods",
        "packets that come from a pod's link have a table of their own",
        "rules cluster-net",
        *_table(104),
        *_both("rule add priority 512 to {pods} lookup main", pods=_ALL_PODS),
        *_both("rule add priority 700 iif pod-server lookup 104"),
    ),
    _situation(
        "uid-range",
        "packets of users have a table of their own, as a VPN for some users does",
        # A strict filter finds this table before the pool's network in the main table.
        "rules default4 default6 cluster-net strict",
        *_table(105),
        *_both("rule add priority 90 to {pods} lookup main", pods=_ALL_PODS),
        "ip -6 route add fe80::/64 dev eth0 table 105",
        *_both("rule add priority 150 uidrange 0-65534 lookup 105"),
    ),
    _situation(
        "local-at-100",
        "the rule for the local table is at 100, as Cilium moves it",
        "rules",
        *_both("rule add priority 100 lookup local"),
        *_both("rule del priority 0"),
    ),
    _situation(
        "default-in-253",
        "the default routes are in the table default instead of main",
        "default4 default6",
        *_both("route add default via {router} dev eth0 table default", router=_ROUTER),
        *_both("route del default"),
        "ip -6 rule add priority 32767 lookup default",
    ),
)

ROUTES = (
    _situation("no-default-4", "no IPv4 default route", "default4", "ip -4 route del default"),
    _situation("no-default-6", "IPv6 without a default route", "default6", "ip -6 route del default"),
    _situation(
        "openvpn-def1",
        "a VPN with two routes that cover everything, as OpenVPN's redirect-gateway def1",
        "default4 default6",
        *_vpn("tun0"),
        "ip -4 route add 0.0.0.0/1 dev tun0",
        "ip -4 route add 128.0.0.0/1 dev tun0",
        "ip -6 route add ::/1 dev tun0",
        "ip -6 route add 8000::/1 dev tun0",
    ),
    _situation(
        "blackholed-bogons",
        "private networks are unreachable unless routed, as on routers",
        "bogons",
        "ip -4 route add blackhole 10.0.0.0/8",
        "ip -4 route add unreachable 172.16.0.0/12",
        "ip -6 route add blackhole fd00:10::/32",
    ),
    _situation(
        "nexthop-object",
        "the default route refers to a nexthop object, as FRR writes it",
        "default4",
        "ip nexthop add id 77 via 192.168.1.1 dev eth0",
        "ip -4 route replace default nhid 77",
    ),
    _situation(
        "source-specific-default",
        "the IPv6 default route is for one source network, as DHCPv6 clients of several uplinks write it",
        "default6",
        "ip -6 route add default from fd00:192:168:1::/64 via fd00:192:168:1::1 dev eth0",
        "ip -6 route add default from fd00:112::/32 via fd00:192:168:1::1 dev eth0",
        "ip -6 route del default from ::/0 via fd00:192:168:1::1 dev eth0",
    ),
    _situation(
        "route-to-clients",
        "the clients' network is routed by the default router on its own account",
        "far",
        *_both("route add {far} via {router} dev eth0", far=_FAR, router=_ROUTER),
    ),
)

LINKS = (
    _situation(
        "onlink-in-main",
        "the pool's network is in the main table, as the article's case 2 has it",
        "pool-net",
        *_both("route add {pool} dev {link}", pool=_POOL),
    ),
    _situation(
        "address-with-prefix",
        "each node has an address of the pool's network, with its prefix route",
        "pool-net",
        "ip address add 1.2.3.25{n}/24 dev {link}",
        "ip address add fd00:1:2:3::25{n}/64 dev {link} nodad",
        links=(DEDICATED,),
    ),
    _situation(
        "link-local-gateway",
        "the pool's IPv6 gateway has a link-local address",
        "gateway6",
        hosts={"poolrouter": ("ip address add fe80::77/64 dev pool nodad",)},
        gateways=("1.2.3.1", "fe80::77"),
    ),
    _situation(
        "same-gateway-6",
        "the default router and the pool's gateway are fe80::1, each on its link",
        "default6 gateway6 pool-net",
        "ip -6 route replace default via fe80::1 dev eth0",
        "ip address add fd00:1:2:3::25{n}/64 dev {link} nodad",
        hosts={
            "router": ("ip address add fe80::1/64 dev lan nodad",),
            "poolrouter": ("ip address add fe80::1/64 dev pool nodad",),
        },
        links=(DEDICATED,),
        gateways=("1.2.3.1", "fe80::1"),
    ),
    _situation(
        "same-gateway-4",
        "the default router and the pool's gateway are 10.255.0.1, each on its link",
        "default4 gateway4",
        "ip -4 route replace default via 10.255.0.1 dev eth0 onlink",
        hosts={
            "router": ("ip address add 10.255.0.1/32 dev lan",),
            "poolrouter": ("ip address add 10.255.0.1/32 dev pool",),
        },
        links=(DEDICATED,),
        gateways=("10.255.0.1", "fd00:1:2:3::1"),
    ),
    _situation(
        "cluster-on-link",
        "the pool's link carries the cluster's network: nodes and their pods are reached over it, others by eth0",
        "pods cluster-net",
        "ip address add 10.9.0.1{n}/24 dev {link}",
        "ip address add fd00:10:9::1{n}/64 dev {link} nodad",
        "ip -4 route replace 10.112.{m}.0/24 via 10.9.0.1{m} dev {link}",
        "ip -6 route replace fd00:112:{m}::/64 via fd00:10:9::1{m} dev {link}",
        "ip -4 route add 192.168.1.1{m} via 10.9.0.1{m} dev {link}",
        "ip -6 route add fd00:192:168:1::1{m} via fd00:10:9::1{m} dev {link}",
        links=(DEDICATED,),
    ),
    _situation(
        "bridge-with-guests",
        "the pool's link is a bridge with guests on it, and iptables sees bridged frames, as Kubernetes sets it",
        "bridge forward",
        options={"bridge": True},
        links=(DEDICATED,),
    ),
    _situation(
        "second-nic",
        "a second NIC in the LAN's subnet",
        "nic2 arp",
        "sysctl -q -w net/ipv4/conf/all/arp_ignore=1 net/ipv4/conf/all/arp_announce=2",
        options={"second_nic": True},
    ),
    _situation(
        "two-defaults",
        "a second NIC in the LAN's subnet with a default route by the same router",
        "nic2 arp default4 default6",
        "sysctl -q -w net/ipv4/conf/all/arp_ignore=1 net/ipv4/conf/all/arp_announce=2",
        *_both("route add default via {router} dev eth1 metric 2048", router=_ROUTER),
        options={"second_nic": True},
    ),
    _situation(
        "secondary-addresses",
        "more addresses on the LAN, one of them deprecated",
        "addresses",
        "ip address add 192.168.1.13{n}/24 dev eth0",
        "ip address add 10.255.1.1{n}/24 dev eth0",
        "ip address add fd00:192:168:1::13{n}/64 dev eth0 nodad preferred_lft 0",
    ),
)

_NFT_STRICT = (
    "table inet firewalld { chain filter_PREROUTING { type filter hook prerouting priority filter + 10; policy accept;"
    " icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept;"
    " meta nfproto { ipv4, ipv6 } fib saddr . mark . iif oif missing drop; }; }"
)
_TABLES = ("iptables-{variant} -w", "ip6tables-{variant} -w")

FILTERS = (
    _situation(
        "firewalld-strict",
        "firewalld with IPv6_rpfilter=strict, for both families; it needs the pool's network in the main table",
        "strict pool-net",
        *_both("route add {pool} dev {link}", pool=_POOL),
        f"nft '{_NFT_STRICT}'",
    ),
    _situation(
        "rpfilter-on-eth0",
        "iptables drops packets from eth0 whose source is elsewhere",
        "strict",
        *(f"{tables} -t raw -A PREROUTING -i eth0 -m rpfilter --invert -j DROP" for tables in _TABLES),
        links=(DEDICATED,),
    ),
    _situation(
        "rpfilter-on-pods",
        "iptables validates the sources of pods with their mark, as Calico does",
        "raw",
        *(
            f"{tables} -t raw -{change}"
            for tables in _TABLES
            for change in (
                "N cali-PREROUTING",
                "I PREROUTING -j cali-PREROUTING",
                "A cali-PREROUTING -i pod-+ -j MARK --set-xmark 0x40000/0x40000",
                "A cali-PREROUTING -m mark --mark 0x40000/0x40000 -m rpfilter --validmark --invert -j DROP",
                "A cali-PREROUTING -j MARK --set-xmark 0x0/0x40000",
            )
        ),
    ),
    _situation(
        "masked-connmarks",
        "others restore and save their own bits of the mark, as Tailscale does",
        "connmark",
        *(
            f"{tables} -t mangle -A {chain} -j CONNMARK --{action}-mark --nfmask 0xff0000 --ctmask 0xff0000"
            for tables in _TABLES
            for chain, action in (("PREROUTING", "restore"), ("OUTPUT", "save"), ("POSTROUTING", "save"))
        ),
    ),
    _situation(
        "forward-drop",
        "the policy of FORWARD is DROP, and the network plugin accepts its pods, as beside Docker",
        "forward",
        *(
            f"{tables} {change}"
            for tables, pods in zip(_TABLES, _ALL_PODS, strict=True)
            for change in (f"-A FORWARD -d {pods} -j ACCEPT", f"-A FORWARD -s {pods} -j ACCEPT")
        ),
        *(
            f"{tables} {change}"
            for tables, other in zip(_TABLES, _OTHER, strict=True)
            for change in (f"-A FORWARD -d {other} -j ACCEPT", f"-A FORWARD -s {other} -j ACCEPT")
        ),
        *(f"{tables} -P FORWARD DROP" for tables in _TABLES),
    ),
    _situation(
        "masquerade-all",
        "a firewall masquerades everything that leaves by the pool's link",
        "nat",
        "iptables-{variant} -w -t nat -A POSTROUTING -o {link} -j MASQUERADE",
        "ip6tables-{variant} -w -t nat -A POSTROUTING -o {link} -j MASQUERADE",
        links=(DEDICATED,),
    ),
)

_SYSCTL = "sysctl -q -w net/ipv4/conf/{scope}/{name}={value}"


def _sysctl(scope: str, name: str, value: int) -> Situation:
    label = "link" if scope == "{link}" else scope
    line = _SYSCTL.replace("{scope}", scope).replace("{name}", name).replace("{value}", str(value))
    return _situation(f"{label}.{name}={value}", f"{name} of {label} is {value}", f"sysctl/{label}.{name}", line)


SYSCTLS = (
    *(_sysctl(scope, "rp_filter", value) for scope in ("all", "{link}") for value in (1, 2)),
    _sysctl("default", "rp_filter", 1),
    _sysctl("all", "src_valid_mark", 1),
    _situation(
        "reflected-marks",
        "the kernel copies marks to answers and sockets",
        "sysctl/fwmark",
        "sysctl -q -w net/ipv4/fwmark_reflect=1 net/ipv6/fwmark_reflect=1 net/ipv4/tcp_fwmark_accept=1",
    ),
    _situation(
        "hardened-arp",
        "ARP is answered for addresses of the link only, and sent from them",
        "arp",
        "sysctl -q -w net/ipv4/conf/all/arp_ignore=2 net/ipv4/conf/all/arp_announce=2 net/ipv4/conf/all/arp_filter=1",
    ),
)

#: Situations in which every client must reach every service, except where `no-default` says so
SITUATIONS = {one.name: one for one in (*RULES, *ROUTES, *LINKS, *FILTERS, *SYSCTLS)}
assert len(SITUATIONS) == len((*RULES, *ROUTES, *LINKS, *FILTERS, *SYSCTLS)), "two situations have the same name"


def fits(situations: Iterable[Situation], link: str) -> bool:
    """Whether the situations can occur together, with this kind of link."""
    chosen = tuple(situations)
    return all(link in one.links for one in chosen) and not any(
        one.touches & other.touches for one, other in combinations(chosen, 2)
    )


def packed(link: str, size: int) -> list[tuple[Situation, ...]]:
    """Return all situations with this kind of link, in groups of at most so many that fit together."""
    groups: list[tuple[Situation, ...]] = []
    for one in SITUATIONS.values():
        if link not in one.links:
            continue
        place = next(
            (index for index, group in enumerate(groups) if len(group) < size and fits((*group, one), link)), None
        )
        if place is None:
            groups.append((one,))
        else:
            groups[place] += (one,)
    return groups


def options_of(situations: Iterable[Situation], link: str) -> dict[str, Any]:
    """Return the options of a lab for these situations and this kind of link."""
    options: dict[str, Any] = {"shared_link": link == SHARED}
    for one in situations:
        options |= one.options
    return options


def commands(situation: Situation, node: str, options: LabOptions) -> Iterator[str]:
    """Yield the commands of a situation for a node."""
    number = int(node[-1])
    fields = {"n": number, "m": 3 - number, "link": options.pool_interface, "variant": options.variant}
    for line in situation.node:
        # Braces of nft are not fields
        yield line if line.startswith("nft ") else line.format_map(fields)


def prepare(lab: Lab, situations: Iterable[Situation]) -> None:
    """Set the situations up on a running lab, and restart the speakers, which then find the links as they are."""
    for one in situations:
        for node in topology.NODES:
            lab.host(node).run("\n".join(commands(one, node, lab.options)) or "true")
        for host, lines in one.hosts.items():
            lab.host(host).run("\n".join(lines))
    lab.restart_speakers()
