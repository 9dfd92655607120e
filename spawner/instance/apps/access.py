"""Who may see an app on its own host: the owner by a ticket of this server's, others by a share link.

Everything is in this process's memory and ends with it. A cookie is signed with a secret that is made here, so a
stranger can neither guess one nor fill a table.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

TICKET_SECONDS = 60
OWNER_SECONDS = 12 * 3600
"""After which the owner's browser is led through the lab's host again."""
SHARE_HOURS = (1, 8, 24)
"""What can be chosen; a share ends with the instance in any case."""
MOST_SHARES, MOST_TICKETS = 50, 100
OWNER = "owner"
_COOKIE = re.compile(r"(?P<by>[0-9a-z]+)\.(?P<until>\d+)\.(?P<key>[0-9A-Za-z_-]+)\.(?P<mac>[0-9a-f]{64})")


@dataclass(frozen=True)
class Share:
    """A link for others to one port. `digest` is its key's, which is nowhere else."""

    id: str
    port: int
    until: float
    digest: bytes


@dataclass(frozen=True)
class Visit:
    """Who a request is from: `by` is `owner` or a share's id, `key` a browser's own. `until`: seconds since 1970."""

    by: str
    until: int
    key: str

    @property
    def is_owner(self) -> bool:
        """Whether it is the notebook's owner."""
        return self.by == OWNER


class Access:
    """Tickets, shares and cookies of one instance. `now` is seconds since 1970."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._secret = secrets.token_bytes(32)
        self._tickets: dict[str, tuple[int, float]] = {}
        self._shares: dict[str, Share] = {}

    def ticket(self, port: int) -> str:
        """A key that makes a browser the owner's at one port, once, within a minute."""
        now = self._now()
        self._tickets = {key: kept for key, kept in self._tickets.items() if kept[1] > now}
        while len(self._tickets) >= MOST_TICKETS:
            self._tickets.pop(next(iter(self._tickets)))
        key = secrets.token_urlsafe(32)
        self._tickets[key] = (port, now + TICKET_SECONDS)
        return key

    def enter(self, ticket: str, port: int) -> Visit | None:
        """Spend a ticket."""
        kept = self._tickets.pop(ticket, None)
        if kept is None or kept[0] != port or kept[1] <= self._now():
            return None
        return self._visit(OWNER, self._now() + OWNER_SECONDS)

    @property
    def shares(self) -> list[Share]:
        """Those that are valid, oldest first."""
        now = self._now()
        self._shares = {share.id: share for share in self._shares.values() if share.until > now}
        return list(self._shares.values())

    def share(self, port: int, hours: int) -> tuple[Share, str] | None:
        """A new link: the share and its key. None where there are too many."""
        if len(self.shares) >= MOST_SHARES:
            return None
        key = secrets.token_urlsafe(32)
        share = Share(secrets.token_hex(8), port, self._now() + hours * 3600, _digest(key))
        self._shares[share.id] = share
        return share, key

    def revoke(self, share_id: str) -> bool:
        """End a share, and with it all visits by it."""
        return self._shares.pop(share_id, None) is not None

    def shared(self, key: str, port: int) -> Share | None:
        """The share whose link has this key."""
        digest = _digest(key)
        found = [share for share in self.shares if share.port == port and hmac.compare_digest(share.digest, digest)]
        return found[0] if found else None

    def visit(self, share: Share) -> Visit:
        """A visitor comes by a share."""
        return self._visit(share.id, share.until)

    def cookie(self, visit: Visit, port: int) -> str:
        """The cookie's value of a visit at one port."""
        return f"{visit.by}.{visit.until}.{visit.key}.{self._mac(visit, port)}"

    def who(self, cookie: str, port: int) -> Visit | None:
        """Whose cookie this is; None where it is not valid at this port now."""
        match = _COOKIE.fullmatch(cookie)
        if match is None:
            return None
        visit = Visit(match["by"], int(match["until"]), match["key"])
        if not hmac.compare_digest(match["mac"], self._mac(visit, port)) or visit.until <= self._now():
            return None
        is_valid = visit.is_owner or any(share.id == visit.by for share in self.shares)
        return visit if is_valid else None

    def left(self, visit: Visit) -> float:
        """Seconds that a visit is still valid."""
        return visit.until - self._now()

    def _visit(self, by: str, until: float) -> Visit:
        return Visit(by, int(until), secrets.token_urlsafe(12))

    def _mac(self, visit: Visit, port: int) -> str:
        text = f"freepool app v1\0{port}\0{visit.by}\0{visit.until}\0{visit.key}"
        return hmac.digest(self._secret, text.encode(), "sha256").hex()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
