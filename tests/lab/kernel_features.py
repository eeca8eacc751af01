"""What the running kernel has of the things a lab may need, found by trying, in a namespace that is gone afterwards."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

_LINK_ATTEMPTS = {
    "vlan": "ip link add name one type veth peer name two && ip link add link one name one.5 type vlan id 5",
    "dummy": "ip link add name one type dummy",
    "ipvs": "ip link add name one type dummy && ipvsadm -C",
}


@functools.cache
def supports(feature: str) -> bool:
    """Whether this kernel and its tools have `vlan` (802.1Q), `dummy` or `ipvs` (with the dummy link it needs)."""
    command = ["unshare", "--net", "sh", "-c", _LINK_ATTEMPTS[feature]]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def load_connection_tracking() -> None:
    """Load nf_conntrack where it is a module: a namespace has its settings, which the lab sets, only from then on."""
    if not Path("/proc/sys/net/netfilter/nf_conntrack_tcp_loose").exists():
        subprocess.run(["modprobe", "nf_conntrack"], check=False)
