"""Tokens that give access to one instance until they expire."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta


class AccessTokens:
    """All issued tokens."""

    def __init__(self) -> None:
        self._issued: dict[str, tuple[str, str, datetime]] = {}  # instance, kind, expiry

    def mint(self, instance: str, kind: str, now: datetime, seconds: float) -> str:
        """Issue a token. `kind`: `Access`, or `View` for read-only access."""
        token = f"dswtok-{secrets.token_urlsafe(32)}"
        self._issued[token] = (instance, kind, now + timedelta(seconds=seconds))
        return token

    def opens(self, token: str, instance: str, now: datetime) -> str | None:
        """The token's kind, if it is valid for this instance now."""
        issued = self._issued.get(token)
        return issued[1] if issued is not None and issued[0] == instance and now < issued[2] else None

    def all(self) -> list[str]:
        """All issued tokens, including expired ones."""
        return list(self._issued)
