# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages link to and the messages that the documentation quotes exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

#: Strings with at most this many letters between their values match too much, for example "… of … (…)".
MOST_WILDCARD_LETTERS = 4
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


def string_of(node: ast.AST) -> str:
    """Return a string or f-string of the source, "…" in the place of each value; "" for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(string_of(part) or "…" for part in node.values)
    return ""


@lru_cache(maxsize=1)
def strings_of_plugins() -> frozenset[str]:
    """Return every string in the source of module_utils and plugin_utils except docstrings."""
    found = set()
    for path in (
        path for folder in ("module_utils", "plugin_utils") for path in (ROOT / "plugins" / folder).rglob("*.py")
    ):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        found |= {string_of(node) for node in nodes if id(node) not in docstrings}
    return frozenset(found - {""})


def quoted_messages() -> Iterator[str]:
    """Yield the quoted parts of messages: what is in backticks in the first column of the tables of messages."""
    page = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    for line in page[page.index("## Error messages") :].splitlines():
        if line.startswith("| `"):
            yield from re.findall(r"`([^`]+)`", line.split(" | ")[0])


@pytest.mark.parametrize("quoted", tuple(quoted_messages()))
def test_a_quoted_message_is_in_the_code(quoted: str) -> None:
    assert any(quoted in string for string in strings_of_plugins()), "no message contains this; … stands for a value"


def sample_messages() -> Iterator[str]:
    """Yield the messages in the samples of the modules' return values."""
    for path in sorted((ROOT / "plugins/modules").glob("*.py")):
        returned = re.search(r'^RETURN = r"""\n(.*?)"""', path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        assert returned, path
        yield from (error["message"] for error in yaml.safe_load(returned[1]).get("errors", {}).get("sample", ()))


@pytest.mark.parametrize("message", tuple(sample_messages()))
def test_a_sample_message_is_made_of_strings_of_the_code(message: str) -> None:
    """Without its path, nothing of the message is left when the strings of the code are taken out of it."""
    rest = message.partition(": ")[2]
    for string in sorted(strings_of_plugins(), key=len, reverse=True):
        if len(re.findall(r"[a-z]", string)) > MOST_WILDCARD_LETTERS:
            rest = re.sub(re.escape(string).replace("…", ".+?"), "", rest, count=1)
    assert not rest.strip(" .")
