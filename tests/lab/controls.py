"""Recipes as plain commands: the article's cases, and the mark recipe that this collection implements.

`recipe` is the mark recipe as it was first: requests follow the main table, and those for a port without a service are
discarded when they are routed. `refined` and `shared` are what it became.

They are controls of the lab: what each recipe reaches is known from measurements on real nodes. If the lab shows
something else, the lab is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from .host import Host
from .options import LabOptions
from .services import PODS, POOL

if TYPE_CHECKING:
    from .lab import Lab

GATEWAYS = {4: "1.2.3.1", 6: "fd00:1:2:3::1"}
NODES = {4: ("192.168.1.11", "192.168.1.12"), 6: ("fd00:192:168:1::11", "fd00:192:168:1::12")}
MARK, MASK, TABLE = "0x100", "0x1f00", "7701"
# Parts of the same mask: a bit for requests, and the remaining bits for the gateway
REQUEST_MARK, GATEWAY_MASK = "0x1100", "0xf00"
_ICMPV6_NEIGHBOUR_TYPES = range(133, 138)


def nothing(_options: LabOptions) -> list[str]:
    """The empty recipe."""
    return []


def make_link(options: LabOptions) -> list[str]:
    """Create the VLAN link, unless the lab has a veth instead."""
    if options.vlan == "real":
        return ["ip link add link eth0 name eth0.100 type vlan id 100", "ip link set eth0.100 up"]
    return []


def case2(options: LabOptions) -> list[str]:
    """The article's case 2: an on-link route."""
    return [*make_link(options), f"ip route add {POOL[4]} dev {options.pool_interface}"]


def case3(options: LabOptions) -> list[str]:
    """The article's case 3: a separate routing table for packets from the pool."""
    return [
        *make_link(options),
        f"ip route add {POOL[4]} dev {options.pool_interface} table 100",
        f"ip route add default via {GATEWAYS[4]} table 100",
        f"ip rule add from {POOL[4]} lookup 100",
    ]


def case4a(options: LabOptions) -> list[str]:
    """The article's case 4 with an exception for pods."""
    return [*case3(options), f"ip rule add from {POOL[4]} to {PODS[4]} lookup main"]


def case4b(options: LabOptions) -> list[str]:
    """The article's case 4 with connection marks, exactly as published."""
    tables = f"iptables-{options.variant}"
    return [
        *case3(options)[:-1],
        f"{tables} -t mangle -A PREROUTING -j CONNMARK --restore-mark",
        f"{tables} -t mangle -A PREROUTING -m mark ! --mark 0 -j RETURN",
        f"{tables} -t mangle -A PREROUTING -i {options.pool_interface} -j MARK --set-mark 0x100",
        f"{tables} -t mangle -A POSTROUTING -j CONNMARK --save-mark",
        f"ip rule add from {POOL[4]} fwmark 0x100 lookup 100",
        "sysctl -q -w net/ipv4/conf/all/rp_filter=0",
        f"sysctl -q -w net/ipv4/conf/{options.pool_interface}/rp_filter=0",
        f"{tables} -t raw -A PREROUTING -i {options.pool_interface} -d {POOL[4]} -j RETURN",
        f"{tables} -t raw -A PREROUTING -i {options.pool_interface} -m rpfilter --invert -j DROP",
    ]


def issue610(options: LabOptions) -> list[str]:
    """The workaround of MetalLB's issue 610: mark replies by the original destination of their connection."""
    match = f"-m conntrack --ctorigdst {POOL[4]} --ctdir REPLY -j MARK --set-mark 0x100"
    return [
        *case3(options)[:-1],
        f"iptables-{options.variant} -t mangle -A PREROUTING {match}",
        "ip rule add fwmark 0x100 lookup 100",
    ]


def _exceptions(family: int) -> list[str]:
    """Return the routes that lead packets for pods and nodes on to the following rules."""
    return [f"ip -{family} route add throw {network} table {TABLE}" for network in (PODS[family], *NODES[family])]


def _bound_sockets(family: int, options: LabOptions) -> list[str]:
    """Return the rule by which a socket bound to the link finds the pool's network there, as MetalLB's answers need."""
    rule = f"rule add priority 2400 to {POOL[family]} oif {options.pool_interface} lookup {TABLE}"
    return [f"ip -6 {rule}"] if family == 6 else []


