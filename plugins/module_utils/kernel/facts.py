# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of the node: kube-proxy or its replacement, the SSH connection of this run, the servers of the Kubernetes API."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from ..paths import KUBECONFIGS, RESOLV_CONFS
from ..state import Interface, KubeProxy
from ..state.family import IPAddress
from ..state.iptables_save import SERVICES_CHAIN, ClusterChains
from ..state.node import IPVS_LINKS
from .netlink.nf_tables import nft_tables

# Of the thread, not of the process: a thread may be in another network namespace.
IPVS_SERVICES = Path("/proc/thread-self/net/ip_vs")
_EBPF_LINK = re.compile(r"cilium_(host|net)|bpf(in|out)\.cali|lxc_health|lxc[0-9a-f]{12}")
_KUBE_PROXY = ("127.0.0.1", 10249)  # metricsBindAddress of kube-proxy
_KUBE_PROXY_TIMEOUT = 0.5  # seconds
_LONGEST_ANSWER = 4096  # bytes
_WRITTEN = {
    "iptables": f"{SERVICES_CHAIN} jumps to the chains of services",
    "ipvs": f"{SERVICES_CHAIN} matches the sets of IPVS",
}
_KUBE_PROXY_TABLES = frozenset({("ip", "kube-proxy"), ("ip6", "kube-proxy")})

_HOST = r"(?P<host>\[[^\]\s]+\]|[^\s:/\"'\[\],]+)"
_SERVER = re.compile(rf"^\s*-?\s*[\"']?server[\"']?:\s*[\"']?https?://{_HOST}", re.MULTILINE)
_NAMESERVER = re.compile(r"^\s*nameserver\s+(\S+)", re.MULTILINE)  # resolv.conf(5)
# The list of servers of k3s: {"ServerURL": "https://192.168.1.10:6443", "ServerAddresses": ["192.168.1.10:6443"]}
_LISTED = re.compile(rf"\"(?:https?://)?{_HOST}:\d+\"")


def kube_proxy(interfaces: Mapping[str, Interface], chains: ClusterChains) -> KubeProxy:
    """Return what implements services on this node."""
    return judge(frozenset(interfaces), chains, nft_tables, ipvs_services, answered_mode)


def judge(
    links: Collection[str],
    chains: ClusterChains,
    tables: Callable[[], Collection[tuple[str, str]]],
    services: Callable[[], int],
    answered: Callable[[], str],
) -> KubeProxy:
    """Return what implements services, by the strongest evidence first; costly evidence is read only where it decides.

    After a change of the mode, kube-proxy leaves links, chains and IPVS services of the former one. Only the rules of
    KUBE-SERVICES, which each mode writes anew, are evidence of the current one.

    :param tables: returns family and name of the nftables tables.
    :param services: returns the number of IPVS services. Alone they are weak evidence: keepalived creates them too.
    :param answered: returns the mode that kube-proxy itself names, ``""`` if it does not answer.
    """
    link = next((name for name in IPVS_LINKS if name in links), "")
    written = {mode: _WRITTEN[mode] for mode in sorted(chains.services)}
    found = sorted(_KUBE_PROXY_TABLES & frozenset(tables()))
    if found:
        written["nftables"] = f"there is a table {' '.join(found[0])} in nftables"
    left = f"there is a link {link}" if link and "ipvs" not in written else ""
    if written:
        asked = answered() if len(written) > 1 or left else ""
        mode = asked if asked in written else next(iter(written))
        others = [reason for other, reason in written.items() if other != mode] + (
            [left] if left and mode != "ipvs" else []
        )
        return KubeProxy(mode, "kube-proxy says so" if mode == asked else written[mode], "; ".join(others))
    if left:
        return KubeProxy("ipvs", left)
    if SERVICES_CHAIN in chains.names:
        return KubeProxy("iptables", f"there is a chain {SERVICES_CHAIN} and no link kube-ipvs0")
    count = services()
    if count:
        return KubeProxy("ipvs", f"there are {count} IPVS services")
    ebpf = sorted(name for name in links if _EBPF_LINK.fullmatch(name))
    if ebpf:
        return KubeProxy("ebpf", f"there is a link {ebpf[0]} and no trace of kube-proxy")
    return KubeProxy()


