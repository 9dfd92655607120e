"""The login link. Does not import JupyterHub, which takes half a second.

Its token is `ISSUED.EXPIRES.MAC`: seconds since 1970, the first with three decimals, and HMAC-SHA256 over the purpose,
the user's name and both times. The secret lies in the state folder with mode 0600, and is used for nothing else.
"""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import urlencode

from spawner.times import utc_text

PURPOSE = b"freepool link v2"
DEFAULT_DAYS = 7.0
DAY_SECONDS = 24 * 60 * 60


class BadLink(StrEnum):
    """Why a link is refused."""

    NOT_VALID = "not valid"
    EXPIRED = "expired"
    USER_DELETED = "user deleted"


@dataclass(frozen=True)
class Link:
    """What a genuine token says. Times are seconds since 1970."""

    issued: float
    expires: float


def link_token(secret: str, user_name: str, *, issued: float | None = None, days: float = DEFAULT_DAYS) -> str:
    """The token in the link of one user."""
    issued = time.time() if issued is None else issued
    times = f"{issued:.3f}.{int(issued + days * DAY_SECONDS)}"
    return f"{times}.{_mac(secret, user_name, times)}"


def read_token(secret: str, user_name: str, token: str, *, now: float) -> Link | BadLink:
    """Check a token. Whether the user was deleted after it was issued is for the caller to see."""
    times, _, mac = token.rpartition(".")
    if not user_name or not hmac.compare_digest(mac.encode(), _mac(secret, user_name, times).encode()):
        return BadLink.NOT_VALID
    issued, _, expires = times.rpartition(".")
    link = Link(float(issued), float(expires))
    return BadLink.EXPIRED if now >= link.expires else link


def login_link(
    public_url: str, secret: str, user_name: str, *, issued: float | None = None, days: float = DEFAULT_DAYS
) -> str:
    """The URL that logs `user_name` in."""
    token = link_token(secret, user_name, issued=issued, days=days)
    return f"{public_url}hub/link?{urlencode({'user': user_name, 'token': token})}"


def end_of(days: float, *, now: float | None = None) -> str:
    """When a link made now expires, for people to read."""
    return utc_text(datetime.fromtimestamp((time.time() if now is None else now) + days * DAY_SECONDS, UTC))


def _mac(secret: str, user_name: str, times: str) -> str:
    message = b"\0".join((PURPOSE, user_name.encode(), times.encode()))
    return hmac.new(secret.encode(), message, "sha256").hexdigest()
