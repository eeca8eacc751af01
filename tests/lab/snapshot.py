"""The network state of a host as comparable text, read by independent tools.

Counters and timestamps are left out. So are iptables and nft tables that only hold empty, accepting base chains, because
they are equivalent to missing tables.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .host import Host

_IP_COMMANDS = {
    "links": "ip -json -details link show",
    "addresses": "ip -json address show",
    "routes4": "ip -json -4 -N route show table all",
    "routes6": "ip -json -6 -N route show table all",
    "rules4": "ip -json -4 -N rule show",
    "rules6": "ip -json -6 -N rule show",
}
_SAVE_COMMANDS = ("iptables-nft-save", "ip6tables-nft-save", "iptables-legacy-save", "ip6tables-legacy-save")
_NFT_COMMAND = "nft -s list ruleset"
_SEPARATOR = "=== homeward snapshot ==="
_SYSCTL_ROOTS = ("net/ipv4/conf", "net/ipv6/conf")


@dataclass(frozen=True)
class Snapshot:
    """Named texts: links, addresses, routes4, rules4, ..., iptables-nft-save, ..., nft, sysctls."""

    parts: tuple[tuple[str, str], ...]

    def __getitem__(self, part: str) -> str:
        return dict(self.parts)[part]

    def difference(self, after: Snapshot) -> str:
        """Return a unified diff to a later snapshot; empty if they are equal."""
        lines: list[str] = []
        later = dict(after.parts)
        for part, text in self.parts:
            new = later.get(part, "")
            lines += difflib.unified_diff(
                text.splitlines(), new.splitlines(), f"{part} before", f"{part} after", "", "", 1
            )
        return "\n".join(lines)


def take(host: Host) -> Snapshot:
    """Read all parts, with one process for all commands."""
    commands = [*_IP_COMMANDS.values(), *_SAVE_COMMANDS, _NFT_COMMAND]
    script = f"\necho '{_SEPARATOR}'\n".join(commands)
    texts = host.run(script).stdout.split(f"{_SEPARATOR}\n")
    parts: list[tuple[str, str]] = []
    cleaners: list[Callable[[str], str]] = [canonical_json for _ in _IP_COMMANDS]
    cleaners += [*(clean_save for _ in _SAVE_COMMANDS), clean_ruleset]
    for name, text, clean in zip([*_IP_COMMANDS, *_SAVE_COMMANDS, "nft"], texts, cleaners, strict=True):
        parts.append((name, clean(text)))
    parts.append(("sysctls", host.call(_read_sysctls)))
    return Snapshot(tuple(parts))


def canonical_json(text: str) -> str:
    """Return one object per line, with keys and lines sorted: the order of the kernel's dump is not state."""
    objects = [item for item in json.loads(text or "[]") if item]
    return "\n".join(sorted(json.dumps(item, sort_keys=True) for item in objects))


def clean_save(text: str) -> str:
    """Return the output of iptables-save without comments, counters and empty tables."""
    tables: list[str] = []
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        current.append(re.sub(r" \[\d+:\d+\]$", "", line))
        if line == "COMMIT":
            if not all(_is_empty_line(entry) for entry in current):
                tables.append("\n".join(current))
            current = []
    return "\n".join(sorted(tables))


def _is_empty_line(line: str) -> bool:
    """Whether a line begins or ends a table, or is a built-in chain that accepts."""
    return line[0] in "*C" or (line[0] == ":" and line.endswith(" ACCEPT"))


def clean_ruleset(text: str) -> str:
    """Return the nft ruleset without counters and without tables that only hold accepting, empty base chains."""
    text = re.sub(r"counter packets \d+ bytes \d+", "counter", text)
    tables = [table for table in re.split(r"(?m)^(?=table )", text) if table.startswith("table ")]
    return "".join(sorted(table for table in tables if not _is_empty_table(table)))


_EMPTY_TABLE = re.compile(r"table [^\n]*\{\n(\tchain \S+ \{\n\t\ttype [^\n]* policy accept;\n\t\}\n\n?)*\}\s*")


def _is_empty_table(table: str) -> bool:
    return _EMPTY_TABLE.fullmatch(table) is not None


def _read_sysctls() -> str:
    lines = []
    for root in _SYSCTL_ROOTS:
        for path in sorted(Path("/proc/sys", root).glob("*/*")):
            try:
                lines.append(f"{path.relative_to('/proc/sys')} = {path.read_text().strip()}")
            except OSError:
                continue  # stable_secret cannot be read until it is set
    for key in ("net/ipv4/ip_forward", "net/ipv4/vs/conntrack", "net/netfilter/nf_conntrack_tcp_loose"):
        path = Path("/proc/sys", key)
        if path.exists():
            lines.append(f"{key} = {path.read_text().strip()}")
    return "\n".join(lines)
