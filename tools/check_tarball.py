# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the collection's tarball, install it in a temporary folder and check what Ansible finds in it.

Users get the tarball, not this checkout. This check finds files that build_ignore leaves out and documentation that
ansible-doc cannot read. Warnings are failures.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
COLLECTION = "homeward.metallb_routing"
MAX_BYTES = 600_000
#: The target of a link in Markdown, without its anchor; a link within the page has none.
LINK = re.compile(r"\]\(([^)#\s]+)")
#: All names allowed at the top level of the tarball.
SHIPPED = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "FILES.json",
    "LICENSE",
    "MANIFEST.json",
    "README.md",
    "SECURITY.md",
    "changelogs",
    "docs",
    "extensions",
    "meta",
    "playbooks",
    "plugins",
    "roles",
}


class CheckError(Exception):
    """The tarball is wrong; the text says what and why."""


def run(arguments: list[str], collections: Path | None = None) -> str:
    """Run an Ansible command that finds collections only in this folder; return its standard output.

    :raises CheckError: the command failed or warned.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment["ANSIBLE_NOCOLOR"] = "1"
    if collections is not None:
        environment["ANSIBLE_COLLECTIONS_PATH"] = str(collections)
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    # ansible-core 2.21 warns about its own bundled collection.
    warnings = [line for line in output.splitlines() if "WARNING]" in line and "/ansible/_internal/" not in line]
    if done.returncode or warnings:
        raise CheckError(f"{' '.join(arguments)} ended with {done.returncode}:\n{output}")
    return done.stdout


def build(folder: Path) -> Path:
    """Build the tarball in this folder and check its content."""
    run(["ansible-galaxy", "collection", "build", "--force", "--output-path", str(folder)])
    (tarball,) = folder.glob("*.tar.gz")
    with tarfile.open(tarball) as archive:
        names = [name for name in archive.getnames() if name != "."]
    unexpected = {name.split("/")[0] for name in names} - SHIPPED
    if unexpected:
        raise CheckError(f"galaxy.yml: build_ignore lacks: {', '.join(sorted(unexpected))}")
    broken = broken_links(tarball)
    if broken:
        raise CheckError(f"galaxy.yml: build_ignore excludes files that shipped pages link to: {', '.join(broken)}")
    size = tarball.stat().st_size
    print(f"tarball: {len(names)} entries, {size} bytes")
    if size > MAX_BYTES:
        raise CheckError(f"the tarball has {size} bytes, more than {MAX_BYTES}: which files does no user need?")
    return tarball


def broken_links(tarball: Path) -> list[str]:
    """Return the links from the tarball's Markdown pages to files that are not in it, as "page -> file"."""
    with tarfile.open(tarball) as archive:
        held = {posixpath.normpath(name) for name in archive.getnames()}
        pages = {name: archive.extractfile(name) for name in sorted(held) if name.endswith(".md")}
        texts = {name: page.read().decode("utf-8") for name, page in pages.items() if page is not None}
    return [
        f"{name} -> {link}"
        for name, text in texts.items()
        for link in LINK.findall(text)
        if "://" not in link and posixpath.normpath(posixpath.join(posixpath.dirname(name), link)) not in held
    ]


def expected() -> dict[str, list[str]]:
    """Return the names of the modules, roles and playbooks that the tarball must provide."""
    runtime = yaml.safe_load((ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))
    names = {
        "module": sorted(runtime["action_groups"]["all"]),
        "role": sorted(path.name for path in ROOT.glob("roles/*") if path.is_dir()),
        "playbook": sorted(path.stem for path in ROOT.glob("playbooks/*.yml")),
    }
    missing = [kind for kind, found in names.items() if not found]
    if missing:
        raise CheckError(f"the checkout has no {' and no '.join(missing)}")
    return names


def check_documentation(kind: str, names: list[str], collections: Path) -> None:
    """Check that ansible-doc lists and shows each of these modules or roles."""
    listed = json.loads(run(["ansible-doc", "--type", kind, "--list", "--json", COLLECTION], collections))
    for name in names:
        if f"{COLLECTION}.{name}" not in listed:
            raise CheckError(f"ansible-doc does not list the {kind} {COLLECTION}.{name}, only {', '.join(listed)}")
    for name in names:
        text = run(["ansible-doc", "--type", kind, f"{COLLECTION}.{name}"], collections)
        if name not in text:
            raise CheckError(f"ansible-doc prints nothing about the {kind} {COLLECTION}.{name}")
    print(f"{kind}s: {', '.join(names)}")


def check_playbooks(names: list[str], collections: Path) -> None:
    """Check the syntax of each playbook, by its fully qualified name."""
    for name in names:
        run(["ansible-playbook", "--syntax-check", "--inventory", "localhost,", f"{COLLECTION}.{name}"], collections)
    print(f"playbooks: {', '.join(names)}")


def main() -> int:
    """Build, install and check; return the exit status."""
    try:
        with tempfile.TemporaryDirectory(prefix="homeward-tarball-") as scratch:
            tarball = build(Path(scratch))
            collections = Path(scratch) / "collections"
            install = ["ansible-galaxy", "collection", "install", "--offline", "--force"]
            run([*install, "--collections-path", str(collections), str(tarball)], collections)
            names = expected()
            check_documentation("module", names["module"], collections)
            check_documentation("role", names["role"], collections)
            check_playbooks(names["playbook"], collections)
    except CheckError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
