"""Puts the client's address into each request of a Tornado server, and refuses those that come too often.

Before a handler is made: a refusal costs the hub a tenth of a millisecond, a login page some.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.web import Application

from spawner.client_address import NO_ADDRESS, client_address
from spawner.rate_limits import texts
from spawner.rate_limits.limiter import RateLimiter
from spawner.rate_limits.rules import Kind, kind_of

log = logging.getLogger("freepool.limits")
Trusts = Callable[[str, HTTPHeaders], bool]
"""Whether a request is from a program of Freepool's own, by peer and headers: it is not limited."""


class LimitedServer(HTTPServerConnectionDelegate):
    """What a server is given in place of its application."""

    def __init__(
        self, application: Application, limiter: RateLimiter, *, trusted_proxies: int, is_sibling: Trusts
    ) -> None:
        self._application = application
        self.limiter = limiter
        self._trusted_proxies = trusted_proxies
        self._is_sibling = is_sibling

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Called by Tornado."""
        return _Request(self, self._application.start_request(server_conn, request_conn), request_conn)

    def on_close(self, server_conn: object) -> None:
        """Called by Tornado."""
        self._application.on_close(server_conn)

    def seconds(self, kind: Kind | None, context: Any, headers: HTTPHeaders) -> int:
        """Set the client's address. Returns 0, or the seconds after which to try again."""
        peer = getattr(context, "_orig_remote_ip", context.remote_ip)  # Tornado has believed any X-Real-Ip
        context.is_sibling = self._is_sibling(peer, headers)
        if context.is_sibling:
            context.remote_ip = peer
            return 0
        context.remote_ip = client_address(peer, headers.get("X-Forwarded-For"), self._trusted_proxies)
        seconds = self.limiter.seconds_for_address(kind, context.remote_ip) if kind else 0
        if seconds and self.limiter.may_log():
            log.warning("429: too many requests (%s) from %s", kind, context.remote_ip)
        return seconds


class _Request(HTTPMessageDelegate):
    """One request: the application's, or one that is refused when it has been read."""

    def __init__(self, server: LimitedServer, inner: HTTPMessageDelegate, connection: HTTPConnection) -> None:
        self._server = server
        self._inner: HTTPMessageDelegate | None = inner
        self._connection: Any = connection
        self._refusal: tuple[ResponseStartLine, HTTPHeaders, bytes] | None = None

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        assert isinstance(start_line, RequestStartLine)
        path = start_line.path.partition("?")[0]
        kind = kind_of(start_line.method, path)
        seconds = self._server.seconds(kind, self._connection.context, headers)
        if kind and seconds:
            self._refuse(kind, path, headers, seconds)
        return self._inner.headers_received(start_line, headers) if self._inner else None

    def _refuse(self, kind: Kind, path: str, headers: HTTPHeaders, seconds: int) -> None:
        content_type, text = texts.answer(kind, path, headers.get("Accept", ""), seconds)
        body = text.encode()
        told = HTTPHeaders(texts.HEADERS)
        told["Content-Type"], told["Content-Length"] = content_type, str(len(body))
        told["Retry-After"] = str(seconds)
        self._inner = None
        self._refusal = ResponseStartLine("HTTP/1.1", 429, "Too Many Requests"), told, body

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._inner.data_received(chunk) if self._inner else None

    def finish(self) -> None:
        if self._inner:
            self._inner.finish()
        elif self._refusal:
            self._connection.write_headers(*self._refusal)
            self._connection.finish()

    def on_connection_close(self) -> None:
        if self._inner:
            self._inner.on_connection_close()


def is_unforwarded(peer: str, headers: HTTPHeaders) -> bool:
    """Whether a request came over a Unix socket, and not through the proxy: sandboxes see no such socket."""
    return peer == NO_ADDRESS and "X-Forwarded-For" not in headers


def log_and_note(log_request: Callable[[Any], None], limiter: RateLimiter) -> Callable[[Any], None]:
    """Tornado's setting `log_function`, which is called after each answer: counts refused logins, too."""

    def noted(handler: Any) -> None:
        request = handler.request
        limiter.note_status(kind_of(request.method, request.path), request.remote_ip, handler.get_status())
        log_request(handler)

    return noted
