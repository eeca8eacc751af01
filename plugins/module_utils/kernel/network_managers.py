# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has running network managers read their files, and asks them which links they manage.

systemd-networkd writes the state of each link into a file, which costs nothing to read. The others are asked with a program,
only after a change.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from ..errors import NodeError
from ..paths import (
    DHCPCD_CONF,
    IFUPDOWN_CONF,
    IFUPDOWN_CONFS,
    NETWORKD_LINKS,
    NETWORKD_STATES,
)
from ..state.managers import DHCPCD, IFUPDOWN, NETWORK_MANAGER, NETWORKD, RELOADS
from . import systemd

ANSWER_TIMEOUT = 30  # seconds; D-Bus gives up after 25
SETTLE_TIMEOUT = 10.0  # seconds that systemd-networkd has to decide about a new link
NETWORK_MANAGER_SETTLES = 2.0  # seconds after which NetworkManager has decided; it does not tell when
_POLL = 0.05
_UNDECIDED = frozenset({"pending", "initialized"})


@dataclass(frozen=True)
class Manager:
    """Who manages a link.

    :param reason: how it is known, as a clause for messages.
    :param remedy: what excludes the link, as a sentence.
    """

    reason: str
    remedy: str


@dataclass(frozen=True)
class Answers:
    """What the network managers say about links.

    :param managed: by link.
    :param problems: managers that gave no answer, each with the reason.
    """

    managed: Mapping[str, Manager] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def tell(paths: Iterable[str]) -> None:
    """Have the running managers whose files these are read them again.

    Whether it succeeds is not important by itself: :func:`ask` finds out about the links.
    """
    written = set(paths)
    concerned = [unit for unit, reload in RELOADS.items() if reload.files & written]
    if concerned and systemd.in_namespace_of_systemd():
        for unit in systemd.active().intersection(concerned):
            with suppress(NodeError):
                _run(*RELOADS[unit].command)


def ask(links: Collection[str], services: Collection[str]) -> Answers:
    """Ask the running managers whether they manage these links, which have just been created.

    :param services: active units.
    """
    managed: dict[str, Manager] = {}
    problems = []
    if links and systemd.in_namespace_of_systemd():
        for unit, asked in _QUESTIONS.items():
            if unit in services:
                try:
                    managed.update(asked(links))
                except NodeError as error:
                    problems.append(f"{unit} cannot be asked whether it manages {', '.join(sorted(links))}: {error}")
    return Answers(managed, tuple(problems))


def managed_by_networkd(links: Iterable[str], services: Collection[str]) -> Mapping[str, Manager]:
    """Return which existing links systemd-networkd manages, without starting a program."""
    if NETWORKD not in services or not systemd.in_namespace_of_systemd():
        return {}
    found = {name: _networkd_state(name) for name in links}
    return {name: _by_networkd(name, state) for name, state in found.items() if _is_managed(state)}


# systemd-networkd


def _ask_networkd(links: Iterable[str]) -> dict[str, Manager]:
    give_up = time.monotonic() + SETTLE_TIMEOUT
    managed: dict[str, Manager] = {}
    for name in links:
        while (state := _networkd_state(name)).get("ADMIN_STATE", "pending") in _UNDECIDED:
            if time.monotonic() >= give_up:
                raise NodeError(f"it has not decided about {name} within {SETTLE_TIMEOUT:.0f} s")
            time.sleep(_POLL)
        if _is_managed(state):
            managed[name] = _by_networkd(name, state)
    return managed


def _networkd_state(name: str) -> Mapping[str, str]:
    """Return the variables in the state file of a link, see sd-network(3); none if there is no file."""
    try:
        index = socket.if_nametoindex(name)
        text = Path(NETWORKD_STATES, str(index)).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {key: value for key, _separator, value in pairs}


def _is_managed(state: Mapping[str, str]) -> bool:
    return state.get("ADMIN_STATE", "pending") not in {*_UNDECIDED, "unmanaged", "linger"}


