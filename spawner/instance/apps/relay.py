"""An app on its own host: the proxy sends here what comes for `pPORT--NAME.…`.

Bytes are passed on as they come, in both directions: pages, websockets, uploads of any size and server-sent events
need nothing of their own. The app sees its own host, so absolute paths and redirects lead back to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any
from urllib.parse import quote, urlsplit

from tornado.httputil import HTTPInputError
from tornado.iostream import IOStream, StreamClosedError
from tornado.web import RequestHandler, stream_request_body

from spawner.instance.apps.access import Visit
from spawner.instance.apps.heads import answer_head, is_switch, request_head, status_of
from spawner.instance.apps.pages import POLICY, message_page, share_page
from spawner.instance.apps.rules import host_only
from spawner.instance.apps.same_origin import is_navigation, is_websocket, may_pass
from spawner.instance.apps.state import SETTING, Apps, Connection
from spawner.instance.apps.use import changes_something

ROUTE = r"/freepool-app/(\d{4,5})(/.*)"
"""Not below the server's own address: only the proxy leads here, for an app's host."""
OWN = "/.freepool/"
"""Paths on an app's host that are ours."""
ENTER, SHARED = f"{OWN}enter", f"{OWN}shared"
ADDRESSES = ("127.0.0.1", "::1")
CONNECT_SECONDS = 10
WRITE_SECONDS = 300
"""How long an app may take none of an upload. A client that leaves meanwhile is noticed only then."""
CHUNK = 64 * 1024
LONGEST_HEAD = 64 * 1024
MESSAGES = (0x0, 0x1, 0x2)
"""Opcodes of a websocket's frames that carry a message, by RFC 6455. The others are pings, pongs and the end."""
OWN_STORAGE = '"cache", "storage"'
"""`Clear-Site-Data` of what an earlier app has left in a browser. Both are of one origin; `"cookies"` would not be."""


@stream_request_body
class AppHandler(RequestHandler):
    """Every method, on the host of an app."""

    port: int
    path: str
    """What is asked of the app, with the query."""

    @property
    def apps(self) -> Apps:
        """Made by the extension."""
        found: Apps = self.settings[SETTING]
        return found

    @property
    def _language(self) -> str:
        return self.request.headers.get("Accept-Language", "")

    def set_default_headers(self) -> None:
        """Tornado closes the connection after an answer that comes before the body, and the proxy should know that."""
        self.set_header("Connection", "close")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("X-Robots-Tag", "noindex")
        self.set_header("Referrer-Policy", "strict-origin")  # without one, the form below would send `Origin: null`
        self.clear_header("Server")

    def check_xsrf_cookie(self) -> None:
        """`may_pass` looks where a request comes from."""

    def data_received(self, chunk: bytes) -> None:
        """Only of a request that is answered already."""

    async def prepare(self) -> None:
        """Answer what is ours, and pass on the rest."""
        self.port = int(self.path_args[0])
        self.path = (self.request.uri or "").removeprefix(f"/freepool-app/{self.port}")
        rules, request = self.apps.rules, self.request
        if not rules.hosts or host_only(request.host) != rules.host(self.port):
            self.send_error(404)  # on the lab's origin an app would act as the lab
        elif not rules.allows(self.port):
            self._say(404, "closed")
        elif not may_pass(str(request.method), request.headers, rules.origin(self.port)):
            self._say(403, "refused")
        elif "Service-Worker" in request.headers:
            # A service worker would outlive the notebook, and answer for the next app at this host.
            self.send_error(403)
        elif self.path.startswith(OWN):
            self._answer_own()
        else:
            await self._lead_on()

    def _answer_own(self) -> None:
        path = urlsplit(self.path).path
        if path == ENTER and self.request.method == "GET":
            visit = self.apps.access.enter(self.get_query_argument("ticket", ""), self.port)
            if visit is None:
                self._send_to_lab("/")
            else:
                self._let_in(visit, _local(self.get_query_argument("next", "/")))
        elif path == SHARED and self.request.method in ("GET", "POST"):
            self._show_share(self.get_query_argument("key", ""))
        else:
            self.send_error(404)

    def _show_share(self, key: str) -> None:
        """GET shows whose app it is, POST opens it."""
        share = self.apps.access.shared(key, self.port)
        if share is None:
            self._say(410, "gone")
        elif self.request.method == "POST":
            self._let_in(self.apps.access.visit(share), "/")
        else:
            action = f"{SHARED}?key={quote(key, safe='')}"
            self.finish(share_page(self._language, user=self.apps.user, until=share.until, action=action))

    def _let_in(self, visit: Visit, path: str) -> None:
        apps = self.apps
        if self._visit() is None:  # what is in the browser may be of an app in another notebook
            self.set_header("Clear-Site-Data", OWN_STORAGE)
        self.set_cookie(
            apps.cookie_name,
            apps.access.cookie(visit, self.port),
            max_age=int(apps.access.left(visit)),
            path="/",
            httponly=True,
            samesite="Lax",
            secure=apps.rules.is_secure,
        )
        self.redirect(path, status=303)

    def _send_to_lab(self, path: str) -> None:
        """Where the owner is known, and gets a ticket; anybody else is asked to sign in there, and refused."""
        self.redirect(f"{self.apps.lab_url}freepool/apps/open/{self.port}?next={quote(path, safe='')}")

    def _visit(self) -> Visit | None:
        """Who asks, by the cookie, as of now."""
        return self.apps.access.who(self.get_cookie(self.apps.cookie_name, "") or "", self.port)

    async def _lead_on(self) -> None:
        apps, headers = self.apps, self.request.headers
        visit = self._visit()
        if visit is None:
            if self.request.method == "GET" and not is_websocket(headers) and _wants_page(headers):
                self._send_to_lab(self.path)
            else:
                self.send_error(403)
            return
        apps.opened.add(self.port)
        if not apps.has_room(visit):
            self._say(503, "busy")
            return
        with apps.connected(visit) as connection:
            theirs = await connect(self.port)
            if theirs is None:
                self.set_header("Refresh", "2")
                self._say(502, "silent")
                return
            connection.streams.append(theirs)
            try:
                await self._lead_to(connection, theirs)
            finally:
                connection.cut()

    async def _lead_to(self, connection: Connection, theirs: IOStream) -> None:
        apps, visit = self.apps, connection.visit
        if connection.is_cut or self._visit() is None:  # revoked, or expired, while the app was reached
            self.send_error(403)
            return
        if changes_something(str(self.request.method), self.request.headers):
            apps.note(visit.key, f"{self.request.method} {urlsplit(self.path).path}")
        ours = self.detach()
        self._finished = True
        connection.streams.append(ours)
        timer = asyncio.get_running_loop().call_later(max(0.0, apps.access.left(visit)), connection.cut)
        try:
            await self._relay(visit, ours, theirs)
        finally:
            timer.cancel()

    async def _relay(self, visit: Visit, ours: IOStream, theirs: IOStream) -> None:
        apps, request = self.apps, self.request
        own, origin = (apps.cookie_name,), apps.rules.origin(self.port)
        is_upgrade = is_websocket(request.headers)
        head = request_head(
            str(request.method), self.path, request.headers, origin=origin, without=own, is_upgrade=is_upgrade
        )

        def tell(chunk: bytes) -> None:
            if is_upgrade and chunk[0] & 0x0F in MESSAGES:
                apps.note(visit.key, f"websocket {urlsplit(self.path).path}")

        page = message_page(self._language, "odd", port=self.port).encode()
        failure = _failure(page, with_body=request.method != "HEAD")
        await relay(ours, theirs, head, tell=tell, hide=own, failure=failure)

    def _say(self, status: int, name: str) -> None:
        self.set_status(status)
        self.finish(message_page(self._language, name, port=self.port))


