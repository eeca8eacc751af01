"""Ansible inventory of a running lab's nodes, for the `netns` connection plugin."""

from __future__ import annotations

import json
import os
from pathlib import Path

from .base import Site

#: Of the nodes; tools/matrix.py sets the variable for other versions.
DEFAULT_PYTHON = os.environ.get("HOMEWARD_NODE_PYTHON", "/usr/bin/python3")
PLUGIN_FOLDER = Path(__file__).resolve().parent / "connection_plugins"


def text(site: Site, python: str = DEFAULT_PYTHON) -> str:
    """Return the inventory as JSON, which is valid YAML: the nodes, in group `nodes`.

    Ansible needs ANSIBLE_CONNECTION_PLUGINS=PLUGIN_FOLDER.
    """
    hosts = {
        node: {
            "ansible_host": address,
            "ip6": f"fd00:192:168:1::{address.rpartition('.')[2]}",
            "ansible_connection": "netns",
            "ansible_netns_holder": str(site.holder_file(node)),
            "ansible_python_interpreter": python,
        }
        for node, address in site.node_addresses.items()
    }
    return json.dumps({"nodes": {"hosts": hosts}}, indent=2) + "\n"


def write(site: Site, path: Path, python: str = DEFAULT_PYTHON) -> Path:
    """Write the inventory to a path, which should end in .yml, and return the path."""
    path.write_text(text(site, python))
    return path