def _by_networkd(name: str, state: Mapping[str, str]) -> Manager:
    file = state.get("NETWORK_FILE", "a .network file")
    reason = f"systemd-networkd configures it as {file} says (state {state['ADMIN_STATE']})"
    own = Path(NETWORKD_LINKS).name
    if Path(file).name > own:
        return Manager(
            reason, f"It has not read {own}, which excludes the link: networkctl reload needs D-Bus (package dbus)."
        )
    return Manager(
        reason,
        f"Add Name=!{name} to the section [Match] of that file, or give it a name that comes after {own}, and run networkctl"
        " reload.",
    )


# NetworkManager


def _ask_network_manager(links: Iterable[str]) -> dict[str, Manager]:
    asked = frozenset(links)
    give_up = time.monotonic() + NETWORK_MANAGER_SETTLES
    while True:
        states = _network_manager_states()
        managed = {
            name: Manager(
                f"NetworkManager manages it (state {state})",
                f"Add interface-name:{name} to unmanaged-devices in the section [keyfile] of NetworkManager.conf, and run nmcli"
                " general reload.",
            )
            for name, state in states.items()
            if name in asked and state != "unmanaged"
        }
        if managed or time.monotonic() >= give_up:
            return managed
        time.sleep(_POLL)


def _network_manager_states() -> Mapping[str, str]:
    """Return the state of each device, see nmcli(1). Names of managed links have none of the characters that it escapes."""
    lines = _run("nmcli", "--terse", "--fields", "DEVICE,STATE", "device", "status").splitlines()
    return {name: state for name, _separator, state in (line.partition(":") for line in lines)}


# dhcpcd


def _ask_dhcpcd(links: Iterable[str]) -> dict[str, Manager]:
    """Return the links that dhcpcd.conf(5) does not exclude: dhcpcd itself has no reliable answer before it has a lease."""
    try:
        text = Path(DHCPCD_CONF).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        text = ""
    except OSError as error:
        raise NodeError(f"{DHCPCD_CONF} cannot be read: {error.strerror}") from error
    return {
        name: Manager(
            f"dhcpcd configures every link that no denyinterfaces in {DHCPCD_CONF} matches",
            f'Add "denyinterfaces {name}" there, before the first line that starts with interface, and run dhcpcd --rebind.',
        )
        for name in links
        if not _is_denied(name, text)
    }


def _is_denied(name: str, text: str) -> bool:
    lists: dict[str, list[str]] = {"denyinterfaces": [], "allowinterfaces": []}
    for words in map(str.split, text.splitlines()):
        if words and words[0] in ("interface", "ssid", "profile"):
            break  # what follows counts for that alone
        if words and words[0] in lists:
            lists[words[0]] += words[1:]
    denied, allowed = ([fnmatchcase(name, pattern) for pattern in patterns] for patterns in lists.values())
    return any(denied) or (bool(allowed) and not any(allowed))


_QUESTIONS: Mapping[str, Callable[[Collection[str]], dict[str, Manager]]] = {
    NETWORKD: _ask_networkd,
    NETWORK_MANAGER: _ask_network_manager,
    DHCPCD: _ask_dhcpcd,
}


# ifupdown


def made_by_ifupdown(links: Iterable[str], services: Collection[str]) -> Mapping[str, str]:
    """Return the links that ifupdown creates or configures at boot, with the file that says so, see interfaces(5)."""
    if IFUPDOWN not in services:
        return {}
    asked = frozenset(links)
    found: dict[str, str] = {}
    for file in (Path(IFUPDOWN_CONF), *sorted(Path(IFUPDOWN_CONFS).glob("*"))):
        with suppress(OSError):
            for words in map(str.split, file.read_text(encoding="utf-8", errors="replace").splitlines()):
                if len(words) > 1 and words[0] == "iface" and words[1] in asked:
                    found.setdefault(words[1], str(file))
    return found


def _run(program: str, *words: str) -> str:
    """Run a program of a manager and return its output.

    :raises NodeError: it failed, or gave no answer.
    """
    command = [program, *words]
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_TIMEOUT,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        raise NodeError(f'"{" ".join(command)}" did not end within {ANSWER_TIMEOUT} s') from None
    except OSError as error:
        raise NodeError(f"{program} cannot be run: {error.strerror}") from error
    if done.returncode:
        raise NodeError(f'"{" ".join(command)}" failed: {done.stderr.strip() or done.stdout.strip()}')
    return done.stdout
