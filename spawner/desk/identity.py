"""Who sends a request, where its cookies could say different things, or its token is a notebook's own."""

from __future__ import annotations

import hashlib
import re
import time
from typing import Any

from tornado.httputil import HTTPServerRequest

from spawner.hub_client import HubClient

HUB_COOKIE = "__Host-jupyterhub-hub-login"
"""The hub's cookie, with the prefix that lets it reach the desk (its path is `/`) and that no other host can set."""
CACHE_SECONDS = 300
"""As long as JupyterHub's HubOAuth keeps the users of tokens, so that the desk is no less patient with a hub that is
away."""
CACHE_ENTRIES = 10_000
INSTANCE_SCOPE = re.compile(r"access:servers!server=([^/]+)/(.*)")


class HubLogins:
    """Names of the users that the hub's cookies belong to, asked of the hub and kept for `CACHE_SECONDS`."""

    def __init__(self, hub: HubClient) -> None:
        self._hub = hub
        self._known: dict[bytes, tuple[float, str | None]] = {}

    async def belongs_to(self, cookie: str, user_name: str) -> bool:
        """Whether it is this user's, or nobody's. Raises `BackendUnavailable`.

        A user may have been renamed since: before another name counts, the hub is asked again.
        """
        for is_cached in (True, False):
            if await self._user_of(cookie, is_cached=is_cached) in (None, user_name):
                return True
        return False

    async def _user_of(self, cookie: str, *, is_cached: bool) -> str | None:
        key, now = hashlib.sha256(cookie.encode()).digest(), time.monotonic()
        until, name = self._known.get(key, (0.0, None))
        if until > now and is_cached:
            return name
        name = await self._hub.user_of_cookie(HUB_COOKIE, cookie)
        if len(self._known) >= CACHE_ENTRIES:
            self._known.clear()
        self._known[key] = now + CACHE_SECONDS, name
        return name


def cookie_values(request: HTTPServerRequest, name: str) -> set[str]:
    """All values of one cookie. Two hosts that set it for one path give it two; Tornado keeps the last only."""
    parts = (part.strip().partition("=") for header in request.headers.get_list("Cookie") for part in header.split(";"))
    return {value for key, _, value in parts if key == name}


def instance_of_token(model: dict[str, Any]) -> str | None:
    """Name of the server whose own token this is, by JupyterHub's model of the token's user; None for other tokens."""
    found = (INSTANCE_SCOPE.fullmatch(scope) for scope in model.get("scopes", ()))
    return next((match[2] for match in found if match and match[1] == model["name"]), None)