def _wants_page(headers: Any) -> bool:
    return is_navigation(headers) or ("Sec-Fetch-Mode" not in headers and "text/html" in headers.get("Accept", ""))


def _local(path: str) -> str:
    """The path if it is one of this host, else its root: browsers read a second slash or a backslash as a host's."""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\", OWN)) and path.isprintable()
    return path if is_local else "/"


async def connect(port: int) -> IOStream | None:
    """To the app, by IPv4 or IPv6; None where nothing listens."""
    for address in ADDRESSES:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            stream = IOStream(socket.socket(family))
        except OSError:  # no IPv6 here
            continue
        with contextlib.ExitStack() as unless_connected:
            unless_connected.callback(stream.close)
            with contextlib.suppress(StreamClosedError, OSError, TimeoutError):
                await asyncio.wait_for(stream.connect((address, port)), CONNECT_SECONDS)
                unless_connected.pop_all()
                return stream
    return None


async def relay(
    ours: IOStream, theirs: IOStream, head: bytes, *, tell: Any, hide: tuple[str, ...], failure: bytes
) -> None:
    """Send the request with its body, then the answer, until one side closes, or the app takes no more of the body.

    `tell` gets what the client sends. `failure`: the whole answer for the client where the app's is no HTTP.
    """
    with contextlib.suppress(StreamClosedError):  # then there is no answer, either
        await _write(theirs, head)
    sending = asyncio.create_task(_send(ours, theirs, tell))
    receiving = asyncio.create_task(_receive(theirs, ours, hide=hide, failure=failure))
    try:
        await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
        if not ours.closed():  # the app has answered before it had the whole body
            await receiving
    except TimeoutError:
        pass
    finally:
        sending.cancel()
        receiving.cancel()
        await asyncio.gather(sending, receiving, return_exceptions=True)


async def _send(ours: IOStream, theirs: IOStream, tell: Any) -> None:
    """Pass on what the client sends until one side closes. Raises `TimeoutError` where the app takes no more of it."""
    with contextlib.suppress(StreamClosedError):
        while True:
            chunk = await ours.read_bytes(CHUNK, partial=True)
            tell(chunk)
            await _write(theirs, chunk, seconds=WRITE_SECONDS)


async def _receive(theirs: IOStream, ours: IOStream, *, hide: tuple[str, ...], failure: bytes) -> None:
    try:
        while True:
            head = await theirs.read_until(b"\r\n\r\n", max_bytes=LONGEST_HEAD)
            if status_of(head) >= 200 or is_switch(head):
                break
        answer = answer_head(head, without=hide)
    except (StreamClosedError, ValueError, HTTPInputError):  # it is no HTTP
        answer = failure
    with contextlib.suppress(StreamClosedError):
        await _write(ours, answer)
        while answer is not failure:
            await _write(ours, await theirs.read_bytes(CHUNK, partial=True))


async def _write(stream: IOStream, data: bytes, *, seconds: float | None = None) -> None:
    """Raises `TimeoutError` where it took longer. Tornado logs an error where the future of a write is cancelled."""
    done, _ = await asyncio.wait({asyncio.ensure_future(stream.write(data))}, timeout=seconds)
    if not done:
        raise TimeoutError
    done.pop().result()


def _failure(page: bytes, *, with_body: bool) -> bytes:
    lines = (
        "HTTP/1.1 502 Bad Gateway",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {len(page)}",
        f"Content-Security-Policy: {POLICY}",
        "Cache-Control: no-store",
        "Connection: close",
    )
    return "\r\n".join([*lines, "", ""]).encode() + (page if with_body else b"")
