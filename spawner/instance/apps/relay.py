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

from tornado.iostream import IOStream, StreamClosedError
from tornado.web import RequestHandler, stream_request_body

from spawner.instance.apps.access import Visit
from spawner.instance.apps.heads import answer_head, is_switch, request_head, status_of
from spawner.instance.apps.pages import POLICY, message_page, share_page
from spawner.instance.apps.rules import host_only
from spawner.instance.apps.same_origin import is_navigation, is_websocket, may_pass
from spawner.instance.apps.state import SETTING, Apps
from spawner.instance.apps.use import changes_something

ROUTE = r"/freepool-app/(\d{4,5})(/.*)"
"""Not below the server's own address: only the proxy leads here, for an app's host."""
OWN = "/.freepool/"
"""Paths on an app's host that are ours."""
ENTER, SHARED = f"{OWN}enter", f"{OWN}shared"
ADDRESSES = ("127.0.0.1", "::1")
CONNECT_SECONDS = 10
CHUNK = 64 * 1024
LONGEST_HEAD = 64 * 1024
MESSAGES = (0x0, 0x1, 0x2)
"""Opcodes of a websocket's frames that carry a message, by RFC 6455. The others are pings, pongs and the end."""


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

    async def _lead_on(self) -> None:
        apps, headers = self.apps, self.request.headers
        visit = apps.access.who(self.get_cookie(apps.cookie_name, "") or "", self.port)
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
        theirs = await connect(self.port)
        if theirs is None:
            self.set_header("Refresh", "2")
            self._say(502, "silent")
            return
        if changes_something(str(self.request.method), headers):
            apps.note(visit.key, f"{self.request.method} {urlsplit(self.path).path}")
        await self._relay(visit, theirs)

    async def _relay(self, visit: Visit, theirs: IOStream) -> None:
        apps, request = self.apps, self.request
        own = (apps.cookie_name,)
        is_upgrade = is_websocket(request.headers)
        head = request_head(str(request.method), self.path, request.headers, without=own, is_upgrade=is_upgrade)
        ours = self.detach()
        self._finished = True

        def close() -> None:
            ours.close()
            theirs.close()

        def tell(chunk: bytes) -> None:
            if is_upgrade and chunk[0] & 0x0F in MESSAGES:
                apps.note(visit.key, f"websocket {urlsplit(self.path).path}")

        timer = asyncio.get_running_loop().call_later(max(0.0, apps.access.left(visit)), close)
        frames = f"'self' {apps.rules.lab_origin}"
        try:
            with apps.connected(visit, close):
                await relay(ours, theirs, head, tell=tell, hide=own, frames=frames)
        finally:
            timer.cancel()
            close()

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
        try:
            await asyncio.wait_for(stream.connect((address, port)), CONNECT_SECONDS)
        except (StreamClosedError, OSError, TimeoutError):
            stream.close()
        else:
            return stream
    return None


async def relay(
    ours: IOStream, theirs: IOStream, head: bytes, *, tell: Any, hide: tuple[str, ...], frames: str
) -> None:
    """Send the request with its body, then the answer, until one side closes. `tell` gets what the client sends."""
    try:
        await theirs.write(head)
    except StreamClosedError:
        return
    sending = asyncio.create_task(_pump(ours, theirs, tell))
    receiving = asyncio.create_task(_receive(theirs, ours, hide=hide, frames=frames))
    try:
        await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
        if not ours.closed():  # the app has answered before it had the whole body
            await receiving
    finally:
        sending.cancel()
        receiving.cancel()
        await asyncio.gather(sending, receiving, return_exceptions=True)


async def _receive(theirs: IOStream, ours: IOStream, *, hide: tuple[str, ...], frames: str) -> None:
    try:
        while True:
            head = await theirs.read_until(b"\r\n\r\n", max_bytes=LONGEST_HEAD)
            if status_of(head) >= 200 or is_switch(head):
                break
        await ours.write(answer_head(head, without=hide, frames=frames))
        await _pump(theirs, ours)
    except (StreamClosedError, ValueError):
        if not ours.closed():  # it is no HTTP
            await _fail(ours)


async def _fail(ours: IOStream) -> None:
    with contextlib.suppress(StreamClosedError):
        await ours.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


async def _pump(source: IOStream, target: IOStream, tell: Any = None) -> None:
    try:
        while True:
            chunk = await source.read_bytes(CHUNK, partial=True)
            if tell is not None:
                tell(chunk)
            await target.write(chunk)
    except StreamClosedError:
        pass
