"""`python -m tests.bench.burst`: two hundred people ask at once for one of five instances.

Measured is how long each waits for an answer, which is an instance or a place in line, at the desk's API and at
JupyterHub's own; and how long the hub's event loop is busy with other things meanwhile: a process of its own asks the
hub itself, not through the proxy, every 10 ms for its health.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import httpx

from spawner.ledger import SlotState
from spawner.settings import load_settings
from tests.bench.local import interruptible
from tests.bench.table import percentile, render
from tests.stack import PROJECT, Stack, eventually, running_stack, write_catalog

PEOPLE, SIZE = 200, 5
SAMPLE_SECONDS = 0.01
AT_ONCE = 20
"""Requests at the same time while the burst is prepared."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.burst", description=__doc__)
    parser.add_argument("-n", type=int, default=PEOPLE, help="people (%(default)s)")
    parser.add_argument("--size", type=int, default=SIZE, help="instances that can be had (%(default)s)")
    parser.add_argument("--sample", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.sample:
        return sample(options.sample)
    interruptible()
    with tempfile.TemporaryDirectory(prefix="freepool-bench-", ignore_cleanup_errors=True) as folder:
        asyncio.run(_bench(options.n, options.size, Path(folder)))
    return None


async def _bench(people: int, size: int, folder: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["flavors"] = [flavor for flavor in data["flavors"] if flavor["id"] == "cpu-basic"]
        data["flavors"][0] |= {"limit": size, "warm": size, "reserve": "256MiB"}

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    print(
        f"{people} at once, {size} instances; {os.cpu_count()} cores, {memory:.0f} GiB, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}. The clients run on the same machine.\n",
        flush=True,
    )
    lines = [["", "p50", "p95", "worst", "hub busy p50", "p95", "worst", "answers"]]
    for title, way in (
        ("desk, all have the page open", _ask_desk),
        ("desk, nobody was there before", _ask_desk),
        ("JupyterHub's API", _ask_hub),
    ):
        # Each on a platform of its own: the line of one is not the other's.
        catalog = write_catalog(folder / "catalog.yaml", change)
        with running_stack(folder / title.replace(" ", "-"), catalog=catalog) as stack:
            crowd = await _gather(stack, people)
            if title.endswith("open"):
                await _all(crowd, _look, at_once=AT_ONCE)
            eventually(
                lambda stack=stack: sum(slot.state is SlotState.WARM for slot in stack.slots()) == size, seconds=120
            )
            await asyncio.sleep(2)  # what was asked before is over
            lines.append(await _measure(title, stack, crowd, way))
            if way is _ask_desk:
                lines.append(await _measure(title.split(",")[0] + ", state of a full pool", stack, crowd, _look))
            for person in crowd:
                await person.client.close()
    print(render(lines))


@dataclass(frozen=True)
class Visitor:
    """One person, with a connection of their own as a browser has one."""

    name: str
    client: aiohttp.ClientSession

    async def call(self, method: str, path: str, **arguments: Any) -> int:
        """The status of the answer, read to its end."""
        async with self.client.request(method, path, **arguments) as answer:
            await answer.read()
            return answer.status


async def _ask_desk(person: Visitor) -> int:
    return await person.call("POST", "/services/desk/api/instance", json={})


async def _ask_hub(person: Visitor) -> int:
    return await person.call("POST", f"/hub/api/users/{person.name}/server")


async def _look(person: Visitor) -> int:
    return await person.call("GET", "/services/desk/api/state")


async def _gather(stack: Stack, people: int) -> list[Visitor]:
    """Users with tokens."""
    names = [f"crowd{number}" for number in range(people)]
    assert stack.api("POST", "/users", json={"usernames": names}).status_code == 201

    async with httpx.AsyncClient(
        base_url=stack.url, headers={"Authorization": f"token {stack.token}"}, timeout=60
    ) as admin:

        async def one(name: str) -> Visitor:
            answer = await admin.post(f"/hub/api/users/{name}/tokens", json={"note": "bench"})
            headers = {"Authorization": f"token {answer.json()['token']}"}
            limit = aiohttp.ClientTimeout(total=120)
            connector = aiohttp.TCPConnector(keepalive_timeout=2)  # the proxy drops what is idle for 5 s
            return Visitor(name, aiohttp.ClientSession(stack.url, headers=headers, timeout=limit, connector=connector))

        return await _all(names, one, at_once=AT_ONCE)


async def _all(subjects: Sequence[Any], work: Callable[[Any], Awaitable[Any]], *, at_once: int) -> list[Any]:
    turn = asyncio.Semaphore(at_once)

    async def one(subject: Any) -> Any:
        async with turn:
            return await work(subject)

    return await asyncio.gather(*(one(subject) for subject in subjects))


async def _measure(
    title: str, stack: Stack, crowd: Sequence[Visitor], way: Callable[[Visitor], Awaitable[int]]
) -> list[str]:
    """All at the same moment."""

    async def one(person: Visitor) -> tuple[float, int]:
        began = time.perf_counter()
        status = await way(person)
        return time.perf_counter() - began, status

    with sampling(f"{load_settings(stack.state / 'settings.json').local_url}hub/health") as busy:
        found = await asyncio.gather(*(one(person) for person in crowd))
    times = [seconds for seconds, _ in found]
    answers = Counter(status for _, status in found)
    said = ", ".join(f"{count} x {status}" for status, count in sorted(answers.items()))
    return [title, *_three(times, "s"), *_three(busy, "ms"), said]


def _three(values: Sequence[float], unit: str) -> list[str]:
    found = [percentile(values, 0.5), percentile(values, 0.95), max(values)] if values else []
    return [f"{value:.2f} s" if unit == "s" else f"{1000 * value:.0f} ms" for value in found] or ["-"] * 3


@contextmanager
def sampling(url: str) -> Iterator[list[float]]:
    """Seconds that each look took, filled in at the end; by another process, which is not busy with the burst."""
    found: list[float] = []
    command = [sys.executable, "-m", "tests.bench.burst", "--sample", url]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as sampler:
        assert sampler.stdout is not None
        sampler.stdout.readline()  # it has begun
        try:
            yield found
        finally:
            sampler.send_signal(signal.SIGTERM)
            found += json.loads(sampler.stdout.readline())


def sample(url: str) -> None:
    """Look again and again until told to stop (SIGTERM); then print how long each look took."""
    over: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: over.append(number))
    found: list[float] = []
    with httpx.Client(timeout=60) as client:
        client.get(url)
        print("begun", flush=True)
        while not over:
            began = time.perf_counter()
            client.get(url)
            found.append(time.perf_counter() - began)
            time.sleep(SAMPLE_SECONDS)
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
