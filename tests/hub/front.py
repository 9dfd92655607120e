"""The proxy's starter alone, on sockets of its own, with upstreams that say what reached them."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx

from spawner.local import front, preflight
from spawner.rate_settings import RateLimits
from spawner.settings import LOOPBACK, Settings
from tests.stack import eventually

TOKEN = "proxy-token"
UNLIMITED = RateLimits(enabled=False)


class Upstream(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Answers with its name, the path and the length of the body.

    `bodies` are the lengths that came whole, `forwarded` says who asked, `connection` what becomes of the connection;
    `says` are headers of its answers.
    """

    daemon_threads = True

    def __init__(self, name: str, listener: socket.socket) -> None:
        super().__init__(("", 0), _Echo, bind_and_activate=False)
        self.name, self.bodies, self.began, self.status = name, list[int](), list[str](), 200
        self.forwarded, self.connection = list[str](), list[str]()
        self.says = dict[str, str]()
        self.socket.close()
        self.socket = listener
        self.server_address = listener.getsockname()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle_error(self, *_: object) -> None:
        """A body that was cut off."""


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Upstream

    def do_GET(self) -> None:
        self.server.began.append(self.path)
        self.server.forwarded.append(self.headers.get("X-Forwarded-For", ""))
        self.server.connection.append(self.headers.get("Connection", ""))
        body = self._body()
        self.server.bodies.append(len(body))
        text = f"{self.server.name} {self.path} {len(body)}".encode()
        self.send_response(self.server.status)
        for name, value in self.server.says.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_PUT = do_GET

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):  # fails where the proxy has given up
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def address_string(self) -> str:
        return "proxy"  # a Unix socket has no address

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Front:
    """A running starter. `hub`, `desk` and `notebook` are what it leads to."""

    folder: Path
    port: int
    hub: Upstream
    desk: Upstream
    notebook: Upstream
    command: list[str]
    descriptors: list[int]
    gate: str
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env={**os.environ, "CONFIGPROXY_AUTH_TOKEN": TOKEN},
                pass_fds=self.descriptors,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def wait(self) -> None:
        """Until it answers."""
        eventually(self._answers, what=f"the proxy: {self.log}")

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log
        return (self.folder / "proxy.sock").exists() and self.get("_chp_healthz").status_code == 200

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/"

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=headers, timeout=20)

    def connect(self, source: str = "") -> socket.socket:
        """A bare connection."""
        return socket.create_connection((LOOPBACK, self.port), timeout=20, source_address=(source, 0))

    def routes(self, method: str, path: str = "", **data: Any) -> httpx.Response:
        """The proxy's API."""
        transport = httpx.HTTPTransport(uds=str(self.folder / "proxy.sock"))
        with httpx.Client(transport=transport, base_url="http://proxy", timeout=20) as client:
            headers = {"Authorization": f"token {TOKEN}"}
            return client.request(method, f"/api/routes{path}", headers=headers, json=data or None)


@contextmanager
def running_front(
    host: str = "",
    connections: int = 100,
    rates: RateLimits = UNLIMITED,
    trusted_proxies: int = 0,
    **limits: int,
) -> Iterator[Front]:
    """The starter with these limits (`LIMITS` in front.js); notebooks are at /user/ann."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="front-", dir="/tmp")))
        upstreams = {name: Upstream(name, _unix(folder / f"{name}.sock")) for name in ("hub", "desk")}
        notebook = Upstream("notebook", socket.create_server((LOOPBACK, 0)))
        for upstream in (*upstreams.values(), notebook):
            stack.callback(upstream.server_close)
            stack.callback(upstream.shutdown)
        public, extra = (stack.enter_context(socket.create_server((LOOPBACK, 0))) for _ in range(2))
        port = public.getsockname()[1]
        gate = stack.enter_context(front.open_gate_socket())
        settings = Settings(
            catalog=folder, state=folder, examples=folder, sockets=folder, public_port=port,
            gate_port=gate.getsockname()[1], rate_limits=rates, trusted_proxies=trusted_proxies,
            public=f"http://{host or LOOPBACK}:{port}", subdomain_host=f"http://{host}:{port}" if host else None,
        )  # fmt: skip
        command = front.front_command(settings, preflight.proxy_command(), [public, extra, gate])
        options = json.loads(command[-1]) | {"connections": connections, "limits": {"checkMs": 50, **limits}}
        running = Front(
            folder,
            port,
            upstreams["hub"],
            upstreams["desk"],
            notebook,
            [*command[:-1], json.dumps(options)],
            [public.fileno(), extra.fileno(), gate.fileno()],
            settings.gate_url,
        )
        running.start()
        stack.callback(running.kill)
        running.wait()
        here = f"/ann.{host}/user/ann" if host else "/user/ann"
        made = running.routes("POST", here, target=f"http://{LOOPBACK}:{notebook.server_address[1]}", user="ann")
        assert made.status_code == 201, (made.text, running.log)
        yield running


def _unix(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(64)
    return listener
