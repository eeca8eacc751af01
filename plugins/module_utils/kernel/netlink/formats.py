# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The formats of the rtnetlink messages that this collection reads and writes, from pyroute2's tables.

The tables also exist as a small file of JSON, so that neither the agent nor a node without pyroute2 needs the package.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

from ...errors import NodeError, Pyroute2Missing
from ...paths import FORMATS_FILE
from .codec import MessageFormat, format_of
from .pyroute2_loader import Pyroute2, find_pyroute2, load_message_classes

VERSION = 1  # of the file; raise it with the formats or the attributes that are added here


@dataclass(frozen=True)
class Formats:
    """One format for each kind of message, and for the inside of the nested attributes.

    :param from_file: whether they come from a file, because the node has no pyroute2 that is new enough.
    """

    route: MessageFormat
    nexthop: MessageFormat
    rule: MessageFormat
    address: MessageFormat
    link: MessageFormat
    link_info: MessageFormat
    vlan: MessageFormat
    macvlan: MessageFormat
    from_file: bool = False


NAMES = tuple(part.name for part in fields(Formats) if part.name != "from_file")


@lru_cache(maxsize=4)
def load_formats(found: Pyroute2) -> Formats:
    """Return the formats of one pyroute2, with the attributes that some versions lack.

    :raises NodeError: this pyroute2 cannot be loaded.
    """
    classes = load_message_classes(found)
    return Formats(
        route=MessageFormat(classes.route, {30: ("RTA_NH_ID", "uint32")}),
        nexthop=MessageFormat(classes.nexthop),
        rule=MessageFormat(classes.rule),
        address=MessageFormat(classes.address, {9: ("IFA_RT_PRIORITY", "uint32"), 11: ("IFA_PROTO", "uint8")}),
        link=MessageFormat(classes.link),
        link_info=MessageFormat(classes.link_info, prefix="IFLA_INFO_"),
        vlan=MessageFormat(classes.vlan, prefix="IFLA_VLAN_"),
        macvlan=MessageFormat(classes.macvlan, prefix="IFLA_MACVLAN_"),
    )


_ENDING = ".json"


@lru_cache(maxsize=4)  # the rollback needs them after the file of the run is gone
def find_formats(path: str) -> Formats:
    """Return the formats: of a file in ``path``, of pyroute2, or of the file that the collection keeps on the node.

    :param path: directories with pyroute2 and files (``*.json``) with formats, separated by colons.
    :raises Pyroute2Missing: the node has none of them.
    """
    names = path.split(os.pathsep)
    given = next((name for name in names if name.endswith(_ENDING) and Path(name).is_file()), "")
    if given:
        return read_formats(given)
    try:
        return load_formats(find_pyroute2(os.pathsep.join(name for name in names if not name.endswith(_ENDING))))
    except Pyroute2Missing:
        try:
            return read_formats(FORMATS_FILE)
        except NodeError:
            pass
        raise


@lru_cache(maxsize=4)
def read_formats(path: str) -> Formats:
    """Return the formats in a file.

    :raises NodeError: it is missing, damaged, or of another version.
    """
    try:
        return parse_formats(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NodeError(f"{path} cannot be used: {error}. Run the playbook apply again to rewrite it.") from error


def dump_formats(formats: Formats) -> str:
    """Return the text of the file."""
    tables = {name: getattr(formats, name).table for name in NAMES}
    return json.dumps({"version": VERSION, **tables}, indent=0) + "\n"


def parse_formats(text: str) -> Formats:
    """Return the formats in a text.

    :raises ValueError: it is damaged, or of another version.
    """
    content = json.loads(text)
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise ValueError(f"it is not of version {VERSION}")
    try:
        return Formats(**{name: format_of(content[name]) for name in NAMES}, from_file=True)
    except KeyError as error:
        raise ValueError(f"it lacks {error}") from error