def _routes(family: int, options: LabOptions) -> list[str]:
    ip = f"ip -{family}"
    return [
        f"{ip} route add {POOL[family]} dev {options.pool_interface} table {TABLE}",
        f"{ip} route add default via {GATEWAYS[family]} dev {options.pool_interface} table {TABLE}",
        f"{ip} route add unreachable default table {TABLE} metric 4294967294",
    ]


def _guard(family: int, options: LabOptions) -> list[str]:
    """The guard chain: on the pool's link, accept only packets to the pool, and none with a pod's source address."""
    tables = f"ip{'6' if family == 6 else ''}tables-{options.variant} -w -t raw"
    lines = [f"{tables} -N HOMEWARD-RAW", f"{tables} -I PREROUTING -i {options.pool_interface} -j HOMEWARD-RAW"]
    if family == 6:
        for kind in _ICMPV6_NEIGHBOUR_TYPES:
            lines.append(f"{tables} -A HOMEWARD-RAW -p icmpv6 --icmpv6-type {kind} -j RETURN")
        lines.append(f"{tables} -A HOMEWARD-RAW -s fe80::/10 -d fe80::/10 -j RETURN")
    return [
        *lines,
        f"{tables} -A HOMEWARD-RAW ! -d {POOL[family]} -j DROP",
        f"{tables} -A HOMEWARD-RAW -s {PODS[family]} -j DROP",
    ]


def _mangle_chains(family: int, options: LabOptions, chains: tuple[str, ...]) -> list[str]:
    tables = f"ip{'6' if family == 6 else ''}tables-{options.variant} -w -t mangle"
    lines = []
    for chain in chains:
        lines += [f"{tables} -N HOMEWARD-{chain}", f"{tables} -I {chain} -j HOMEWARD-{chain}"]
    return lines


def _clear_marks(family: int, options: LabOptions) -> list[str]:
    tables = f"ip{'6' if family == 6 else ''}tables-{options.variant} -w -t mangle"
    return [
        f"{tables} -A HOMEWARD-{chain} -m mark ! --mark 0/{MASK} -j MARK --set-xmark 0/{MASK}"
        for chain in ("INPUT", "POSTROUTING")
    ]


def _strict_filter(options: LabOptions) -> list[str]:
    return [
        f"sysctl -q -w net/ipv4/conf/{options.pool_interface}/src_valid_mark=1",
        f"sysctl -q -w net/ipv4/conf/{options.pool_interface}/rp_filter=1",
    ]


def recipe(options: LabOptions) -> list[str]:
    """The mark recipe with one set of rules per mark, evaluated for every packet."""
    lines = [*make_link(options), *_strict_filter(options)]
    set_connection = f"-m conntrack --ctdir ORIGINAL -j CONNMARK --set-xmark {MARK}/{MASK}"
    set_packet = f"-m connmark --mark {MARK}/{MASK} -j MARK --set-xmark {MARK}/{MASK}"
    for family in (4, 6):
        ip, tables = f"ip -{family}", f"ip{'6' if family == 6 else ''}tables-{options.variant} -w -t mangle"
        lines += [
            *_routes(family, options),
            *_mangle_chains(family, options, ("PREROUTING", "OUTPUT", "INPUT", "POSTROUTING")),
            f"{tables} -A HOMEWARD-PREROUTING -i {options.pool_interface} -d {POOL[family]} {set_connection}",
            f"{tables} -A HOMEWARD-PREROUTING {set_packet}",
            f"{tables} -A HOMEWARD-OUTPUT -m conntrack --ctdir REPLY {set_packet}",
            *_clear_marks(family, options),
            *_guard(family, options),
            *_bound_sockets(family, options),
            f"{ip} rule add priority 2100 iif {options.pool_interface} to {POOL[family]} blackhole",
            f"{ip} rule add priority 2500 iif {options.pool_interface} lookup main",
            f"{ip} rule add priority 2700 fwmark {MARK}/{MASK} lookup {TABLE}",
        ]
    return lines


def refined_recipe(options: LabOptions) -> list[str]:
    """The mark recipe in which requests are routed as unmarked packets are, and unmarked packets skip all other rules."""
    link, marked = options.pool_interface, f"fwmark {MARK}/{MASK}"
    lines = [*make_link(options), *_strict_filter(options)]
    for family in (4, 6):
        ip = f"ip -{family}"
        lines += [
            *_routes(family, options),
            *_exceptions(family),
            *_refined_mangle(family, options, MARK),
            *_guard(family, options),
            f"{ip} rule add priority 2999 nop",
            *_bound_sockets(family, options),
            f"{ip} rule add priority 2700 {marked} iif {link} goto 2999",
            f"{ip} rule add priority 2800 {marked} lookup {TABLE}",
            f"{ip} rule add priority 2500 fwmark 0/{MASK} goto 2999",
        ]
    return lines


