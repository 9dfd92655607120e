"""Tokens for programs such as VS Code, which this server makes for itself alone.

They are in its memory, so they end with the instance, and no other server and not the hub knows them.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

LIFE_SECONDS = 8 * 3600
MOST = 10


class ProgramTokens:
    """By the digest of each: until when it is valid, and who it stands for. `now` is seconds since 1970."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._known: dict[bytes, tuple[float, Mapping[str, Any]]] = {}

    def make(self, user: Mapping[str, Any]) -> tuple[str, float]:
        """A new token for a user, as JupyterHub's model names them, and until when it is valid."""
        self._forget()
        while len(self._known) >= MOST:  # the oldest
            self._known.pop(next(iter(self._known)))
        token, until = secrets.token_urlsafe(32), self._now() + LIFE_SECONDS
        self._known[_digest(token)] = (until, user)
        return token, until

    def user_of(self, token: str) -> dict[str, Any] | None:
        """Whom a token stands for."""
        until, user = self._known.get(_digest(token), (0.0, {}))
        return dict(user) if until > self._now() else None

    def revoke(self) -> None:
        """End all of them."""
        self._known.clear()

    @property
    def count(self) -> int:
        """How many are valid."""
        self._forget()
        return len(self._known)

    def _forget(self) -> None:
        now = self._now()
        self._known = {digest: kept for digest, kept in self._known.items() if kept[0] > now}


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def accept_program_tokens(hub_auth: Any, tokens: ProgramTokens) -> None:
    """Have JupyterHub's `HubAuth` know these tokens, too, before it asks the hub."""
    of_hub = hub_auth.user_for_token

    def user_for_token(token: str, *arguments: Any, sync: bool = True, **options: Any) -> Any:
        user = tokens.user_of(token) if token else None
        if user is None:
            return of_hub(token, *arguments, sync=sync, **options)
        return user if sync else _at_once(user)

    hub_auth.user_for_token = user_for_token


async def _at_once(user: dict[str, Any]) -> dict[str, Any]:
    return user
