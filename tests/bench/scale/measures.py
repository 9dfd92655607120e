"""What is measured: the hub's loop, starts, the hub's return, admission under the lock, open desks, and processors."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import httpx
from sqlalchemy import Connection

from spawner.catalog import Catalog
from spawner.ledger import Ledger
from spawner.ledger.pool import admin_settings
from spawner.pool.admin.settings import PAUSE
from spawner.pool.options import Choice
from spawner.pool.queue.admission import Admission, SpawnRequest
from tests.bench.scale.pool import PretendedBackend
from tests.bench.scale.rows import token_of
from tests.stack import Stack

LOOK_SECONDS = 0.05
PAUSED = b"Paused by the administrator"
NEWS_SECONDS = 60.0
OPENING = 20
"""Desks that open at the same time: the hub checks the token of each."""
PROGRAMS = ("hub", "proxy", "desk", "steward")


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of the values does not exceed; infinite where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("inf")


@contextmanager
def hub_delays(stack: Stack) -> Iterator[list[float]]:
    """Seconds that the hub takes for a request that needs nothing, asked again and again while the block runs."""
    found: list[float] = []
    ended = Event()

    def look() -> None:
        transport = httpx.HTTPTransport(uds=str(stack.settings.hub_socket))
        with httpx.Client(transport=transport, base_url="http://hub", timeout=120) as client:
            while not ended.wait(LOOK_SECONDS):
                began = time.perf_counter()
                with suppress(httpx.HTTPError):
                    client.get("/hub/health")
                    found.append(time.perf_counter() - began)

    thread = Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


class Processors:
    """Processor seconds of the four programs between two times."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._began = time.perf_counter()
        self._before = self._read()

    def _read(self) -> dict[str, float]:
        return {name: sum(map(_seconds, self._stack.pids(name))) for name in PROGRAMS}

    def seconds(self) -> dict[str, float]:
        """By program: processor seconds since this was made. A busy machine changes them little."""
        return {name: seconds - self._before[name] for name, seconds in self._read().items()}

    def shares(self) -> dict[str, float]:
        """By program: the share of one core since this was made."""
        took = time.perf_counter() - self._began
        return {name: seconds / took for name, seconds in self.seconds().items()}


def _seconds(pid: int) -> float:
    with suppress(OSError):
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def starts(stack: Stack, names: Sequence[str], *, every: float) -> tuple[list[float], int]:
    """Start the servers of these users, one each `every` seconds. Returns seconds of each that
    was ready in the 10 s for which the hub answers, and how many were not."""

    def one(number: int, name: str) -> float | None:
        time.sleep(max(0.0, began + number * every - time.perf_counter()))
        asked = time.perf_counter()
        answer = stack.start(name)
        return time.perf_counter() - asked if answer.status_code == 201 else None

    began = time.perf_counter()
    with ThreadPoolExecutor(32) as threads:
        found = list(threads.map(one, itertools.count(), names))
    return [seconds for seconds in found if seconds is not None], found.count(None)


def return_of_hub(stack: Stack, routes: int, *, at_most: float) -> tuple[float, float, float]:
    """Kill the hub. Returns seconds until it answers and until the proxy has all its routes; the hub's processor's."""
    stack.kill("hub")
    began = time.perf_counter()
    back = lambda: stack.api("GET", "/").status_code == 200  # noqa: E731
    answers = _until(back, began, at_most)
    complete = _until(lambda: routes_of(stack) >= routes, began, at_most)
    return answers, complete, sum(map(_seconds, stack.pids("hub")))


def _until(holds: Callable[[], bool], began: float, at_most: float) -> float:
    while (took := time.perf_counter() - began) < at_most:
        with suppress(httpx.HTTPError):
            if holds():
                return time.perf_counter() - began
        time.sleep(LOOK_SECONDS)
    return took


def routes_of(stack: Stack) -> int:
    """How many routes the proxy has."""
    transport = httpx.HTTPTransport(uds=str(stack.settings.proxy_api_socket))
    headers = {"Authorization": f"token {stack.settings.secret('proxy')}"}
    with httpx.Client(transport=transport, base_url="http://proxy", timeout=60, headers=headers) as client:
        return len(client.get("/api/routes").json())


