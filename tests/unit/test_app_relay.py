"""An app on its own host, relayed by the notebook's server: odd answers, limits, and what ends a connection."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, StreamClosedError
from tornado.netutil import bind_sockets
from tornado.web import Application

from spawner.instance.apps import relay, state
from spawner.instance.apps.access import OWNER_SECONDS, Access, Share, Visit
from spawner.instance.apps.relay import ENTER, ROUTE, SHARED, AppHandler
from spawner.instance.apps.rules import Rules
from spawner.instance.apps.state import SETTING, Apps
from tests.unit.test_apps import Clock

App = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
SECONDS = 20


@dataclass
class Served:
    """The notebook's server, with an app on a port."""

    apps: Apps
    access: Access
    clock: Clock
    port: int
    """The app's."""
    server: int
    """The port of the notebook's server."""
    clients: list[asyncio.StreamWriter] = field(default_factory=list)

    def owner(self) -> str:
        """The owner's cookie."""
        visit = self.access.enter(self.access.ticket(self.port), self.port)
        assert visit is not None
        return self.cookie(visit)

    def share(self) -> tuple[Share, str]:
        """A link for others."""
        made = self.access.share(self.port, 1)
        assert made is not None
        return made

    def cookie(self, visit: Visit) -> str:
        return f"Cookie: freepool-app={self.access.cookie(visit, self.port)}"

    async def open(
        self, *lines: str, path: str = "/", method: str = "GET", body: bytes = b""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Ask, as the proxy does."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server)
        self.clients.append(writer)
        first = f"{method} /freepool-app/{self.port}{path} HTTP/1.1"
        head = [first, f"Host: p{self.port}--ann.localhost:8000", *lines]
        writer.write("\r\n".join([*head, "", ""]).encode() + body)
        return reader, writer

    async def ask(self, *lines: str, **options: Any) -> str:
        """The whole answer."""
        reader, _ = await self.open(*lines, **options)
        return (await asyncio.wait_for(reader.read(), SECONDS)).decode()


@asynccontextmanager
async def serving(app: App) -> AsyncIterator[Served]:
    clock = Clock()
    running: set[asyncio.Task[Any]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await app(reader, writer)
        except (asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            if not writer.is_closing():
                writer.transport.abort()

    async with await asyncio.start_server(run, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        settings: dict[str, Any] = {"base_url": "/user/ann/"}
        access = Access(clock)
        rules = Rules(hosts="http://p{port}--ann.localhost:8000", share=True)
        apps = settings[SETTING] = Apps(rules, "ann", settings, access)
        server = HTTPServer(Application([(ROUTE, AppHandler)], **settings))
        (bound,) = bind_sockets(0, "127.0.0.1")
        server.add_sockets([bound])
        try:
            yield (served := Served(apps, access, clock, port, bound.getsockname()[1]))
        finally:
            server.stop()
            for writer in served.clients:
                writer.transport.abort()
            await server.close_all_connections()
            for task in running:
                task.cancel()
            await asyncio.gather(*running)


def says(answer: bytes) -> App:
    """An app that reads a request's head, answers, and closes."""

    async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    return app


async def reads_nothing(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """An app that accepts a connection, and neither reads nor answers."""
    await asyncio.Event().wait()


async def until(is_true: Callable[[], object]) -> None:
    """Give way to the loop until it is true."""
    async with asyncio.timeout(SECONDS):
        while not is_true():
            await asyncio.sleep(0.01)  # a poll


# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: first\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * relay.LONGEST_HEAD + b"\r\n\r\n",
    ],
    ids=["nothing", "no HTTP", "no status", "a word", "no colon", "a fold", "too long"],
)
async def test_an_answer_that_is_no_http_is_a_page_that_says_so(answer: bytes) -> None:
    async with serving(says(answer)) as served:
        found = await served.ask(served.owner())
        assert found.startswith("HTTP/1.1 502 ")
        assert f"The app on port {served.port} did not answer" in found
        head = await served.ask(served.owner(), method="HEAD")
        assert head.startswith("HTTP/1.1 502 ")
        assert head.endswith("\r\n\r\n"), "an answer to HEAD has no body"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content"),
        (b"HTTP/1.0 200 OK\r\n\r\nall of it", "HTTP/1.0 200 OK"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HTTP/1.1 200 OK"),
    ],
    ids=["hints before", "HTTP/1.0", "HEAD"],
)
async def test_answers_of_all_kinds_pass(answer: bytes, found: str) -> None:
    async with serving(says(answer)) as served:
        text = await served.ask(served.owner(), method="HEAD" if b"Length" in answer else "GET")
        head, _, body = text.partition("\r\n\r\n")
        assert (head.split("\r\n")[0], body) == (found, "all of it" if "1.0" in found else "")
        assert "Connection: close" in head
        assert "Link" not in head


async def test_an_answer_before_the_end_of_an_upload_is_passed_on() -> None:
    async with serving(says(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")) as served:
        answer = await served.ask(served.owner(), "Content-Length: 1000000", method="POST", body=b"x")
        assert answer.startswith("HTTP/1.1 413 ")


class Gone:
    """An app's stream that takes a request's head, refuses its body, and answers only then."""

    def __init__(self) -> None:
        self.taken, self.has_refused = list[bytes](), asyncio.Event()

    async def write(self, data: bytes) -> None:
        if self.taken:
            self.has_refused.set()
            raise StreamClosedError
        self.taken.append(data)

    async def read_until(self, *_: Any, **__: Any) -> bytes:
        await self.has_refused.wait()
        for _ in range(10):
            await asyncio.sleep(0)  # until the other direction has ended
        return b"HTTP/1.1 413 Content Too Large\r\n\r\n"

    async def read_bytes(self, *_: Any, **__: Any) -> bytes:
        raise StreamClosedError


async def test_an_answer_is_passed_on_although_the_app_takes_no_more() -> None:
    written: list[bytes] = []
    client = SimpleNamespace(read_bytes=AsyncMock(return_value=b"x"), write=AsyncMock(side_effect=written.append))
    client.closed = lambda: False
    theirs: Any = Gone()
    await relay.relay(client, theirs, b"head", tell=lambda _: None, hide=(), failure=b"")
    assert theirs.taken == [b"head"]
    assert b"".join(written).startswith(b"HTTP/1.1 413 ")


async def test_an_upload_of_which_an_app_takes_nothing_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that has left is not noticed while the app reads nothing."""
    monkeypatch.setattr(relay, "WRITE_SECONDS", 0.2)
    async with serving(reads_nothing) as served:
        _, writer = await served.open(served.owner(), f"Content-Length: {1 << 30}", method="POST")
        await until(lambda: served.apps.connections)
        writer.write(b"x" * (64 << 20))
        await until(lambda: not served.apps.connections)
    assert not caplog.records, caplog.text


# --- who is let in ---------------------------------------------------------------------------------------------------


class Slow:
    """Stands for `relay.connect`, and waits until it is told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting, self.go = 0, asyncio.Event()
        self._connect = relay.connect
        monkeypatch.setattr(relay, "connect", self)

    async def __call__(self, port: int) -> IOStream | None:
        stream = await self._connect(port)
        self.waiting += 1
        await self.go.wait()
        return stream


@pytest.mark.parametrize("end", ["revoked", "expired"])
async def test_a_visit_that_ends_while_the_app_is_reached_gets_nothing_of_it(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(monkeypatch)
    async with serving(says(b"HTTP/1.1 200 OK\r\n\r\nsecret")) as served:
        share, _ = served.share()
        asking = asyncio.create_task(served.ask(served.cookie(served.access.visit(share))))
        await until(lambda: slow.waiting)
        if end == "revoked":
            assert served.apps.revoke(share.id)
        else:
            served.clock.now = share.until
        slow.go.set()
        assert (await asking).startswith("HTTP/1.1 403 ")
        assert not served.apps.connections


async def test_connections_are_limited_while_the_app_is_still_reached_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MOST_CONNECTIONS", 3)
    monkeypatch.setattr(state, "MOST_OF_VISITORS", 2)
    slow = Slow(monkeypatch)
    async with serving(says(b"HTTP/1.1 204 No Content\r\n\r\n")) as served:
        share, _ = served.share()
        visitor, owner = served.cookie(served.access.visit(share)), served.owner()
        waiting = []
        for number, cookie in enumerate((visitor, visitor), start=1):
            waiting.append(asyncio.create_task(served.ask(cookie)))
            await until(lambda number=number: slow.waiting == number)
        refused = await served.ask(visitor)
        assert refused.startswith("HTTP/1.1 503 ")
        assert "Too many connections" in refused
        waiting.append(asyncio.create_task(served.ask(owner)))
        await until(lambda: slow.waiting == 3)
        assert (await served.ask(owner)).startswith("HTTP/1.1 503 "), "visitors leave some for the owner, not all"
        slow.go.set()
        assert [answer[:13] for answer in await asyncio.gather(*waiting)] == ["HTTP/1.1 204 "] * 3
        assert (await served.ask(visitor)).startswith("HTTP/1.1 204 ")


async def test_a_connection_is_cut_when_its_visit_ends() -> None:
    async with serving(reads_nothing) as served:
        cookie = served.owner()
        served.clock.now += OWNER_SECONDS - 0.3  # the timer runs by the loop's clock
        reader, _ = await served.open(cookie)
        assert await asyncio.wait_for(reader.read(), SECONDS) == b""
        await until(lambda: not served.apps.connections)


async def test_no_service_worker_outlives_its_notebook_at_an_apps_host() -> None:
    async with serving(says(b"HTTP/1.1 200 OK\r\n\r\nself.onfetch = 1")) as served:
        cookie = served.owner()
        assert "onfetch" in await served.ask(cookie, path="/worker.js")
        assert (await served.ask(cookie, "Service-Worker: script", path="/worker.js")).startswith("HTTP/1.1 403 ")


async def test_what_an_earlier_app_has_left_in_a_browser_is_cleared_at_the_first_visit() -> None:
    cleared = 'Clear-Site-Data: "cache", "storage"'
    async with serving(says(b"HTTP/1.1 204 No Content\r\n\r\n")) as served:
        _, key = served.share()
        cookie, of_another = served.owner(), "Cookie: freepool-app=owner.9999999999.x." + "0" * 64
        numbers = itertools.count()
        for path, method in ((ENTER, "GET"), (SHARED, "POST")):
            for lines, is_first in (((), True), ((of_another,), True), ((cookie,), False)):
                query = f"ticket={served.access.ticket(served.port)}" if path == ENTER else f"key={key}"
                ask = f"{path}?{query}&n={next(numbers)}"
                answer = await served.ask(*lines, path=ask, method=method)
                assert answer.startswith("HTTP/1.1 303 ")
                assert (cleared in answer) is is_first, (path, lines)
