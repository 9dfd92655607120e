"""Links between documents lead to files and titles that exist."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.stack import PROJECT

PAGES = [
    page
    for pattern in ("*.md", "docs/**/*.md", "images/**/README.md", "tests/*/README.md")
    for page in sorted(PROJECT.glob(pattern))
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


@cache
def anchors(page: Path) -> set[str]:
    """What the titles of a page are called in an address, by GitHub's rule."""
    found: list[str] = []
    for title in re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE):
        words = re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", title).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return set(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_link_leads_to_a_file_and_to_a_title(page: Path) -> None:
    for address in LINK.findall(CODE.sub("", page.read_text())):
        path, _, anchor = address.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), address
        assert not anchor or target.suffix != ".md" or anchor in anchors(target), address
