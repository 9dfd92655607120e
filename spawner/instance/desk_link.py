"""The desk by HTTP, with the token of this notebook server."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from tornado.httpclient import HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from spawner.instance.session import LARGEST_STATE, DeskAnswer, DeskAway, NoStream

CONNECT_SECONDS, ASK_SECONDS = 10, 20
MOST_AT_ONCE = 8
STREAM_SECONDS, STREAM_BYTES = 300, 64 * 1024 * 1024
"""After which a stream is begun anew. Tornado's client cannot be told to close a connection on which nothing comes."""


class _NobodyListens(Exception):
    """Closes a connection."""


class HttpDesk:
    """`address`: base URL of the desk."""

    def __init__(self, address: str, environment: Mapping[str, str] = os.environ) -> None:
        self._address = address
        self._token = environment.get("JUPYTERHUB_API_TOKEN", "")
        # With hosts of their own for users, the proxy finds the desk by its host.
        self._host = urlsplit(environment.get("JUPYTERHUB_HOST", "")).netloc
        self._client: SimpleAsyncHTTPClient | None = None

    @property
    def _http(self) -> SimpleAsyncHTTPClient:
        """Made in the server's event loop. The process has no proxies and no cookies for it."""
        if self._client is None:
            self._client = SimpleAsyncHTTPClient(
                force_instance=True, max_clients=MOST_AT_ONCE, max_body_size=STREAM_BYTES
            )
        return self._client

    def _request(self, method: str, path: str, **options: Any) -> HTTPRequest:
        if not self._address:
            raise DeskAway("its address is not known")
        headers = {"Authorization": f"token {self._token}"} | ({"Host": self._host} if self._host else {})
        if "body" in options:
            headers["Content-Type"] = "application/json"
        return HTTPRequest(
            self._address + path,
            method=method,
            headers=headers,
            connect_timeout=CONNECT_SECONDS,
            follow_redirects=False,
            **options,
        )

    async def stream(self, path: str, heard: Callable[[bytes], None]) -> None:
        """Raises `NoStream` for any answer of the desk but a stream."""
        status = 0
        is_over = False

        def header(line: str) -> None:
            nonlocal status
            if line.startswith("HTTP/"):
                status = int(line.split()[1])

        def piece(data: bytes) -> None:
            if is_over:
                raise _NobodyListens
            if status == 200:
                heard(data)

        request = self._request(
            "GET", path, request_timeout=STREAM_SECONDS, header_callback=header, streaming_callback=piece
        )
        try:
            await self._fetch(request)
        finally:
            is_over = True
        if status >= 500:
            raise DeskAway(f"status {status}")
        if status != 200:
            raise NoStream

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> DeskAnswer:
        """The body is None where the answer is no JSON."""
        options: dict[str, Any] = {} if body is None else {"body": json.dumps(body)}
        answer = await self._fetch(self._request(method, path, request_timeout=ASK_SECONDS, **options))
        content = answer.body or b""
        try:
            found = json.loads(content) if len(content) <= LARGEST_STATE else None
        except ValueError:
            found = None
        if found is None or answer.code >= 500:
            raise DeskAway(f"status {answer.code}")
        return DeskAnswer(answer.code, found)

    async def _fetch(self, request: HTTPRequest) -> Any:
        try:
            return await self._http.fetch(request, raise_error=False)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # Tornado raises what the socket, TLS or the parser raised
            raise DeskAway(f"{type(error).__name__}: {error}") from error
