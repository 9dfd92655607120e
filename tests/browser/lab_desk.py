"""JupyterLab with the extension and its server half, beside a desk that a test tells what to say.

No hub and no sandbox: what the extension shows depends on the desk's answers only. `test_lab.py` has the real ones.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler

from spawner.instance.apps.rules import VARIABLE, Rules
from spawner.instance.arguments import lab_arguments, server_arguments
from tests.stack import PROJECT, eventually, free_port

TOKEN = "the-token-of-this-notebook"
PYTHON = PROJECT / ".images" / "light" / "bin" / "python"


def iso(moment: datetime) -> str:
    """As the desk writes times."""
    return moment.isoformat().replace("+00:00", "Z")


def notice(
    number: str, kind: str, title: str, text: str, *actions: str, params: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A notice as the desk sends it."""
    return {
        "id": number, "kind": kind, "due_at": None, "written_at": None, "params": params or {}, "title": title,
        "text": text, "actions": list(actions), "seen_at": None, "answered_at": None,
    }  # fmt: skip


@dataclass
class Desk:
    """The desk's session API. `clock_ahead`: its clock is ahead of this machine's. `asked`: what came in."""

    port: int
    loop: asyncio.AbstractEventLoop
    session: dict[str, Any] = field(default_factory=dict)
    clock_ahead: timedelta = timedelta()
    is_away: bool = False
    refuses: dict[str, Any] | None = None
    end: dict[str, Any] | None = None
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    streams: int = 0

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.port}/services/desk/"

    def now(self) -> datetime:
        """By the desk's clock."""
        return datetime.now(UTC) + self.clock_ahead

    def restart(self, *, minutes: float = 240) -> None:
        """A session as at its start, and nothing else."""
        self.is_away, self.refuses, self.end, self.clock_ahead = False, None, None, timedelta()
        self.asked.clear()
        self.say(
            id="0123456789abcdef",
            user="ann",
            server="",
            state="running",
            flavor="cpu-small",
            image="light",
            flavor_title="CPU small",
            image_title="Light",
            ends_at=iso(self.now() + timedelta(minutes=minutes)),
            allowance=None,
            extension=None,
            notices=[],
            desk_url=self.url,
            end_url=f"{self.url}api/end/0123456789abcdef?key=1",
            restart_url=f"{self.url}?flavor=cpu-small&image=light",
        )

    def say(self, **changes: Any) -> None:
        """Change the session, and send it."""
        self.session.update(changes)
        self._tell()

    def set_away(self, is_away: bool) -> None:
        """Answer 502 as a proxy does, and cut the streams; or answer again."""
        self.is_away = is_away
        self._tell()

    def _tell(self) -> None:
        def tell() -> None:
            self.changed.set()
            self.changed = asyncio.Event()

        self.loop.call_soon_threadsafe(tell)

    def ends(self, minutes: float) -> str:
        """A time so many minutes from now."""
        return iso(self.now() + timedelta(minutes=minutes))


class _Handler(RequestHandler):
    def initialize(self, desk: Desk) -> None:
        self.desk = desk

    def check_xsrf_cookie(self) -> None:
        """Requests have a token."""

    def prepare(self) -> None:
        if self.desk.is_away:
            raise HTTPError(502)
        if self.request.headers.get("Authorization") != f"token {TOKEN}":
            raise HTTPError(403)

    def session(self) -> str:
        language = self.get_query_argument("language", "")
        return json.dumps({**self.desk.session, "now": iso(self.desk.now()), "language": language})


class _Events(_Handler):
    async def get(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        self.desk.streams += 1
        try:
            while not self.desk.is_away:
                changed = self.desk.changed
                self.write(f"data: {self.session()}\n\n")
                await self.flush()
                await changed.wait()
        except StreamClosedError:
            pass
        finally:
            self.desk.streams -= 1

    def send_error(self, status_code: int = 500, **options: Any) -> None:
        if not self._headers_written:
            super().send_error(status_code, **options)


class _Change(_Handler):
    def post(self, name: str) -> None:
        self.desk.asked.append((name, json.loads(self.request.body)))
        if self.desk.refuses is not None:
            self.set_status(409)
            self.finish({"error": self.desk.refuses})
            return
        if name == "extend":
            end = datetime.fromisoformat(self.desk.session["ends_at"]) + timedelta(hours=1)
            self.desk.say(ends_at=iso(end))
        self.finish(self.session())


class _End(_Handler):
    def prepare(self) -> None:
        self.set_header("Access-Control-Allow-Origin", "*")
        if self.desk.is_away or self.request.headers.get("Cookie"):
            raise HTTPError(502)

    def get(self) -> None:
        if self.desk.end is None:
            self.finish({"state": "running", "reason": "", "text": "", "next_state": None})
        else:
            self.finish(
                {
                    "next_state": None, "desk_url": self.desk.url, "restart_url": self.desk.session["restart_url"],
                    **self.desk.end,
                }
            )  # fmt: skip


@contextmanager
def running_desk() -> Iterator[Desk]:
    """Run it in a thread of its own."""
    (listener,) = bind_sockets(0, "127.0.0.1")
    started: list[Desk] = []
    ready = threading.Event()
    over = asyncio.Event()

    async def serve() -> None:
        desk = Desk(listener.getsockname()[1], asyncio.get_running_loop())
        base, options = "/services/desk/api", {"desk": desk}
        server = HTTPServer(
            Application(
                [
                    (f"{base}/session/events", _Events, options),
                    (f"{base}/session/(extend|notices|answer)", _Change, options),
                    (f"{base}/end/.*", _End, options),
                ],
                log_function=lambda _: None,
            )
        )
        server.add_socket(listener)
        started.append(desk)
        ready.set()
        await over.wait()
        desk.is_away = True
        server.stop()
        await server.close_all_connections()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait()
    try:
        yield started[0]
    finally:
        started[0].loop.call_soon_threadsafe(over.set)
        thread.join()


@dataclass
class Lab:
    """A Jupyter server with the extension. `url` ends with a slash."""

    url: str
    root: Path
    desk: Desk
    command: list[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, env=self.environment, cwd=self.root, stdout=log, stderr=log)
        port = int(self.url.split(":")[2].split("/")[0])
        eventually(lambda: _listens(port), seconds=30, what="the Jupyter server")

    def kill(self) -> None:
        """As a lost node does."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running_lab(folder: Path) -> Iterator[Lab]:
    """A Jupyter server as an instance runs it, but without a hub, and the desk that it asks."""
    root = folder / "files"
    root.mkdir()
    with running_desk() as desk:
        port = free_port()
        command = [
            str(PYTHON), "-m", "jupyterlab", "--no-browser", f"--port={port}", "--ServerApp.base_url=/user/ann/",
            "--IdentityProvider.token=", "--ServerApp.allow_root=True", "--ServerApp.port_retries=0",
            *server_arguments(str(root)), *lab_arguments(),
        ]  # fmt: skip
        environment = {
            "PATH": f"{PYTHON.parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHONPATH": str(PROJECT),
            "LANG": "C.UTF-8",
            "FREEPOOL_DESK_URL": desk.url,
            "JUPYTERHUB_API_TOKEN": TOKEN,
            VARIABLE: Rules().to_json(),
        }
        lab = Lab(f"http://127.0.0.1:{port}/user/ann/", root, desk, command, environment, folder / "log")
        desk.restart()
        lab.start()
        try:
            yield lab
        finally:
            lab.kill()
