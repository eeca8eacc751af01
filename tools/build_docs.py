# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the HTML reference of all modules and roles in FOLDER/html, without network access: ``build_docs.py FOLDER``.

Ansible finds the collection through ANSIBLE_COLLECTIONS_PATH, which ``make docs`` sets. Warnings are failures.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zlib
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "docs"
COLLECTION = "homeward.metallb_routing"

#: Labels of Ansible's documentation that antsibull-docs' pages refer to: label -> (page, title).
LABELS = {
    "action_plugins": ("plugins/action.html", "Action plugins"),
    "common_return_values": ("reference_appendices/common_return_values.html", "Return Values"),
    "ansible_configuration_settings": ("reference_appendices/config.html", "Ansible Configuration Settings"),
    "ansible_collections.ansible.builtin.inventory_hostnames_lookup": (
        "collections/ansible/builtin/inventory_hostnames_lookup.html",
        "ansible.builtin.inventory_hostnames lookup",
    ),
}


def write_inventory(path: Path) -> None:
    """Write LABELS as a Sphinx inventory, version 2."""
    head = "# Sphinx inventory version 2\n# Project: Ansible\n# Version: latest\n"
    head += "# The remainder of this file is compressed using zlib.\n"
    lines = [f"{label} std:label -1 {page}#{label} {title}\n" for label, (page, title) in sorted(LABELS.items())]
    path.write_bytes(head.encode() + zlib.compress("".join(lines).encode()))


def main() -> int:
    """Generate the sources and run Sphinx on them; return the exit status."""
    folder = Path(sys.argv[1]).resolve()
    pages = folder / "source"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SOURCES, pages)
    write_inventory(pages / "ansible.inv")
    (pages / "collection").mkdir(mode=0o700)
    generate = ["antsibull-docs", "collection", "--use-current", "--fail-on-error", "--squash-hierarchy"]
    subprocess.run([*generate, "--dest-dir", str(pages / "collection"), COLLECTION], check=True)
    build = ["sphinx-build", "--builder", "html", "--fail-on-warning", "--keep-going", "--quiet"]
    done = subprocess.run([*build, str(pages), str(folder / "html")], check=False)
    if done.returncode == 0:
        print(f"docs: {folder / 'html/index.html'}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