def answered_mode() -> str:
    """Return the mode that kube-proxy names at its metrics address, ``""`` if it does not answer at once."""
    try:
        with socket.create_connection(_KUBE_PROXY, timeout=_KUBE_PROXY_TIMEOUT) as connection:
            connection.settimeout(_KUBE_PROXY_TIMEOUT)
            connection.sendall(b"GET /proxyMode HTTP/1.0\r\n\r\n")
            with connection.makefile("rb") as answer:
                return answer.read(_LONGEST_ANSWER).rpartition(b"\r\n\r\n")[2].strip().decode("ascii", "replace")
    except OSError:
        return ""


def ipvs_services() -> int:
    """Return the number of IPVS services in the kernel; 0 if IPVS is not loaded."""
    try:
        lines = IPVS_SERVICES.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return 0
    return sum(line.startswith(("TCP ", "UDP ", "SCTP ", "FWM ")) for line in lines)


def ssh_peer(interfaces: Mapping[str, Interface]) -> tuple[str, str]:
    """Return the client address of the SSH connection that this process runs in, and the link with the server address.

    Both are ``""`` without such a connection; the link also if none has the address, because of NAT for example.
    """
    for environment in environments(os.getpid()):
        connection = environment.get("SSH_CONNECTION", "").split()
        if len(connection) == 4:
            peer, _zone = _address(connection[0])
            local, zone = _address(connection[2])
            if peer:
                return str(peer), zone if zone in interfaces else _holder(local, interfaces)
    return "", ""


def environments(pid: int, folder: Path = Path("/proc")) -> Iterator[Mapping[str, str]]:
    """Yield the environment of this process, then of each parent of ``pid``: sudo removes SSH_CONNECTION from its own."""
    yield os.environ
    while pid > 1:
        pid = _parent(pid, folder)
        try:
            content = (folder / str(pid) / "environ").read_bytes()
        except OSError:
            continue  # of pid 1 in some containers, or of a process that has ended
        pairs = (os.fsdecode(item).partition("=") for item in content.split(b"\0") if b"=" in item)
        yield {name: value for name, _separator, value in pairs}


def _parent(pid: int, folder: Path) -> int:
    """Return the PID of the parent, 0 if there is none."""
    try:
        status = (folder / str(pid) / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    found = re.search(r"^PPid:\s*(\d+)", status, re.MULTILINE)
    return int(found.group(1)) if found else 0


def _holder(local: IPAddress | None, interfaces: Mapping[str, Interface]) -> str:
    """Return the name of the link with the address, or ``""``."""
    for name, interface in interfaces.items():
        if any(ipaddress.ip_interface(item).ip == local for item in interface.addresses):
            return name
    return ""


def _address(text: str) -> tuple[IPAddress | None, str]:
    """Return the address and its zone, an IPv4-mapped address as IPv4; None for other text."""
    bare, _separator, zone = text.strip("[]").partition("%")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return None, ""
    return (getattr(address, "ipv4_mapped", None) or address), zone


def api_servers(root: Path = Path("/")) -> tuple[str, ...]:
    """Return the addresses of the Kubernetes API servers in the configuration of the kubelet.

    Host names are left out, because resolving them takes time and gives changing results, and loopback addresses, because
    they are those of a local proxy.
    """
    found = set()
    for path in KUBECONFIGS:
        try:
            text = (root / path.lstrip("/")).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        found |= set(servers_in(text))
    return tuple(sorted(found))


def dns_servers(root: Path = Path("/")) -> tuple[str, ...]:
    """Return the addresses of the node's DNS servers, without loopback and link-local ones."""
    found = set()
    for path in RESOLV_CONFS:
        try:
            text = (root / path.lstrip("/")).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for match in _NAMESERVER.finditer(text):
            address, _zone = _address(match.group(1))
            if address and not (address.is_loopback or address.is_link_local):
                found.add(str(address))
    return tuple(sorted(found))


def servers_in(text: str) -> Iterator[str]:
    """Yield the addresses of servers in the text of a kubeconfig, or in the list of the load balancer of k3s."""
    pattern = _LISTED if text.lstrip().startswith("{") else _SERVER
    for match in pattern.finditer(text):
        address, _zone = _address(match.group("host"))
        if address and not address.is_loopback:
            yield str(address)
