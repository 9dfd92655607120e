"""Alibaba Cloud's SDK, restricted: direct connections, no redirects, no logging of requests.

By default it follows redirects and sends the session's token to their targets, uses the proxies of the environment,
and with DEBUG=sdk logs all credentials.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import Any

import darabonba.core
import requests
from alibabacloud_tea_openapi.client import Client as OpenApi
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.runtime import RuntimeOptions

from spawner.errors import SetupError

CHATTY = ("darabonba-core", "alibabacloud-tea", "credentials")
USER_AGENT = "freepool"


class DirectSession(requests.Session):
    """Sends requests without a proxy. A redirect raises instead of being followed."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        options["allow_redirects"], options["proxies"] = False, {}
        response = super().send(request, **options)
        if 300 <= response.status_code < 400:
            response.close()
            raise requests.TooManyRedirects("the answer was a redirect")
        return response


def harden() -> None:
    """Restrict the SDK in this process. Raises `SetupError` if that fails."""
    if os.environ.get("DEBUG", "").lower() == "sdk":
        raise SetupError("DEBUG=sdk would write people's cloud credentials into the log.", next_step="Unset DEBUG.")
    for name in CHATTY:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.WARNING)  # it logs URLs, which contain external ids
    darabonba.core.Session = DirectSession
    if not isinstance(darabonba.core.DaraCore._get_session("freepool-check", "http"), DirectSession):
        raise SetupError("This version of the cloud's SDK cannot be kept from following redirects.")
    darabonba.core.DaraCore._sessions.clear()


def close_connections(endpoints: Iterable[str]) -> None:
    """Close the connections to these endpoints."""
    sessions = darabonba.core.DaraCore._sessions
    for key in [key for key in sessions if any(f"//{endpoint}:" in key for endpoint in endpoints)]:
        sessions.pop(key).close()


def config(*, endpoint: str, region: str, plain_http: bool, key_id: str, secret: str, token: str | None) -> Any:
    """Configuration of an SDK client. Without retries: Freepool decides whether a request is sent again."""
    return Config(
        access_key_id=key_id,
        access_key_secret=secret,
        security_token=token,
        endpoint=endpoint,
        region_id=region,
        protocol="http" if plain_http else "https",
        user_agent=USER_AGENT,
        retry_options=None,
    )


def runtime(*, connect_seconds: float, read_seconds: float) -> Any:
    """Timeouts of one call."""
    return RuntimeOptions(connect_timeout=int(connect_seconds * 1000), read_timeout=int(read_seconds * 1000))


__all__ = ["OpenApi", "close_connections", "config", "harden", "runtime"]
