"""What a lab may look like: every choice a test can make, with its default."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass

KUBE_PROXY_MODES = ("iptables", "nftables", "ipvs", "none")
VARIANTS = ("nft", "legacy")
VLAN_KINDS = ("veth", "real")
SECOND_INTERFACE = "eth0.200"


@dataclass(frozen=True)
class LabOptions:
    """The choices of one lab.

    prefix: first part of every namespace's name; labs with different prefixes run side by side.
    kube_proxy: which mode's rules the nodes have.
    variant: which iptables the rules are loaded with (kube-proxy's own and the controls').
    rp_filter: the nodes' starting value, on `all`, `default` and every link.
    vlan_address: give every node an address of the pool on its pool link (/32 and /128, no prefix route).
    vlan: "veth": a veth named eth0.100 stands in for the VLAN; "real": eth0 is a trunk, eth0.100 is not made.
    pool_link: False leaves the node without eth0.100 in "veth" mode too.
    same_subnet: the pool is part of the nodes' own subnet; there is no pool segment.
    shared_link: the pool's router and on-link client are on the nodes' own LAN; the pool comes in on eth0.
    strict_pool_router: the pool router filters by reverse path, also the senders of ARP requests.
    second_pool: a second pool, 1.2.4.0/24, comes in on eth0.200 from a router of its own; every service has an address of
        it too, as the service `second-NAME`.
    address_socket: node1 has 1.2.3.40 on lo and a socket of its own on it (service `socket1`).
    """

    prefix: str = "homeward-lab"
    kube_proxy: str = "iptables"
    variant: str = "nft"
    rp_filter: int = 0
    vlan_address: bool = False
    vlan: str = "veth"
    pool_link: bool = True
    same_subnet: bool = False
    shared_link: bool = False
    strict_pool_router: bool = False
    second_pool: bool = False
    address_socket: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"homeward-[a-z0-9-]*[a-z0-9]", self.prefix):
            raise ValueError(f"prefix: {self.prefix!r} must be lower case letters, digits, dashes after 'homeward-'")
        for field, allowed in (
            ("kube_proxy", KUBE_PROXY_MODES),
            ("variant", VARIANTS),
            ("vlan", VLAN_KINDS),
            ("rp_filter", (0, 1, 2)),
        ):
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field}: {getattr(self, field)!r} is none of {allowed}")

        if self.same_subnet and self.shared_link:
            raise ValueError("same_subnet and shared_link: the pool is either part of the LAN's network or beside it")
        if self.second_pool and (self.pool_interface == "eth0" or self.vlan == "real" or self.kube_proxy == "ipvs"):
            raise ValueError("second_pool: there is one only beside a veth eth0.100, and not with ipvs")

    @property
    def pool_interface(self) -> str:
        """The node's link on which the pool's addresses are announced."""
        return "eth0" if self.same_subnet or self.shared_link else "eth0.100"

    @property
    def pool_interfaces(self) -> tuple[str, ...]:
        """The node's links on which addresses are announced."""
        return (self.pool_interface, SECOND_INTERFACE) if self.second_pool else (self.pool_interface,)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> LabOptions:
        return cls(**json.loads(text))
