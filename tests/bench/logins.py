"""`make bench-logins`: a flood of bad logins beside a user's requests and starts, and the same without a flood."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from spawner.rate_settings import RateLimits
from tests.bench.local import interruptible
from tests.bench.table import middle, percentile
from tests.stack import NO_TLS, PROJECT, Stack, local_settings, running_stack

LOGINS, SECONDS = 10_000, 60.0
ASKS_SECONDS, STARTS_SECONDS = 0.1, 1.0
"""Between a request and the next, and between a stop and the next start."""
ASKER, STARTER = "127.0.9.1", "127.0.9.2"
IDLE, ONE, MANY = "idle", "1 address", "100 addresses"
SOURCES: Mapping[str, list[str]] = {
    IDLE: [],
    ONE: ["127.0.10.1"],
    MANY: [f"127.0.11.{number}" for number in range(1, 101)],
}
USER = "bench"


@dataclass
class Found:
    """Seconds, and the flood's answers by status."""

    asks: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def client_at(source: str) -> httpx.Client:
    """A client with this address."""
    return httpx.Client(transport=httpx.HTTPTransport(local_address=source, verify=NO_TLS), timeout=60)


def ask(stack: Stack, found: Found, until: float) -> None:
    """GET /hub/api/, again and again."""
    with client_at(ASKER) as client:
        while time.monotonic() < until:
            began = time.monotonic()
            try:
                status = client.get(f"{stack.url}/hub/api/").status_code
            except httpx.HTTPError as error:
                status, _ = type(error).__name__, found.failures.append(f"ask: {error}")
            if status == 200:
                found.asks.append(time.monotonic() - began)
            elif isinstance(status, int):
                found.failures.append(f"ask: {status}")
            time.sleep(ASKS_SECONDS)


def start(stack: Stack, token: str, found: Found, until: float) -> None:
    """Start and stop by another user, again and again."""
    with client_at(STARTER) as client:
        client.headers["Authorization"] = f"token {token}"
        user = f"{stack.url}/hub/api/users/{USER}"
        while time.monotonic() < until:
            stack.wait_warm()
            began = time.monotonic()
            answer = client.post(f"{user}/server")
            while answer.status_code == 202 and not client.get(user).json()["servers"].get("", {}).get("ready"):
                time.sleep(0.02)  # the hub says nothing by itself
            if answer.status_code in (201, 202):
                found.starts.append(time.monotonic() - began)
            else:
                found.failures.append(f"start: {answer.status_code} {answer.text[:200]}")
            stack.stop(USER)
            time.sleep(STARTS_SECONDS)


def measure(stack: Stack, token: str, sources: Sequence[str], *, logins: int, seconds: float) -> Found:
    """One round: a flood from these sources, or none."""
    found = Found()
    flood = None
    if sources:
        url = f"{stack.url}/hub/link?user={USER}&token=bad"
        command = [sys.executable, "-m", "tests.bench.flood", url, str(logins), str(seconds), *sources]
        flood = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + seconds
    workers = [
        threading.Thread(target=ask, args=(stack, found, until)),
        threading.Thread(target=start, args=(stack, token, found, until)),
    ]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if flood is not None:
            said, _ = flood.communicate(timeout=seconds * 3 + 60)
            found.answers = json.loads(said)
    finally:
        if flood is not None:
            flood.kill()
    return found


def render(rounds: Mapping[str, Found], title: str) -> str:
    """The table: milliseconds, and in brackets how they relate to the idle round."""
    lines = [f"{title:<22}{'GET /hub/api/ p50':>20}{'p95':>16}{'start p50':>16}{'p95':>16}  answers to bad logins"]
    for name, found in rounds.items():
        cells = []
        for values, idle in ((found.asks, rounds[IDLE].asks), (found.starts, rounds[IDLE].starts)):
            for statistic in (middle, lambda all_values: percentile(all_values, 0.95)):
                cells.append(_cell(statistic(values), statistic(idle)) if values and idle else "-")
        answers = ", ".join(f"{status}: {count}" for status, count in sorted(found.answers.items())) or "-"
        lines.append(f"{name:<22}{cells[0]:>20}{cells[1]:>16}{cells[2]:>16}{cells[3]:>16}  {answers}")
        lines += [f"  {failure}" for failure in found.failures[:5]]
    return "\n".join(lines)


def _cell(value: float, idle: float) -> str:
    return f"{value * 1000:.0f} ms ({value / idle:.2f}x)"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it and print the tables."""
    parser = argparse.ArgumentParser(prog="make bench-logins", description=__doc__)
    parser.add_argument("-n", type=int, default=LOGINS, help="bad logins in a round (%(default)s)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of a round (%(default)s)")
    parser.add_argument("--without", action="store_true", help="then also with the limits off")
    options = parser.parse_args(arguments)
    interruptible()
    print(f"{platform.machine()}, {os.cpu_count()} processors; {options.n} bad logins in {options.seconds:.0f} s")
    for is_on in (True, False) if options.without else (True,):
        with tempfile.TemporaryDirectory(prefix="freepool-bench-", ignore_cleanup_errors=True) as folder:
            limits = RateLimits(enabled=is_on).model_dump()
            settings = local_settings(Path(folder, "settings.yaml"), rate_limits=limits)
            with running_stack(Path(folder, "state"), settings=settings) as stack:
                stack.add_user(USER)
                token = stack.user_token(USER)
                stack.run(USER)  # the first one pays for caches
                stack.stop(USER)
                rounds = {
                    name: measure(stack, token, sources, logins=options.n, seconds=options.seconds)
                    for name, sources in SOURCES.items()
                }
        print(render(rounds, "limits on" if is_on else "limits off"), flush=True)


if __name__ == "__main__":
    main()
