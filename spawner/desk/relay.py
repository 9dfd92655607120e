"""Passes programs' requests for `/user/NAME/…` on the hub's own host on to the user's host, on one machine.

Notebooks are at NAME.localhost. Browsers resolve that; most programs do not, so they use the hub's host. A browser
cannot be made to show or run what is answered here: it sends no token with a page, a script or a worker, and only
requests with a token are passed on, in `Authorization` or, of a websocket, in the address. Other requests are
redirected to the user's host.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from tornado.httputil import HTTPHeaders
from tornado.iostream import IOStream, StreamClosedError
from tornado.tcpclient import TCPClient
from tornado.web import HTTPError, stream_request_body

from spawner.desk.http import Handler
from spawner.errors import NotAllowed
from spawner.user_hosts import host_of_user

RELAY = "/user/([^/]+)/.*"
TOKEN = re.compile(r"(?:token|bearer)\s+\S", re.IGNORECASE)
LOOPBACK = "127.0.0.1"
CONNECT_SECONDS = 10
CHUNK = 64 * 1024
LONGEST_HEAD = 64 * 1024
HOP = frozenset({"connection", "keep-alive", "proxy-connection", "upgrade", "expect", "transfer-encoding"})
"""Headers between two neighbours. The body's own `Transfer-Encoding` is kept: bodies are passed on as they come."""
NOT_SENT = frozenset({"cookie", "host"})
NOT_ANSWERED = frozenset({"set-cookie", "clear-site-data", "service-worker-allowed", "strict-transport-security"})
"""What a notebook server must not do on the hub's host."""
ADDED = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@stream_request_body
class RelayHandler(Handler):
    """Every method of /user/NAME/…"""

    needs_user = False
    wants_json = True

    def set_default_headers(self) -> None:
        """Tornado closes the connection after an answer that comes before the body, and the proxy should know that."""
        super().set_default_headers()
        self.set_header("Connection", "close")

    async def prepare(self) -> None:
        """Relay a request with a token, and redirect others."""
        await super().prepare()
        is_upgrade = self.request.headers.get("Upgrade", "").lower() == "websocket"
        if not self._has_token(is_upgrade=is_upgrade):
            self._send_to_users_host()
            return
        head = self._head(is_upgrade=is_upgrade)
        theirs = await self._connect()
        ours = self.detach()
        self._finished = True
        await relay(ours, theirs, head)

    def _has_token(self, *, is_upgrade: bool) -> bool:
        """A page cannot set `Upgrade`: only a websocket has it, and shows nothing."""
        if is_upgrade and self.get_query_argument("token", ""):
            return True
        return bool(TOKEN.match(self.request.headers.get("Authorization", "")))

    def data_received(self, chunk: bytes) -> None:
        """Only of a request that is answered already."""

    def _send_to_users_host(self) -> None:
        if self.request.method not in ("GET", "HEAD"):
            raise NotAllowed("Notebooks have hosts of their own.", next_step="Send an API token, or use that host.")
        self.redirect(f"http://{self._users_host}{self.request.uri}")  # there is no TLS below localhost

    @property
    def _users_host(self) -> str:
        """With the port."""
        hub = urlsplit(self.desk.settings.subdomain_host or "")
        host = host_of_user(self.path_args[0], hub.hostname or "")
        return f"{host}:{hub.port}" if hub.port else host

    async def _connect(self) -> IOStream:
        """Connect to the proxy, which routes by the `Host` header and notes the activity."""
        settings = self.desk.settings
        try:
            address = settings.address or LOOPBACK
            return await TCPClient().connect(address, settings.public_port, timeout=CONNECT_SECONDS)
        except (OSError, StreamClosedError, TimeoutError):
            raise HTTPError(502) from None

    def _head(self, *, is_upgrade: bool) -> bytes:
        """The request's first line and headers, for the user's host."""
        request = self.request
        kept = _lines(request.headers, without=NOT_SENT, is_upgrade=is_upgrade)
        lines = [f"{request.method} {request.uri} HTTP/1.1", f"Host: {self._users_host}", *kept, "", ""]
        return "\r\n".join(lines).encode("latin-1")


def _lines(headers: HTTPHeaders, *, without: frozenset[str], is_upgrade: bool) -> Iterable[str]:
    for name, value in headers.get_all():
        known = name.lower()
        if known not in without and (known not in HOP or known == "transfer-encoding"):
            yield f"{name}: {value}"
    yield from ("Connection: Upgrade", "Upgrade: websocket") if is_upgrade else ("Connection: close",)


async def relay(ours: IOStream, theirs: IOStream, head: bytes) -> None:
    """Send the request with its body, then the answer, until the notebook server closes the connection."""
    sending = asyncio.create_task(_pump(ours, theirs))
    try:
        await theirs.write(head)
        await ours.write(await _answer_head(theirs))
        await _pump(theirs, ours)
    except StreamClosedError:
        pass
    finally:
        sending.cancel()
        ours.close()
        theirs.close()


async def _answer_head(theirs: IOStream) -> bytes:
    """The answer's head without what a notebook server must not say on this host."""
    while True:
        head = (await theirs.read_until(b"\r\n\r\n", max_bytes=LONGEST_HEAD)).decode("latin-1")
        first, _, rest = head.partition("\r\n")
        if not first.split(" ", 2)[1].startswith("1") or " 101 " in first:
            break
    headers = HTTPHeaders.parse(rest)
    for name in (*NOT_ANSWERED, *ADDED):
        headers.pop(name, None)
    kept = _lines(headers, without=NOT_ANSWERED, is_upgrade=" 101 " in first)
    added = (f"{name}: {value}" for name, value in ADDED.items())
    return "\r\n".join([first, *kept, *added, "", ""]).encode("latin-1")


async def _pump(source: IOStream, target: IOStream) -> None:
    try:
        while True:
            await target.write(await source.read_bytes(CHUNK, partial=True))
    except StreamClosedError:
        pass
