# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Markdown pages quote and link to exists."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import ROOT

LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def pages(root: Path) -> list[Path]:
    """Return the Markdown pages of the repository, without the generated ones."""
    folders = ("docs", "roles", "tests", "molecule", "bench")
    found = [*root.glob("*.md"), *(page for folder in folders for page in (root / folder).rglob("*.md"))]
    return sorted(page for page in found if page.name != "CHANGELOG.md")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub derives them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(root: Path) -> list[str]:
    """Find links to files or headings that do not exist, as "page -> target"."""
    found = []
    for page in pages(root):
        for file, anchor in LINK.findall(page.read_text(encoding="utf-8")):
            target = (page.parent / file).resolve() if file else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                found.append(f"{page.relative_to(root)} -> {file}#{anchor}")
    return found


def test_links_lead_to_files_and_headings() -> None:
    assert not broken_links(ROOT)


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("[a](#b) [c](d.md) [e](README.md#f)\n\n# F\n", encoding="utf-8")
    assert broken_links(tmp_path) == ["README.md -> #b", "README.md -> d.md#"]
