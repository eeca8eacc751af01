"""kube-proxy's rules in a node: what a real one saved, and the same services over UDP, loaded by its own tool."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from . import kube_proxy_ipvs
from .host import Host
from .namespaces import LabError
from .options import LabOptions
from .services import POOL, SAME_SUBNET_POOL, SECOND_POOL, Service, to_same_subnet, to_second

FIXTURE_FOLDER = Path(__file__).resolve().parent / "kube_proxy"
_CHAIN_HASH = re.compile(r"\b(KUBE-(?:SVC|SVL|EXT|SEP|FW)-)([A-Z0-9]{16})\b")


def fixture(node: str, kind: str) -> str:
    """A saved file of one node; kind: iptables-save, ip6tables-save or nft."""
    return (FIXTURE_FOLDER / f"kube-proxy-1.36-{node}.{kind}").read_text()


def load(node: Host, options: LabOptions, services: Mapping[str, Service]) -> None:
    """Give the node the rules of the lab's mode."""
    if options.kube_proxy == "ipvs":
        kube_proxy_ipvs.load(node, options, services)
    elif options.kube_proxy == "iptables":
        for family, kind in (("", "iptables-save"), ("6", "ip6tables-save")):
            text = _moved(_with_second(with_udp(fixture(node.name, kind)), options), options)
            node.run([f"ip{family}tables-{options.variant}-restore", "-w"], stdin=text)
    elif options.kube_proxy == "nftables":
        node.run(
            ["nft", "-f", "-"],
            stdin=_moved(_nft_with_second(nft_with_udp(fixture(node.name, "nft")), options), options),
        )


def with_udp(saved: str) -> str:
    """Add to every TCP rule its UDP twin, in chains of its own as kube-proxy would have for a second port.

    Health check ports are TCP only. A twin chain is the original's with UDP in the place of the hash's first letters.
    """
    lines: list[str] = []
    originals = {name for _, name in _CHAIN_HASH.findall(saved)}
    if len({_udp_hash(name) for name in originals} | originals) != 2 * len(originals):
        raise LabError("kube-proxy fixture: two chains would get the same UDP name")
    for line in saved.splitlines():
        lines.append(line)
        if "health check node port" in line or not (_CHAIN_HASH.search(line) or " -p tcp " in line):
            continue
        twin = _CHAIN_HASH.sub(lambda match: match.group(1) + _udp_hash(match.group(2)), line)
        lines.append(twin.replace("-p tcp", "-p udp").replace("-m tcp", "-m udp").replace(":http", ":http-udp"))
    return "\n".join(lines) + "\n"


def _udp_hash(name: str) -> str:
    return "UDP" + name[3:]


def nft_with_udp(ruleset: str) -> str:
    """Add to every TCP element, and to every service's chain, its UDP twin."""

    def with_twin(match: re.Match[str]) -> str:
        chain = match.group()
        return chain + "\n" + chain.replace("/tcp/", "/udp/").replace("l4proto tcp", "l4proto udp")

    ruleset = re.sub(r"(?ms)^\tchain \S+/tcp/http \{\n.*?^\t\}\n", with_twin, ruleset)

    def twice(match: re.Match[str]) -> str:
        elements = [element.strip() for element in match.group(1).split(",\n")]
        of_tcp = [element for element in elements if re.search(r"\btcp \.", element)]
        twins = [re.sub(r"\btcp \.", "udp .", element).replace("/tcp/", "/udp/") for element in of_tcp]
        return "elements = { " + ",\n\t\t\t     ".join(elements + twins) + " }"

    return re.sub(r"elements = \{ ([^}]*?) \}", twice, ruleset, flags=re.S)


_POOL_ADDRESS = re.compile(r"(?<![\d.])1\.2\.3\.\d+|fd00:1:2:3::[0-9a-f]+")


def _with_second(saved: str, options: LabOptions) -> str:
    """Repeat every rule for a pool address with that of the second pool, as for a service with two addresses."""
    if not options.second_pool:
        return saved
    lines = []
    for line in saved.splitlines():
        lines += [line, to_second(line)] if _POOL_ADDRESS.search(line) else [line]
    return "\n".join(lines) + "\n"


def _nft_with_second(ruleset: str, options: LabOptions) -> str:
    """Repeat every element for a pool address, too."""
    if not options.second_pool:
        return ruleset

    def twice(match: re.Match[str]) -> str:
        elements = [element.strip() for element in match.group(1).split(",\n")]
        twins = [to_second(element) for element in elements if _POOL_ADDRESS.search(element)]
        return "elements = { " + ",\n\t\t\t     ".join(elements + twins) + " }"

    return re.sub(r"elements = \{ ([^}]*?) \}", twice, ruleset, flags=re.S)


def _moved(text: str, options: LabOptions) -> str:
    """The same rules for the pool addresses of a same-subnet lab."""
    if not options.same_subnet:
        return text
    text = re.sub(r"\b1\.2\.3\.\d+\b", lambda match: to_same_subnet(match.group()), text)
    return re.sub(r"\bfd00:1:2:3::[0-9a-f]+\b", lambda match: to_same_subnet(match.group()), text)


def pool_networks(options: LabOptions) -> list[str]:
    """The pools' networks in a lab with these options."""
    if options.same_subnet:
        return list(SAME_SUBNET_POOL.values())
    return [*POOL.values(), *(SECOND_POOL.values() if options.second_pool else ())]
