"""The addresses of an OpenID Connect provider, read from its issuer when they are needed first.

Not at the hub's start: it must start while the provider is away.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from spawner.hub.login.http import ProviderFailed
from spawner.login_settings import is_protected

FRESH_SECONDS = 3600.0


@dataclass(frozen=True)
class Endpoints:
    """Where browsers and the hub go. `end_session` is None where the provider has no such page."""

    authorize: str
    token: str
    userinfo: str
    end_session: str | None
    basic_auth: bool


class Discovery:
    """Reads the document once an hour; while it cannot be read, what was read before holds."""

    def __init__(self, issuer: str, get_json: Callable[[str], Awaitable[Any]]) -> None:
        self.issuer = issuer
        self._get_json = get_json
        self._found: Endpoints | None = None
        self._read_at = 0.0

    async def endpoints(self) -> Endpoints:
        """Raises `ProviderFailed`."""
        if self._found is None or time.monotonic() - self._read_at > FRESH_SECONDS:
            try:
                document = await self._get_json(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
                self._found = read_document(document, self.issuer)
            except ProviderFailed:
                if self._found is None:
                    raise
            self._read_at = time.monotonic()
        return self._found


def read_document(document: Any, issuer: str) -> Endpoints:
    """Check the document. Raises `ProviderFailed`."""
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        told = document.get("issuer") if isinstance(document, dict) else None
        raise ProviderFailed(f"the document of {issuer} names another issuer: {told!r}; login.issuer must be the same")

    def endpoint(name: str) -> str:
        url = document.get(f"{name}_endpoint")
        if not isinstance(url, str) or not is_protected(url):
            raise ProviderFailed(f"the document of {issuer} has no usable {name}_endpoint")
        return url

    end = document.get("end_session_endpoint")
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return Endpoints(
        authorize=endpoint("authorization"),
        token=endpoint("token"),
        userinfo=endpoint("userinfo"),
        end_session=end if isinstance(end, str) and is_protected(end) else None,
        basic_auth="client_secret_post" not in methods,
    )
