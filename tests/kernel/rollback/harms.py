# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that cut the node off from its controller, as a run would make them that decides wrongly and verifies nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils import engine, verification
from ansible_collections.homeward.metallb_routing.plugins.module_utils.planning.plan import Plan
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import (
    Address,
    Chain,
    Link,
    Node,
    NodeState,
    Route,
    Rule,
    Sysctl,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.chain import chain_sets
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.family import IPV4, IPV6
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.route import MAIN_TABLE

#: Where the controller is, behind the node's default router, and the address to which it connects.
CONTROLLER = {IPV4: "203.0.113.50", IPV6: "fd00:203::50"}
NETWORK = {IPV4: "203.0.113.0/24", IPV6: "fd00:203::/64"}
HALF = {IPV4: "128.0.0.0/1", IPV6: "8000::/1"}  # contains them
ROUTER = {IPV4: "192.168.1.1", IPV6: "fd00:192:168:1::1"}
NODE = {IPV4: "192.168.1.11", IPV6: "fd00:192:168:1::11"}
SECOND_NODE = {IPV4: "192.168.1.99", IPV6: "fd00:192:168:1::99"}  # on a managed link
BITS = {IPV4: 32, IPV6: 128}
POOL_TABLE, OTHER_TABLE = 7701, 7799
PORT = 22
MARK = 1 << 20
Objects = tuple[Any, ...]


@dataclass(frozen=True)
class Harm:
    """A harmful change.

    :param objects: what the change adds.
    :param lost: what an earlier change added, and this one deletes.
    :param families: those that it cuts off.
    :param address: the node's, as the controller knows it.
    """

    name: str
    objects: Objects = ()
    lost: Objects = ()
    families: tuple[str, ...] = (IPV4, IPV6)
    address: tuple[tuple[str, str], ...] = tuple(NODE.items())

    @property
    def has_chains(self) -> bool:
        """Whether chains alone cut the node off."""
        return any(isinstance(item, Chain) for item in self.objects)


def _both(*makers: Callable[[str], Any]) -> Objects:
    return tuple(make(family) for family in (IPV4, IPV6) for make in makers)


def _host(address: dict[str, str], family: str) -> str:
    return f"{address[family]}/{BITS[family]}"


def _controller(family: str) -> str:
    return _host(CONTROLLER, family)


def _drop(table: str, hook: str, matches: Callable[[str], str], target: str = "-j DROP") -> Callable[[str], Chain]:
    def make(family: str) -> Chain:
        rule = f"{matches(family)} {target}".strip()
        return Chain(family, table, f"HOMEWARD-HARM-{hook}", (rule,), hook)

    return make


def _to_port(_family: str) -> str:
    return f"-p tcp -m tcp --dport {PORT}"


def _from_port(_family: str) -> str:
    return f"-p tcp -m tcp --sport {PORT}"


_MANAGED_LINK = Link("mv0", "macvlan", "eth0")
_SECOND = _both(lambda family: Address("mv0", _host(SECOND_NODE, family)))

ROUTES_AND_RULES = (
    Harm(
        "route to the controller over another link",
        _both(lambda f: Route(f, MAIN_TABLE, _controller(f), interface="eth1")),
    ),
    Harm("unreachable controller", _both(lambda f: Route(f, MAIN_TABLE, _controller(f), type="unreachable"))),
    Harm("blackhole for half of all addresses", _both(lambda f: Route(f, MAIN_TABLE, HALF[f], type="blackhole"))),
    Harm("prohibited network", _both(lambda f: Route(f, MAIN_TABLE, NETWORK[f], type="prohibit"))),
    Harm("thrown network", _both(lambda f: Route(f, MAIN_TABLE, NETWORK[f], type="throw"))),
    Harm("rule that discards", _both(lambda f: Rule(f, 10, "blackhole", destination=_controller(f)))),
    Harm("rule that refuses everything", _both(lambda f: Rule(f, 100, "unreachable"))),
    Harm("rule that prohibits the node's address", _both(lambda f: Rule(f, 1, "prohibit", source=_host(NODE, f)))),
    Harm("rule for the node's own packets", _both(lambda f: Rule(f, 40, "unreachable", iif="lo"))),
    Harm("jump past the main table", _both(lambda f: Rule(f, 50, "goto", goto=32800), lambda f: Rule(f, 32800, "nop"))),
    Harm("the pool's table for everything", _both(lambda f: Rule(f, 50, table=POOL_TABLE))),
    Harm(
        "a table for all that is not marked",
        _both(
            lambda f: Rule(f, 50, table=OTHER_TABLE, fwmark=MARK, fwmask=MARK, invert=True),
            lambda f: Route(f, OTHER_TABLE, HALF[f], type="blackhole"),
        ),
    ),
)
CHAINS = (
    Harm("SSH dropped on arrival", _both(_drop("raw", "PREROUTING", _to_port))),
    Harm("link dropped on arrival", _both(_drop("mangle", "PREROUTING", lambda _f: "-i eth0"))),
    Harm("controller dropped as input", _both(_drop("mangle", "INPUT", lambda f: f"-s {_controller(f)}"))),
    Harm("replies dropped as output", _both(_drop("mangle", "OUTPUT", _from_port))),
    Harm("replies dropped before tracking", _both(_drop("raw", "OUTPUT", lambda f: f"-d {_controller(f)}"))),
    Harm("link dropped as output", _both(_drop("mangle", "POSTROUTING", lambda _f: "-o eth0"))),
    Harm(
        "SSH diverted by a mark",
        _both(
            _drop("mangle", "OUTPUT", _from_port, f"-j MARK --set-xmark {MARK:#x}/{MARK:#x}"),
            lambda f: Rule(f, 60, table=POOL_TABLE, fwmark=MARK, fwmask=MARK),
        ),
    ),
)
OTHERS = (
    Harm("no answer to ARP", (Sysctl("net/ipv4/conf/all/arp_ignore", "8"),), families=(IPV4,)),
    Harm(
        "no answer to ARP on the link, and IPv6 prohibited",
        (Sysctl("net/ipv4/conf/eth0/arp_ignore", "8"), Route(IPV6, MAIN_TABLE, NETWORK[IPV6], type="prohibit")),
    ),
    Harm(
        "strict check against another link",
        (
            Sysctl("net/ipv4/conf/eth0/rp_filter", "1"),
            Route(IPV4, MAIN_TABLE, NETWORK[IPV4], interface="eth1"),
        ),
        families=(IPV4,),
    ),
    Harm("the controller's address on the node", _both(lambda f: Address("eth1", _controller(f)))),
)
LOSSES = (
    Harm(
        "managed route deleted",
        lost=_both(lambda f: Route(f, MAIN_TABLE, NETWORK[f], gateway=ROUTER[f], interface="eth0")),
        objects=_both(lambda f: Route(f, MAIN_TABLE, HALF[f], type="unreachable")),
    ),
    Harm(
        "managed rule deleted",
        lost=_both(
            lambda f: Rule(f, 90, table=OTHER_TABLE),
            lambda f: Route(f, OTHER_TABLE, NETWORK[f], gateway=ROUTER[f], interface="eth0"),
            lambda f: Rule(f, 95, "unreachable", destination=NETWORK[f]),
        ),
        objects=_both(lambda f: Rule(f, 95, "unreachable", destination=NETWORK[f])),
    ),
    Harm("managed link deleted", lost=(_MANAGED_LINK, *_SECOND), address=tuple(SECOND_NODE.items())),
    Harm(
        "managed link set down",
        lost=(_MANAGED_LINK, *_SECOND),
        objects=(replace(_MANAGED_LINK, up=False), *_SECOND),
        families=(IPV6,),  # the node answers for an IPv4 address over another link
        address=tuple(SECOND_NODE.items()),
    ),
    Harm(
        "managed link renamed",
        lost=(_MANAGED_LINK, *_SECOND),
        objects=(replace(_MANAGED_LINK, name="mv9"),),
        address=tuple(SECOND_NODE.items()),
    ),
)
HARMS = (*ROUTES_AND_RULES, *CHAINS, *OTHERS, *LOSSES)


def decide_for(objects: Iterable[Any]) -> None:
    """Have the run in this process add these objects to those of the pools, and verify nothing."""
    make_plan, extra = engine.make_plan, tuple(objects)

    def harmful(desired: NodeState, current: Node) -> Plan:
        return make_plan(_with(desired, extra, current), current)

    engine.make_plan = harmful
    verification.Unaffected.verify = lambda _self: None  # type: ignore[method-assign]
    verification.RoutedPools.verify = lambda _self: None  # type: ignore[method-assign]


def _with(desired: NodeState, extra: Objects, current: Node) -> NodeState:
    chains = [chain for group in desired.chains for chain in group.chains]
    chains += [item for item in extra if isinstance(item, Chain)]
    variant = next((group.variant for group in desired.chains), current.variant)

    def of(kind: type) -> frozenset[Any]:
        return frozenset(item for item in extra if isinstance(item, kind))

    return replace(
        desired,
        links=desired.links | of(Link),
        sysctls=desired.sysctls | of(Sysctl),
        addresses=desired.addresses | of(Address),
        routes=desired.routes | of(Route),
        rules=desired.rules | of(Rule),
        chains=chain_sets(variant, chains),
    )


# --- random ones

_LINKS = ("eth0", "eth1", "eth2", "eth0.100")
_SYSCTLS = {
    "arp_ignore": ("1", "2", "8"),
    "arp_announce": ("1", "2"),
    "rp_filter": ("1", "2"),
    "src_valid_mark": ("1",),
    "accept_local": ("1",),
    "route_localnet": ("1",),
    "arp_filter": ("1",),
}


def random_objects(chance: random.Random) -> Objects:
    """Draw one to four objects that concern the controller, the node or the link between them; often with a certain harm."""
    makers = (_random_route, _random_rule, _random_chain, _random_chain, _random_sysctl, _random_address)
    made = [chance.choice(makers)(chance) for _ in range(chance.randint(1, 4))]
    if chance.random() < 0.6:
        made += chance.choice((*ROUTES_AND_RULES, *CHAINS, *OTHERS)).objects
    return tuple({_identity(item): item for item in made}.values())


def _identity(item: Any) -> Any:
    return (type(item).__name__, (item.family, item.table, item.hook) if isinstance(item, Chain) else item.key)


def _random_network(chance: random.Random, family: str) -> str:
    hosts = (CONTROLLER, ROUTER, NODE)
    return chance.choice((NETWORK[family], HALF[family], *(_host(one, family) for one in hosts)))


def _random_route(chance: random.Random) -> Route:
    family = chance.choice((IPV4, IPV6))
    table = chance.choice((MAIN_TABLE, MAIN_TABLE, POOL_TABLE, OTHER_TABLE))
    kind = chance.choice(("unicast", "unicast", "unreachable", "blackhole", "prohibit", "throw"))
    link = chance.choice(_LINKS) if kind == "unicast" else ""
    return Route(family, table, _random_network(chance, family), chance.choice((0, 7, 2000)), kind, interface=link)


def _random_rule(chance: random.Random) -> Rule:
    family = chance.choice((IPV4, IPV6))
    priority = chance.randint(1, 32000)
    action = chance.choice(("lookup", "lookup", "goto", "nop", "blackhole", "unreachable", "prohibit"))
    marked = chance.random() < 0.2
    return Rule(
        family,
        priority,
        action,
        table=chance.choice((POOL_TABLE, OTHER_TABLE, MAIN_TABLE)) if action == "lookup" else 0,
        goto=chance.choice((32766, 32800)) if action == "goto" else 0,
        source=chance.choice(("", "", _host(NODE, family), _controller(family))),
        destination=chance.choice(("", "", _host(NODE, family), _controller(family), NETWORK[family])),
        iif=chance.choice(("", "", "lo", "eth0")),
        fwmark=MARK if marked else 0,
        fwmask=MARK if marked else 0,
        invert=chance.random() < 0.2,
    )


def _random_chain(chance: random.Random) -> Chain:
    family = chance.choice((IPV4, IPV6))
    table, hook = chance.choice(
        (
            *(("raw", hook) for hook in ("PREROUTING", "OUTPUT")),
            *(("mangle", hook) for hook in ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")),
        )
    )
    matches = [_to_port, _from_port, lambda f: f"-s {_controller(f)}", lambda f: f"-d {_controller(f)}", lambda _f: ""]
    targets = ["-j DROP", "-j DROP", "-j RETURN", "-j ACCEPT"]
    if table == "mangle":
        targets.append(f"-j MARK --set-xmark {MARK:#x}/{MARK:#x}")
    return _drop(table, hook, chance.choice(matches), chance.choice(targets))(family)


def _random_sysctl(chance: random.Random) -> Sysctl:
    name = chance.choice(tuple(_SYSCTLS))
    return Sysctl(f"net/ipv4/conf/{chance.choice(('all', *_LINKS[:3]))}/{name}", chance.choice(_SYSCTLS[name]))


def _random_address(chance: random.Random) -> Address:
    family = chance.choice((IPV4, IPV6))
    owner = chance.choice((CONTROLLER, ROUTER, SECOND_NODE))
    return Address(chance.choice(_LINKS), _host(owner, family))