def shared_recipe(options: LabOptions) -> list[str]:
    """The refined recipe for a shared link, on which replies from other nodes' endpoints also arrive.

    There `iif` does not distinguish requests from replies, so requests carry an additional bit. The rules for pods and
    nodes are needed for strict source validation: for a request whose endpoint is behind this link, the kernel looks up
    the client as the destination of a packet from the endpoint that arrived here. There is no guard: with native routing,
    packets from other nodes' pods arrive on this link.
    """
    link, request = options.pool_interface, f"fwmark {REQUEST_MARK}/{MASK}"
    lines = [f"sysctl -q -w net/ipv4/conf/{link}/src_valid_mark=1"]
    for family in (4, 6):
        ip = f"ip -{family}"
        lines += [
            *_routes(family, options),
            *_exceptions(family),
            *_refined_mangle(family, options, REQUEST_MARK),
            f"{ip} rule add priority 2999 nop",
            *_bound_sockets(family, options),
            *(
                f"{ip} rule add priority 2690 from {network} {request} iif {link} lookup {TABLE}"
                for network in (PODS[family], *NODES[family])
            ),
            f"{ip} rule add priority 2700 {request} iif {link} goto 2999",
            f"{ip} rule add priority 2800 fwmark {MARK}/{GATEWAY_MASK} lookup {TABLE}",
            f"{ip} rule add priority 2500 fwmark 0/{MASK} goto 2999",
        ]
    return lines


def _refined_mangle(family: int, options: LabOptions, request_mark: str) -> list[str]:
    """Mark connections to the pool and their packets in both directions; clear the packet mark at the end.

    A request that is still for the pool there has no service and must not loop between router and node.
    """
    unserved = f"-d {POOL[family]} -m mark --mark {request_mark}/{MASK} -m conntrack --ctdir ORIGINAL"
    tables = f"ip{'6' if family == 6 else ''}tables-{options.variant} -w -t mangle"
    restore = f"-j CONNMARK --restore-mark --nfmask {MASK} --ctmask {MASK}"
    return [
        *_mangle_chains(family, options, ("PREROUTING", "OUTPUT", "INPUT", "POSTROUTING")),
        f"{tables} -N HOMEWARD-GATEWAY-1",
        f"{tables} -A HOMEWARD-GATEWAY-1 -m conntrack --ctdir ORIGINAL -j CONNMARK --set-xmark {MARK}/{MASK}",
        f"{tables} -A HOMEWARD-GATEWAY-1 -j MARK --set-xmark {request_mark}/{MASK}",
        f"{tables} -A HOMEWARD-PREROUTING -i {options.pool_interface} -d {POOL[family]} -g HOMEWARD-GATEWAY-1",
        f"{tables} -A HOMEWARD-PREROUTING -m connmark ! --mark 0/{MASK} {restore}",
        f"{tables} -A HOMEWARD-OUTPUT -m conntrack --ctdir REPLY -m connmark ! --mark 0/{MASK} {restore}",
        f"{tables} -A HOMEWARD-POSTROUTING {unserved} -j DROP",
        *_clear_marks(family, options),
    ]


CONTROLS: dict[str, Callable[[LabOptions], list[str]]] = {
    "none": nothing,
    "case2": case2,
    "case3": case3,
    "case4a": case4a,
    "case4b": case4b,
    "issue610": issue610,
    "recipe": recipe,
    "refined": refined_recipe,
    "shared": shared_recipe,
}


def commands(name: str, options: LabOptions) -> list[str]:
    """Return the commands of a recipe for each node."""
    return CONTROLS[name](options)


def apply(lab: Lab, name: str) -> None:
    """Run the commands of a recipe on both nodes. Raises LabError with the command that failed."""

    def run_on(node: Host) -> None:
        for line in commands(name, lab.options):
            node.run(line)

    with ThreadPoolExecutor() as pool:
        list(pool.map(run_on, lab.nodes))
    if lab.options.vlan == "real":
        lab.restart_speakers()  # they gave up the services while the link was missing
