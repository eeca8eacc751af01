"""The network state of a host as comparable text, read by independent tools.

Counters, timestamps and link states are left out. So are iptables and nft base chains that are empty and accept
everything, and tables with no others, because they are equivalent to missing ones.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Set
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .waiting import wait_until

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
_LOCAL = "2"  # RTN_LOCAL, as a number because of -N
_SEPARATOR = "=== homeward snapshot ==="
_SYSCTL_ROOTS = ("net/ipv4/conf", "net/ipv6/conf")


class Snapshot(dict[str, str]):
    """Named texts: links, addresses, routes4, rules4, ..., iptables-nft-save, ..., nft, sysctls."""

    def differences(self, after: Mapping[str, str], *parts: str) -> list[str]:
        """Return the lines by which some parts, or all, differ: `rules4: -...` is only before, `rules4: +...` only after."""
        found = []
        for part in parts or self:
            old, new = self[part], after.get(part, "")
            if old != new:
                lines = difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm="")
                found += [f"{part}: {line}" for line in islice(lines, 2, None) if not line.startswith("@@")]
        return found

    def difference(self, after: Mapping[str, str], *parts: str) -> str:
        """Return the differences as text; empty if there are none."""
        return "\n".join(self.differences(after, *parts))

    def replaced(self, **parts: str) -> Snapshot:
        """Return the snapshot with other texts for these parts."""
        return Snapshot({**self, **parts})


def assert_same(before: Snapshot, after: Mapping[str, str], *parts: str) -> None:
    """Assert that two snapshots are byte-identical, in some parts or in all, and show where they are not."""
    found = before.difference(after, *parts)
    assert not found, found


def take(host: Host) -> Snapshot:
    """Read all parts, with one process for all commands, once the kernel has finished what was begun before.

    It reports that a link runs, and makes link-local addresses, a while after the link is up, and the local route of an IPv6
    address a while after the address.
    """
    texts = wait_until(lambda: _read_settled(host), f"{host.name}: links run and addresses are no longer tentative")
    cleaners: list[Callable[[str], str]] = [canonical_json for _ in _IP_COMMANDS]
    cleaners += [*(clean_save for _ in _SAVE_COMMANDS), clean_ruleset]
    names = [*_IP_COMMANDS, *_SAVE_COMMANDS, "nft"]
    found = {name: clean(text) for name, text, clean in zip(names, texts, cleaners, strict=True)}
    return Snapshot({**found, "sysctls": host.call(_read_sysctls)})


def _read_settled(host: Host) -> list[str]:
    """Return the output of all commands; nothing if the kernel has not finished."""
    script = f"\necho '{_SEPARATOR}'\n".join([*_IP_COMMANDS.values(), *_SAVE_COMMANDS, _NFT_COMMAND])
    texts = host.run(script).stdout.split(f"{_SEPARATOR}\n")
    links = [link for link in json.loads(texts[1] or "[]") if link]
    local = {(route["dst"], route["dev"]) for route in json.loads(texts[3] or "[]") if route.get("type") == _LOCAL}
    return [] if any(_is_unsettled(link, local) for link in links) else texts


def _is_unsettled(link: dict[str, Any], local: Set[tuple[str, str]]) -> bool:
    """Whether the link or an address on it is not in use yet.

    :param local: address and link of each local IPv6 route.
    """
    has_carrier = {"UP", "LOWER_UP"} <= set(link["flags"])
    if has_carrier and link["operstate"] == "DOWN":
        return True
    addresses = [one for one in link["addr_info"] if not one.get("dadfailed")]
    without_route = (
        one["family"] == "inet6" and (one["local"], link["ifname"]) not in local for one in addresses if has_carrier
    )
    return any(one.get("tentative") for one in addresses) or any(without_route)


def canonical_json(text: str) -> str:
    """Return one object per line, with keys and lines sorted: the order of the kernel's dump is not state."""
    objects = [item for item in json.loads(text or "[]") if item]
    return _lines(item | {"operstate": None} if "operstate" in item else item for item in objects)


def _lines(objects: Iterable[object]) -> str:
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


_EMPTY_CHAIN = re.compile(r"(?m)^\tchain \S+ \{\n\t\ttype [^\n]* policy accept;\n\t\}\n")
_EMPTY_TABLE = re.compile(r"(?m)^table [^\n]* \{\n+\}\n")
_IPTABLES_TABLE = re.compile(r"table ip6? (raw|mangle|nat|filter|security) ")
_MADE_FROM_MAC = re.compile(r"fe80::[0-9a-f:]*ff:fe[0-9a-f:]+")


def clean_ruleset(text: str) -> str:
    """Return the nft ruleset without counters, accepting empty base chains, and empty tables."""
    text = re.sub(r"counter packets \d+ bytes \d+", "counter", text)
    text = re.sub(r"\n\n+", "\n", _EMPTY_CHAIN.sub("", text))
    return "".join(sorted(_tables(_EMPTY_TABLE.sub("", text))))


def _tables(ruleset: str) -> list[str]:
    return [table for table in re.split(r"(?m)^(?=table )", ruleset) if table.startswith("table ")]


def unordered(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot without the order in which chains and addresses were added; the rules of a chain keep theirs.

    Of nft's ruleset only native tables are left: the others are in the listings of iptables.
    """
    saves = {part: _by_chain(text) for part, text in snapshot.items() if part.endswith("-save")}
    links = [json.loads(line) for line in snapshot["addresses"].splitlines()]
    addresses = _lines({**link, "addr_info": sorted(link["addr_info"], key=str)} for link in links)
    native = [table for table in _tables(snapshot["nft"]) if not _IPTABLES_TABLE.match(table)]
    return snapshot.replaced(**saves, addresses=addresses, nft="".join(native))


def _by_chain(saved: str) -> str:
    """Return the lines with their table in front, sorted by chain."""
    lines: list[str] = []
    for table in re.split(r"(?m)^(?=\*)", saved):
        name, *entries = table.splitlines() or [""]
        entries.sort(key=lambda line: " ".join(line.split(" ", 2)[:2]) if line.startswith("-A ") else line)
        lines += [f"{name[1:]} {entry}" for entry in entries]
    return "\n".join(lines)


def without_link_numbers(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot without what differs if a link is created again: its number, and the address made from its MAC."""
    found = {part: _MADE_FROM_MAC.sub("fe80::made-from-mac", text) for part, text in snapshot.items()}
    for part in ("routes4", "routes6"):
        found[part] = "\n".join(sorted(found[part].splitlines()))
    for part in ("links", "addresses"):
        links = map(json.loads, found[part].splitlines())
        numbers = ("ifindex", "link_index")
        found[part] = _lines({key: value for key, value in link.items() if key not in numbers} for link in links)
    return Snapshot(found)


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
