"""A TCP proxy before the API server, with which tests simulate network failures."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
CHUNK = 64 * 1024


class Gate:
    """A TCP proxy in its own thread, so that sync and async tests can control it.

    `open`, `shut` (connections break and are refused), `stall` (they stay, new ones are accepted, and nothing passes),
    `cut` (all that are open break; new ones pass).
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gate", daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self.connections = 0

    def start(self) -> None:
        """Start the thread, with the gate open."""
        self._thread.start()
        self.open()

    def open(self) -> None:
        """Let everything pass; what was stalled breaks, as a network that comes back breaks it."""
        self._call(self._open())

    def shut(self) -> None:
        """Refuse, and break what is open."""
        self._call(self._shut())

    def stall(self) -> None:
        """Keep all connections and take new ones, and pass nothing on."""
        self._call(self._stall())

    def cut(self) -> None:
        """Break what is open."""
        self._call(self._cut())

    def end(self) -> None:
        """Stop for good."""
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _call(self, doing: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(10)

    async def _open(self) -> None:
        if not self._passing.is_set():
            await self._cut()
        self._passing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()

    async def _stall(self) -> None:
        self._passing.clear()

    async def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _end(self) -> None:
        await self._shut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        other: asyncio.StreamWriter | None = None
        try:
            await self._passing.wait()
            there, other = await asyncio.open_connection(*self._target)
            self._writers.add(other)
            await asyncio.gather(self._pass_on(reader, other), self._pass_on(there, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in (writer, other):
                if one is not None:
                    self._writers.discard(one)
                    one.transport.abort()
            self._tasks.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            await self._passing.wait()
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof() if writer.can_write_eof() else writer.close()
        raise ConnectionResetError  # one direction has ended: end the other


@contextmanager
def gate_to(kubeconfig: Path, copy: Path) -> Iterator[Gate]:
    """A gate before the API server of a kubeconfig (JSON or YAML), and in `copy` a kubeconfig that goes through it."""
    import yaml

    config = yaml.safe_load(kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    address = urlsplit(cluster["server"])
    assert address.hostname
    gate = Gate(address.hostname, address.port or 443)
    cluster["server"] = f"https://127.0.0.1:{gate.port}"
    cluster["tls-server-name"] = address.hostname
    copy.write_text(json.dumps(config))
    copy.chmod(0o600)
    gate.start()
    try:
        yield gate
    finally:
        gate.end()