class Undone(Exception):
    """Rolls a transaction back."""


def admissions(ledger: Ledger, catalog: Catalog, names: Sequence[str], flavor: str) -> list[tuple[float, float]]:
    """Of admission's decision about a request of each person, inside a transaction that writes: seconds, and those of
    this process's processor."""
    backend = PretendedBackend(Path("/"), "")
    ids = (f"bench{number}" for number in itertools.count())
    admission = Admission(catalog, backend, lambda: datetime.now(UTC), lambda: next(ids))
    choice = Choice(catalog.flavor(flavor), catalog.image(catalog.defaults.image), None)
    found: list[tuple[float, float]] = []

    def ask(connection: Connection, name: str) -> None:
        began, used = time.perf_counter(), time.thread_time()
        admission.ask(connection, SpawnRequest(name, name, "", choice))
        found.append((time.perf_counter() - began, time.thread_time() - used))
        raise Undone

    for name in names:
        with suppress(Undone):
            ledger.write(ask, name)
    return found[1:]  # the first one learns how long sessions last


def metrics_seconds(stack: Stack) -> float:
    """Seconds of a scrape."""
    began = time.perf_counter()
    answer = stack.desk("GET", "metrics", token=stack.token)
    assert answer.status_code == 200, answer.text
    return time.perf_counter() - began


class Desks:
    """Open pages of users, each a stream of states by way of the proxy."""

    def __init__(self, stack: Stack, count: int) -> None:
        self._stack = stack
        self._count = count
        self._arrived: dict[int, float] = {}
        self._looking_for: bytes | None = None
        self._open = 0

    async def measure(self) -> tuple[list[float], dict[str, float]]:
        """Open them, change what all of them show, twice. Returns seconds until each shows it, and the
        processors' for one change."""
        gate = asyncio.Semaphore(OPENING)
        tasks = [asyncio.create_task(self._follow(number, gate)) for number in range(self._count)]
        began = time.perf_counter()
        while self._open < self._count and time.perf_counter() - began < 300:
            await asyncio.sleep(0.1)
        await asyncio.sleep(5)
        found: list[float] = []
        processors = Processors(self._stack)
        for change in (self._pause, self._resume, self._pause, self._resume):
            self._arrived.clear()
            self._looking_for = PAUSED if change == self._pause else b""
            await asyncio.to_thread(change)
            changed = time.perf_counter()
            while len(self._arrived) < self._open and time.perf_counter() - changed < NEWS_SECONDS:
                await asyncio.sleep(0.05)
            found += [at - changed for at in self._arrived.values()]
            found += [NEWS_SECONDS] * (self._open - len(self._arrived))
        seconds = {name: took / 4 for name, took in processors.seconds().items()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return found, seconds

    def _pause(self) -> None:
        name = f"{PAUSE}gpu"
        self._stack.ledger.write(lambda c: admin_settings.put(c, name, True, now=datetime.now(UTC), by="bench"))

    def _resume(self) -> None:
        self._stack.ledger.write(lambda c: admin_settings.clear(c, f"{PAUSE}gpu"))

    async def _follow(self, number: int, gate: asyncio.Semaphore) -> None:
        async with gate:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._stack.port, limit=2**20)
            host = self._stack.settings.public_url.split("/")[2]
            writer.write(
                f"GET /services/desk/api/events HTTP/1.1\r\nHost: {host}\r\n"
                f"Authorization: token {token_of(number)}\r\nAccept-Language: en\r\n\r\n".encode()
            )
            status = await reader.readline()
            assert b" 200 " in status, status + await reader.read(2000)
            await self._next_state(reader)
            self._open += 1
        while True:
            state = await self._next_state(reader)
            wanted = self._looking_for
            if wanted is not None and number not in self._arrived and (PAUSED in state) == bool(wanted):
                self._arrived[number] = time.perf_counter()

    async def _next_state(self, reader: asyncio.StreamReader) -> bytes:
        while not (line := await reader.readline()).startswith(b"data: {"):
            if not line:
                raise ConnectionError("the desk ended a stream")
        return line
