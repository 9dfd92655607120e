"""Requests to an identity provider: limited in time and size, through the proxy that the environment names.

Tornado's client, which oauthenticator uses, knows no proxy.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

SECONDS = 10.0
LARGEST_ANSWER = 1024 * 1024


class ProviderFailed(Exception):
    """The provider did not answer as it should. The text is for the log, and holds no secret.

    `status` is the HTTP status, and `error` OAuth's error code, where it answered with one.
    """

    def __init__(self, text: str, *, status: int | None = None, error: str | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.error = error

    @property
    def is_refusal(self) -> bool:
        """Whether the provider answered, and said no."""
        return self.status is not None and 400 <= self.status < 500 and self.status not in (408, 429)


class AccountUnusable(ProviderFailed):
    """The provider answered well, and this account of it cannot be used here."""

    @property
    def is_refusal(self) -> bool:
        """It is the account's fault, not the provider's."""
        return True


@dataclass(frozen=True)
class Answer:
    """A successful answer."""

    headers: Any
    body: bytes

    def read_json(self, url: str) -> Any:
        """The parsed body."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise ProviderFailed(f"{_shown(url)} answered with something that is not JSON") from None


async def request(
    url: str, *, method: str = "GET", headers: dict[str, str] | None = None, body: Any = None, verify: bool = True
) -> Answer:
    """Send it and read the whole answer. Raises `ProviderFailed`, also for any status but 200 to 299."""
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(
                method,
                url,
                headers=headers,
                data=body,
                proxy=_proxy(url),
                ssl=verify,
                allow_redirects=False,
            ) as answer,
        ):
            content = await _read(answer, url)
            if not 200 <= answer.status < 300:
                error = _oauth_error(content)
                told = f" ({error})" if error else ""
                raise ProviderFailed(f"{_shown(url)} answered {answer.status}{told}", status=answer.status, error=error)
            return Answer(answer.headers, content)
    except TimeoutError:
        raise ProviderFailed(f"{_shown(url)} did not answer within {SECONDS:.0f} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ProviderFailed(f"{_shown(url)} cannot be reached: {type(error).__name__}") from error


async def _read(answer: aiohttp.ClientResponse, url: str) -> bytes:
    content = bytearray()
    async for chunk in answer.content.iter_any():
        content += chunk
        if len(content) > LARGEST_ANSWER:
            raise ProviderFailed(f"{_shown(url)} answered with more than {LARGEST_ANSWER} bytes")
        await asyncio.sleep(0)  # a fast sender of rubbish must not hold the hub
    return bytes(content)


def _oauth_error(content: bytes) -> str | None:
    try:
        error = json.loads(content)["error"]
    except (ValueError, KeyError, TypeError):
        return None
    return error if isinstance(error, str) and error.isidentifier() else None


def _proxy(url: str) -> str | None:
    parts = urlsplit(url)
    if parts.hostname is None or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


def _shown(url: str) -> str:
    """An address without its query, which may hold a token."""
    return urlsplit(url)._replace(query="", fragment="").geturl()
