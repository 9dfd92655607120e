"""Tokens and cookies that open the gate of one instance for a while."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta


class AccessTokens:
    """Those that were given out."""

    def __init__(self) -> None:
        self._good: dict[str, tuple[str, str, datetime]] = {}

    def mint(self, instance: str, kind: str, now: datetime, seconds: float) -> str:
        """A new one. `kind`: `Access` or `View`, which cannot write."""
        token = f"dswtok-{secrets.token_urlsafe(32)}"
        self._good[token] = (instance, kind, now + timedelta(seconds=seconds))
        return token

    def opens(self, token: str, instance: str, now: datetime) -> str | None:
        """Its kind, if it opens this instance now."""
        good = self._good.get(token)
        return good[1] if good is not None and good[0] == instance and now < good[2] else None

    def all(self) -> list[str]:
        """Every token that was ever minted."""
        return list(self._good)
