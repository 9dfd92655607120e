"""Whether a user may go on without accepting the terms first."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from spawner.desk.context import Desk
from spawner.ledger.people import terms

PAGE = "terms/accept"
CACHE_ENTRIES = 100_000
LOCAL_PATH = re.compile(r"/(?!/)[!-\[\]-~]*")
"""A path of this host: printable ASCII without the backslash, which browsers read as a slash."""


async def needs_acceptance(desk: Desk, person_id: str) -> bool:
    """Whether the person must accept the present texts. Who has is remembered: nobody takes it back."""
    documents = desk.documents
    if not documents.must_accept or person_id in desk.accepted:
        return False
    if not await desk.ledger.aread(terms.has_accepted, person_id, documents.version):
        return True
    remember(desk, person_id)
    return False


def remember(desk: Desk, person_id: str) -> None:
    """Note that the person has accepted."""
    if len(desk.accepted) >= CACHE_ENTRIES:
        desk.accepted.clear()
    desk.accepted.add(person_id)


def accept_path(base: str, target: str) -> str:
    """The page of acceptance, which then leads to `target`, a path of this host."""
    return f"{base}{PAGE}?{urlencode({'next': target})}"


def local_target(text: str, otherwise: str) -> str:
    """`text` where it is a path of this host."""
    return text if LOCAL_PATH.fullmatch(text) else otherwise
