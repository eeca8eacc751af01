# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand pools on a hundred links: parameters of the module, and equivalent input for the system's tools."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.argument_spec import argument_spec
from tests.support.namespace import Namespace
from tests.support.pools import CLUSTER

MARK_MASK = "0x1fe0"  # eight bits: 100 gateways need 100 marks
PROGRAMS = ("iptables", "ip6tables")


def interfaces(count: int) -> list[str]:
    """Return the names of links that replace VLANs."""
    return [f"eth0.{100 + number}" for number in range(count)]


def create_links(namespace: Namespace, count: int) -> None:
    """Create the links in a namespace, each as one end of a veth pair."""
    pairs = [(name, f"peer{name[5:]}") for name in interfaces(count)]
    namespace.ip(
        *(f"link add {name} type veth peer name {peer}" for name, peer in pairs),
        *(f"link set {end} up" for pair in pairs for end in pair),
    )


def parameters(links: int, pools_per_link: int, **changes: Any) -> dict[str, Any]:
    """Return the module's parameters, as AnsibleModule provides them, for dual-stack pools."""
    pools = [
        {
            "name": f"pool{link}-{number}",
            "networks": [f"20.{link}.{number}.0/24", f"fd00:20:{link}:{number}::/64"],
            "onlink_networks": [f"20.{link}.0.0/24", f"fd00:20:{link}::/64"],
            "interface": name,
            "gateways": [f"20.{link}.0.1", f"fd00:20:{link}::1"],
        }
        for link, name in enumerate(interfaces(links))
        for number in range(1, pools_per_link + 1)
    ]
    cluster = {**CLUSTER, "node_addresses": ["192.168.1.11", "192.168.1.12"], "kube_proxy_mode": "iptables"}
    values = {"pools": pools, "cluster": cluster, "mark_mask": MARK_MASK}
    validated = ArgumentSpecValidator(argument_spec()).validate(values)
    if validated.error_messages:
        raise ValueError("; ".join(validated.error_messages))
    return {**validated.validated_parameters, "persist": False, "pyroute2_path": "", **changes}


@dataclass(frozen=True)
class Batch:
    """The commands of a result, combined into as few processes as possible."""

    ip: tuple[tuple[str, str], ...]
    restore: tuple[tuple[str, str], ...]
    sysctls: tuple[str, ...]

    @property
    def objects(self) -> int:
        """The number of routes, rules, chains and sysctls."""
        text = [text for _key, text in (*self.ip, *self.restore)]
        return sum(part.count("\n") for part in text) + len(self.sysctls)

    def run(self) -> None:
        """Run ``ip -batch``, ``iptables-restore`` and ``sysctl`` in this namespace."""
        for family, text in self.ip:
            _run(["ip", family, "-batch", "-"], text)
        for program, text in self.restore:
            _run([f"{program}-restore", "--noflush"], text)
        _run(["sysctl", "-q", "-w", *self.sysctls])


def batch_of(commands: Iterable[str]) -> Batch:
    """Return the commands of a result as a batch, without those that write files."""
    ip: dict[str, list[str]] = {}
    tables: dict[tuple[str, str], list[str]] = {}
    sysctls = []
    for line in commands:
        words = shlex.split(line)
        if words[0] == "ip":
            ip.setdefault(words[1], []).append(shlex.join(words[2:]))
        elif words[0] in PROGRAMS:  # iptables -w -t TABLE -A CHAIN ...
            made = f":{words[5]} - [0:0]" if words[4] == "-N" else " ".join(map(_quoted, words[4:]))
            tables.setdefault((words[0], words[3]), []).append(made)
        elif words[0] == "sysctl":
            sysctls.append(words[2])
    restore = dict.fromkeys(PROGRAMS, "")
    for (program, table), lines in tables.items():
        restore[program] += _text([f"*{table}", *lines, "COMMIT"])
    return Batch(tuple((family, _text(lines)) for family, lines in ip.items()), tuple(restore.items()), tuple(sysctls))


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _quoted(word: str) -> str:
    return json.dumps(word) if " " in word else word


def dump() -> None:
    """List everything that a run has to read with the system's tools."""
    for listing in ("-4 route show table all", "-6 route show table all", "-4 rule", "-6 rule", "address", "link"):
        _run(["ip", "-j", *listing.split()])
    for program in PROGRAMS:
        _run([f"{program}-save"])


def clear() -> None:
    """Remove all routes, rules, chains and sysctls of a batch."""
    for family in ("-4", "-6"):
        listed = json.loads(_run(["ip", family, "-j", "rule"]) or "[]")
        managed = [rule for rule in listed if 2000 <= rule["priority"] < 3000]
        _run(["ip", family, "-batch", "-"], _text(f"rule del priority {rule['priority']}" for rule in managed))
        _run(["ip", family, "route", "flush", "table", "all", "protocol", "77"])
    for program in PROGRAMS:
        _run([f"{program}-restore"], "*raw\nCOMMIT\n*mangle\nCOMMIT\n")
    for name in interfaces(len(list(Path("/proc/sys/net/ipv4/conf").glob("eth0.*")))):
        for sysctl in ("ipv4/conf/{}/rp_filter", "ipv4/conf/{}/src_valid_mark"):
            Path("/proc/sys/net", sysctl.format(name)).write_text("0\n")
        Path(f"/proc/sys/net/ipv6/conf/{name}/accept_ra").write_text("1\n")


def _run(command: list[str], stdin: str = "") -> str:
    return subprocess.run(command, input=stdin, text=True, check=True, stdout=subprocess.PIPE).stdout
