"""kube-proxy's rules: the saved rules of a real kube-proxy, with the same services over UDP and empty services added."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from . import kube_proxy_ipvs
from .host import Host
from .namespaces import LabError
from .options import LabOptions
from .services import EMPTY_SERVICES, POOL, SAME_SUBNET_POOL, SECOND_POOL, Service, to_same_subnet, to_second

FIXTURE_FOLDER = Path(__file__).resolve().parent / "kube_proxy"
_CHAIN_HASH = re.compile(r"\b(KUBE-(?:SVC|SVL|EXT|SEP|FW)-)([A-Z0-9]{16})\b")


def fixture(node: str, kind: str) -> str:
    """Return the saved rules of a node; kind: iptables-save, ip6tables-save or nft."""
    return (FIXTURE_FOLDER / f"kube-proxy-1.36-{node}.{kind}").read_text()


def load(node: Host, options: LabOptions, services: Mapping[str, Service]) -> None:
    """Load the rules of the lab's kube-proxy mode on the node."""
    if options.kube_proxy == "ipvs":
        kube_proxy_ipvs.load(node, options, services)
    elif options.kube_proxy == "iptables":
        for family, kind in (("", "iptables-save"), ("6", "ip6tables-save")):
            text = with_empty(with_udp(fixture(node.name, kind)), 6 if family else 4)
            text = _moved(_with_second(text, options), options)
            node.run([f"ip{family}tables-{options.variant}-restore", "-w"], stdin=text)
    elif options.kube_proxy == "nftables":
        node.run(
            ["nft", "-f", "-"],
            stdin=_moved(_nft_with_second(nft_with_udp(fixture(node.name, "nft")), options) + nft_empty(), options),
        )


def with_udp(saved: str) -> str:
    """Add a UDP copy of every TCP rule, in separate chains, as kube-proxy has for a second port.

    Health check ports are TCP only. The copy's chain name has UDP in place of the first letters of the hash.
    """
    lines: list[str] = []
    originals = {name for _, name in _CHAIN_HASH.findall(saved)}
    if len({_udp_hash(name) for name in originals} | originals) != 2 * len(originals):
        raise LabError("kube-proxy fixture: two chains would have the same UDP name")
    for line in saved.splitlines():
        lines.append(line)
        if "health check node port" in line or not (_CHAIN_HASH.search(line) or " -p tcp " in line):
            continue
        copy = _CHAIN_HASH.sub(lambda match: match.group(1) + _udp_hash(match.group(2)), line)
        lines.append(copy.replace("-p tcp", "-p udp").replace("-m tcp", "-m udp").replace(":http", ":http-udp"))
    return "\n".join(lines) + "\n"


def _udp_hash(name: str) -> str:
    return "UDP" + name[3:]


def nft_with_udp(ruleset: str) -> str:
    """Add a UDP copy of every TCP element and of every service's chain."""

    def add_udp_chain(match: re.Match[str]) -> str:
        chain = match.group()
        return chain + "\n" + chain.replace("/tcp/", "/udp/").replace("l4proto tcp", "l4proto udp")

    ruleset = re.sub(r"(?ms)^\tchain \S+/tcp/http \{\n.*?^\t\}\n", add_udp_chain, ruleset)

    def udp_copy(element: str) -> str | None:
        return (
            re.sub(r"\btcp \.", "udp .", element).replace("/tcp/", "/udp/") if re.search(r"\btcp \.", element) else None
        )

    return _add_elements(ruleset, udp_copy)


def _add_elements(ruleset: str, copy: Callable[[str], str | None]) -> str:
    """Add copies to the elements of nft sets and maps, except of elements for which `copy` returns None."""

    def extend(match: re.Match[str]) -> str:
        elements = [element.strip() for element in match.group(1).split(",\n")]
        copies = [copied for element in elements if (copied := copy(element)) is not None]
        return "elements = { " + ",\n\t\t\t     ".join(elements + copies) + " }"

    return re.sub(r"elements = \{ ([^}]*?) \}", extend, ruleset, flags=re.S)


def with_empty(saved: str, family: int) -> str:
    """Add the rules that refuse clients of the services without endpoints, as kube-proxy writes them."""
    lines = []
    for service in EMPTY_SERVICES:
        targets = (
            ("KUBE-SERVICES", service.cluster_ip_of(family)),
            ("KUBE-EXTERNAL-SERVICES", service.address_of(family)),
        )
        for (chain, address), protocol in itertools.product(targets, ("tcp", "udp")):
            lines.append(
                f"-A {chain} -d {address} -p {protocol} -m comment"
                f' --comment "default/{service.name} has no endpoints" -m {protocol} --dport {service.port} -j REJECT'
            )
    before, filter_table, after = saved.partition("*filter\n")
    return before + filter_table + after.replace("COMMIT\n", "\n".join([*lines, "COMMIT\n"]), 1)


def nft_empty() -> str:
    """Return the elements that refuse clients of the services without endpoints, as kube-proxy writes them."""
    return "".join(
        f"add element {'ip6' if family == 6 else 'ip'} kube-proxy no-endpoint-services"
        f" {{ {address} . {protocol} . {service.port} : goto reject-chain }}\n"
        for service, family, protocol in itertools.product(EMPTY_SERVICES, (4, 6), ("tcp", "udp"))
        for address in (service.cluster_ip_of(family), service.address_of(family))
    )


_POOL_ADDRESS = re.compile(r"(?<![\d.])1\.2\.3\.\d+|fd00:1:2:3::[0-9a-f]+")


def _with_second(saved: str, options: LabOptions) -> str:
    """Repeat every rule for a pool address with the second pool's address, as for a service with two addresses."""
    if not options.second_pool:
        return saved
    lines = []
    for line in saved.splitlines():
        lines += [line, to_second(line)] if _POOL_ADDRESS.search(line) else [line]
    return "\n".join(lines) + "\n"


def _nft_with_second(ruleset: str, options: LabOptions) -> str:
    """Repeat every element for a pool address with the second pool's address."""
    if not options.second_pool:
        return ruleset

    return _add_elements(ruleset, lambda element: to_second(element) if _POOL_ADDRESS.search(element) else None)


def _moved(text: str, options: LabOptions) -> str:
    """Replace the pool addresses by those of a same-subnet lab."""
    if not options.same_subnet:
        return text
    return _POOL_ADDRESS.sub(lambda match: to_same_subnet(match.group()), text)


def pool_networks(options: LabOptions) -> list[str]:
    """Return the networks of all pools of a lab."""
    if options.same_subnet:
        return list(SAME_SUBNET_POOL.values())
    return [*POOL.values(), *(SECOND_POOL.values() if options.second_pool else ())]
