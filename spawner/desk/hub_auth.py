"""JupyterHub's OAuth with a short memory: who is deleted, banned or logged out is refused within seconds.

JupyterHub's own class believes an answer of the hub for five minutes. Here that is so only while the hub does not
answer, so that the desk goes on while the hub is restarted.
"""

from __future__ import annotations

from typing import Any

from jupyterhub.services.auth import HubOAuth, _ExpiringDict
from tornado.web import HTTPError

from spawner import siblings

FRESH_SECONDS = 3
KEPT_SECONDS = 300


class DeskAuth(HubOAuth):
    """Asks the hub about a token every few seconds."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(cache_max_age=FRESH_SECONDS, **kwargs)
        self._known = _ExpiringDict(KEPT_SECONDS)

    async def _check_hub_authorization(
        self, url: str, api_token: str, cache_key: str | None = None, use_cache: bool = True
    ) -> Any:
        try:
            user = await super()._check_hub_authorization(url, api_token, cache_key, use_cache)
        except HTTPError:  # not for a token that the hub refuses: that is an answer
            known = self._known.get(cache_key) if use_cache else None
            if known is None:
                raise
            return known
        if use_cache:
            self._known[cache_key] = user
        return user

    async def _api_request(self, method: str, url: str, /, **kwargs: Any) -> Any:
        """Every call to the hub."""
        kwargs["headers"] = {siblings.HEADER: siblings.proof(self.api_token)} | kwargs.get("headers", {})
        return await super()._api_request(method, url, **kwargs)
