"""Whether a user may go on without accepting the terms first."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote, urlencode

from spawner.desk.context import Desk
from spawner.ledger.people import terms
from spawner.origins import is_plain

PAGE = "terms/accept"
CACHE_ENTRIES = 100_000
STARTS = re.compile(r"(spawn|user)(/.*)?")
"""Below the hub's base: its pages that ask for an acceptance, and those that these lead to."""


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


def local_target(text: str, base: str) -> str:
    """`text` where it is a page that asks for an acceptance: the desk's below `base`, or one of a start; else `base`.

    No other of the hub's: a login link that is opened from this page would change who is logged in.
    """
    hub = f"{base.removesuffix('services/desk/')}hub/"
    path, _, query = text.partition("?")
    is_local = is_plain(text) and text.startswith("/") and not text.startswith("//")
    is_start = path.startswith(hub) and STARTS.fullmatch(path, len(hub)) is not None
    if not is_local or ".." in unquote(path).split("/") or not (path.startswith(base) or is_start):
        return base
    following = [] if path.startswith(base) else parse_qs(query).get("next", [])  # the hub's page leads on
    return text if all(local_target(one, base) == one for one in following) else path
