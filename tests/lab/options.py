"""Options of a lab, with defaults."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass

KUBE_PROXY_MODES = ("iptables", "nftables", "ipvs", "none")
VARIANTS = ("nft", "legacy")
VLAN_KINDS = ("veth", "real")
SECOND_INTERFACE = "eth0.200"
BRIDGE = "br-pool"


@dataclass(frozen=True)
class LabOptions:
    """Options of one lab.

    prefix: prefix of all namespace names; labs with different prefixes can run at the same time.
    kube_proxy: kube-proxy mode whose rules are loaded.
    variant: iptables variant that loads the rules of kube-proxy and of the controls.
    rp_filter: the nodes' initial value, on `all`, `default` and every link.
    vlan_address: give every node an address of the pool on the pool's link (/32 and /128, no prefix route).
    vlan: "veth": eth0.100 is a veth that replaces the VLAN link; "real": eth0 is a trunk, eth0.100 is not created.
    pool_link: False: do not create eth0.100 in "veth" mode either.
    same_subnet: the pool is part of the nodes' subnet; there is no pool segment.
    shared_link: the pool's router and on-link client are on the nodes' LAN; requests for the pool arrive on eth0.
    strict_pool_router: the pool's router validates sources strictly, including senders of ARP requests.
    second_pool: a second pool, 1.2.4.0/24, on eth0.200 with its own router; every service also has an address in it, as
        the service `second-NAME`.
    address_socket: node1 has 1.2.3.40 on lo and a server bound to it (service `socket1`).
    bridge: eth0.100 is a port of the bridge br-pool, on which each node has a guest too; iptables sees bridged frames.
    second_nic: nodes have eth1 too, with another address of the LAN.
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
    bridge: bool = False
    second_nic: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"homeward-[a-z0-9-]*[a-z0-9]", self.prefix):
            raise ValueError(
                f"prefix: {self.prefix!r} is not 'homeward-' followed by lower-case letters, digits and dashes"
            )
        for field, allowed in (
            ("kube_proxy", KUBE_PROXY_MODES),
            ("variant", VARIANTS),
            ("vlan", VLAN_KINDS),
            ("rp_filter", (0, 1, 2)),
        ):
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field}: {getattr(self, field)!r} is none of {allowed}")

        if self.same_subnet and self.shared_link:
            raise ValueError("same_subnet and shared_link exclude each other")
        if self.second_pool and (self.pool_interface == "eth0" or self.vlan == "real" or self.kube_proxy == "ipvs"):
            raise ValueError("second_pool needs eth0.100 as a veth, and excludes ipvs")

        if self.bridge and (self.pool_interface != BRIDGE or self.vlan == "real" or not self.pool_link):
            raise ValueError("bridge needs eth0.100 as a veth")

    @property
    def pool_interface(self) -> str:
        """Link of the nodes on which the pool's addresses are announced."""
        if self.bridge and not (self.same_subnet or self.shared_link):
            return BRIDGE
        return "eth0" if self.same_subnet or self.shared_link else "eth0.100"

    @property
    def pool_interfaces(self) -> tuple[str, ...]:
        """All links of the nodes on which addresses are announced."""
        return (self.pool_interface, SECOND_INTERFACE) if self.second_pool else (self.pool_interface,)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> LabOptions:
        return cls(**json.loads(text))
