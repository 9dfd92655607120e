"""Sends a message to a webhook: a signed POST over HTTPS, to public addresses only, without following redirects.

Signatures follow Standard Webhooks (https://www.standardwebhooks.com), for which receivers have libraries.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver

from spawner.channel_settings import ChannelSettings
from spawner.channels.keys import ChannelKeys
from spawner.channels.targets import is_public
from spawner.channels.trust import trusted_by
from spawner.channels.undelivered import Failure, Undelivered
from spawner.ledger.channels.rows import Channel

SECONDS = 5
"""For one message, from the resolution of the name to the end of the answer."""
LARGEST_ANSWER = 64 * 1024
"""Bytes of the answer that are read."""


class _PrivateAddress(OSError):
    """The name has led to an address that is not public."""


def _public_socket(info: Any) -> socket.socket:
    """A socket for an address that is about to be connected to.

    The check is here because no resolution of the name comes after it: a name whose address changes is of no use.
    """
    family, kind, protocol, _, address = info
    if not is_public(str(address[0])):
        raise _PrivateAddress("not a public address")  # one text, so that several addresses are one error
    return socket.socket(family=family, type=kind, proto=protocol)


class WebhookSender:
    """Sends messages to webhooks. `resolver` is for tests."""

    def __init__(
        self, settings: ChannelSettings, keys: ChannelKeys, *, resolver: AbstractResolver | None = None
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._trusted = trusted_by(settings.ca_file)
        self._resolver = resolver

    async def send(self, channel: Channel, message_id: str, body: Mapping[str, Any], *, timestamp: int) -> None:
        """POST a message. `timestamp`: seconds since 1970. Raises `Undelivered`."""
        if not self._settings.webhooks:
            raise Undelivered(Failure.OFF)
        if not self._settings.allows_host((urlsplit(channel.address).hostname or "").rstrip(".")):
            raise Undelivered(Failure.HOST)
        content = json.dumps(body, ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Freepool",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": self._keys.signature(channel.id, message_id, timestamp, content),
        }
        try:
            async with asyncio.timeout(SECONDS):
                await self._post(channel.address, content, headers)
        except TimeoutError:
            raise Undelivered(Failure.SLOW) from None
        except aiohttp.ClientSSLError as error:
            raise Undelivered(Failure.TLS, error) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(getattr(error, "os_error", error), _PrivateAddress):
                raise Undelivered(Failure.PRIVATE) from None
            raise Undelivered(Failure.UNREACHABLE, error or type(error).__name__) from None

    async def _post(self, url: str, content: bytes, headers: Mapping[str, str]) -> None:
        guard = None if self._settings.private_addresses else _public_socket
        # A connection of its own for each message: one that is kept could be another person's.
        connector = aiohttp.TCPConnector(
            ssl=self._trusted,
            socket_factory=guard,
            resolver=self._resolver,
            use_dns_cache=False,
            force_close=True,
        )
        async with (
            aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            ) as session,
            session.post(url, data=content, headers=headers, allow_redirects=False) as answer,
        ):
            await answer.content.read(LARGEST_ANSWER)
            if 300 <= answer.status < 400:
                raise Undelivered(Failure.REDIRECT, answer.status)
            if answer.status >= 300:
                raise Undelivered(Failure.STATUS, answer.status)
