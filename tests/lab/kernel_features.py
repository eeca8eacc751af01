"""Optional features of the running kernel, found by trying them in a temporary namespace."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

_PROBES = {
    "vlan": "ip link add name one type veth peer name two && ip link add link one name one.5 type vlan id 5",
    "dummy": "ip link add name one type dummy",
    "ipvs": "ip link add name one type dummy && ipvsadm -C",
}


@functools.cache
def supports(feature: str) -> bool:
    """Whether kernel and tools support `vlan` (802.1Q), `dummy` or `ipvs` (including dummy links)."""
    command = ["unshare", "--net", "sh", "-c", _PROBES[feature]]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def load_connection_tracking() -> None:
    """Load nf_conntrack if it is a module: its sysctls, which the lab sets, do not exist before."""
    if not Path("/proc/sys/net/netfilter/nf_conntrack_tcp_loose").exists():
        subprocess.run(["modprobe", "nf_conntrack"], check=False)
