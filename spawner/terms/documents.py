"""The texts of an installation, their version, and their parts as a page shows them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from spawner.catalog import Catalog
from spawner.settings import Settings
from spawner.terms.default import default_privacy, default_terms
from spawner.terms_settings import TermsText

HEADING, ITEM = "## ", "- "


@dataclass(frozen=True)
class Block:
    """A part of a text: a heading or a paragraph with one line, or a list with its items."""

    kind: Literal["heading", "paragraph", "list"]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Documents:
    """Both texts. `must_accept`: whether users are asked."""

    terms: TermsText
    privacy: TermsText
    version: str
    must_accept: bool

    def as_json(self) -> dict[str, dict[str, str]]:
        """For the ledger: what was accepted under this version."""
        return {"terms": self.terms.model_dump(), "privacy": self.privacy.model_dump()}


def documents_of(settings: Settings, catalog: Catalog) -> Documents:
    """The operator's texts, or the default ones."""
    own = settings.terms
    terms = own.terms or default_terms(settings, catalog)
    privacy = own.privacy or default_privacy(settings, catalog)
    accept = settings.login.has_provider if own.accept is None else own.accept
    return Documents(terms, privacy, own.version or hash_of(terms, privacy), accept)


def hash_of(terms: TermsText, privacy: TermsText) -> str:
    """12 hexadecimal digits that change with each text."""
    written = json.dumps([terms.model_dump(), privacy.model_dump()], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(written.encode()).hexdigest()[:12]


def blocks(text: str) -> list[Block]:
    """The parts of a text. Nothing in it is markup of HTML."""
    return [block for part in text.replace("\r\n", "\n").split("\n\n") for block in _of_part(part.strip("\n"))]


def _of_part(part: str) -> Iterator[Block]:
    items: list[str] = []
    words: list[str] = []
    for line in [*part.split("\n"), ""]:
        is_item, is_heading = line.startswith(ITEM), line.startswith(HEADING)
        if words and (is_item or is_heading or not line.strip()):
            yield Block("paragraph", (" ".join(words),))
            words = []
        if items and not is_item:
            yield Block("list", tuple(items))
            items = []
        if is_item:
            items.append(line.removeprefix(ITEM).strip())
        elif is_heading:
            yield Block("heading", (line.removeprefix(HEADING).strip(),))
        elif line.strip():
            words.append(line.strip())
