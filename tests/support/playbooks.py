# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the collection's playbooks on the nodes of a lab, as a user would from a shell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.lab import inventory
from tests.lab.base import Site
from tests.support.pools import CLUSTER, EXTERNAL

ROOT = Path(__file__).resolve().parents[2]
#: The folder of ansible-playbook; tools/matrix.py sets the variable for other versions.
PROGRAMS = os.environ.get("HOMEWARD_ANSIBLE", str(Path(sys.executable).parent))
RECAP = re.compile(r"^(\S+)\s+: (ok=.*)$", re.MULTILINE)


def variables(**pool: Any) -> dict[str, Any]:
    """Return the variables that declare the lab's pool, with these changes."""
    return {"metallb_routing_pools": [{**EXTERNAL, **pool}], "metallb_routing_cluster": dict(CLUSTER)}


@dataclass(frozen=True)
class Played:
    """One run of ansible-playbook.

    :param counts: per host what the recap counts: ``{"node1": {"ok": 2, "changed": 1, ...}}``.
    """

    code: int
    text: str
    counts: dict[str, dict[str, int]]

    def changed(self) -> int:
        """Return the number of changed tasks on all hosts together."""
        return sum(counts["changed"] for counts in self.counts.values())


def environment(connection_plugins: Path | None = None) -> dict[str, str]:
    """Return the environment in which ansible finds this checkout as a collection, and the lab's connection plugin."""
    folders = [inventory.PLUGIN_FOLDER, *([connection_plugins] if connection_plugins else [])]
    collections = ROOT / ".build" / "collections"
    link = collections / "ansible_collections" / "homeward" / "metallb_routing"
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(ROOT, link.parent))
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_CONNECTION_PLUGINS": os.pathsep.join(map(str, folders)),
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
    }


def play(
    site: Site | None,
    playbook: str,
    values: Mapping[str, Any],
    *options: str,
    echo: bool = False,
    connection_plugins: Path | None = None,
    hosts: str = "",
    settings: Mapping[str, str] | None = None,
    inventory_path: Path | None = None,
) -> Played:
    """Run a playbook of the collection (or a file) on the lab's nodes.

    :param site: the lab; it may be None if hosts are given.
    :param values: extra variables.
    :param options: further words of the command line, ``--check`` say.
    :param echo: print what ansible prints, while it does.
    :param connection_plugins: a folder of more of them.
    :param hosts: the inventory, INI or JSON, in place of the lab's.
    :param settings: environment variables that configure ansible.
    :param inventory_path: the file of the inventory, in place of one with ``hosts``.
    """
    name = playbook if "/" in playbook else f"homeward.metallb_routing.{playbook}"
    with TemporaryDirectory(prefix="homeward-") as folder:
        listed = Path(folder) / ("inventory.yml" if hosts.startswith("{") or not hosts else "inventory.ini")
        if inventory_path is None:
            listed.write_text(hosts or inventory.text(_required(site)))
        declared = Path(folder) / "variables.json"
        declared.write_text(json.dumps(values))
        command = ["ansible-playbook", "-i", str(inventory_path or listed), "-e", f"@{declared}", name, *options]
        with subprocess.Popen(
            command,
            env={**environment(connection_plugins), **(settings or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            lines = []
            assert process.stdout is not None, "it was asked for"
            for line in process.stdout:
                lines.append(line)
                if echo:
                    print(line, end="", flush=True)
    text = "".join(lines)
    return Played(process.returncode, text, {host: _counts(words) for host, words in RECAP.findall(text)})


def _required(site: Site | None) -> Site:
    assert site is not None, "without a lab, hosts must be given"
    return site


def _counts(words: str) -> dict[str, int]:
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", words)}
