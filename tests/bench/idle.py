"""What the steward's looks at use cost: an hour of a full pool in virtual time. `python -m tests.bench.idle`.

The pool is replayed: recorded use (`tests/idle/samples`) for each instance, as the metrics API's JSON, and reports that
a small server in another process answers by HTTP. The rest is the real thing: parsing, judging, the ledger, HTTP.
Afterwards sessions are simulated, and each stop is checked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import Connection, insert

from spawner.ledger import Ledger, open_ledger
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import migrate
from spawner.ledger.pool.rows import InstanceState
from spawner.ledger.pool.tables import instances
from spawner.pool.backends.base import Usage
from spawner.pool.backends.kubernetes.manifest import CONTAINER, SLOT_LABEL
from spawner.pool.backends.kubernetes.metrics import read_usage
from spawner.steward.activity_reports import ActivityReports
from spawner.steward.idle import IdleWatch
from spawner.steward.readings import Readings
from tests.idle.replay import recorded
from tests.idle.simulate import simulate
from tests.ledger.running import DestroyingBackend, pool_on

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SHARES = {"training": 2, "job_in_a_terminal": 1, "sleep_in_a_cell": 1, "lab_left_open": 4, "lab_closed": 2}
SERVER = """
import asyncio, sys
body = sys.stdin.buffer.readline().strip()
answer = b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%b" % (len(body), body)
async def serve(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            writer.write(answer)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@dataclass
class ReplayedBackend(DestroyingBackend):
    """Answers as the metrics API would, and reads the answer as the backend for Kubernetes does."""

    minute: int = 0

    async def usage(self, slot_ids: Collection[str], *, ports: frozenset[int] | None) -> Usage:
        text = json.dumps({"items": [self._pod(slot_id) for slot_id in slot_ids]})
        return read_usage(200, json.loads(text), set(slot_ids))

    def _pod(self, slot_id: str) -> dict[str, Any]:
        windows = WINDOWS[KINDS[int(slot_id[1:]) % len(KINDS)]]
        processors = windows[self.minute % len(windows)].processors
        return {
            "metadata": {"name": f"freepool-{slot_id}", "namespace": "pool", "labels": {SLOT_LABEL: slot_id}},
            "timestamp": f"minute {self.minute}",
            "window": "15s",
            "containers": [{"name": CONTAINER, "usage": {"cpu": f"{round(processors * 1e9)}n", "memory": "300Mi"}}],
        }


KINDS = [name for name, share in SHARES.items() for _ in range(share)]
WINDOWS = {name: recorded(name) for name in SHARES}


def fill(connection: Connection, count: int, port: int) -> None:
    """So many running instances of the flavor `small`."""
    common = dict.fromkeys(("example", "ends_at", "stopping_at", "ended_at", "reason", "detail", "died_at"))
    rows = [
        common
        | {"id": f"i{n}", "person_id": f"p{n}", "user_name": f"u{n}", "server_name": "", "flavor": "small"}
        | {"image": "cpu", "state": InstanceState.RUNNING, "hub_epoch": "1", "slot_id": f"s{n}"}
        | {"url": f"http://127.0.0.1:{port}", "requested_at": NOW, "usable_at": NOW}
        for n in range(count)
    ]
    connection.execute(insert(instances), rows)


async def replay(ledger: Ledger, count: int, minutes: int) -> None:
    """Look each minute, and print what that cost."""
    report = json.dumps({"now": 1e9, "kernels": [], "terminals": [], "tabs": 1, "network": 1}).encode()
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(report + b"\n")
    server.stdin.flush()
    ledger.write(fill, count, int(server.stdout.readline()))
    backend, clock, costs, asked = ReplayedBackend(), [NOW], [], Counter[str]()
    async with aiohttp.ClientSession() as session:
        pool = replace(pool_on(ledger), backend=backend, now=lambda: clock[0])  # type: ignore[arg-type]
        reports = ActivityReports(session, b"key")
        ask = reports.ask

        async def counted(instances: Any) -> Any:
            asked["asked"] += len(instances)
            return await ask(instances)

        reports.ask = counted  # type: ignore[method-assign]
        watch = IdleWatch(pool, Readings(pool), reports, monotonic=lambda: clock[0].timestamp())  # noqa: PLW0108  (the clock moves)
        for minute in range(minutes):
            clock[0] += timedelta(minutes=1)
            backend.minute = minute
            made = _time_to_make(backend, count)
            began = time.process_time()
            await watch.look()
            costs.append(time.process_time() - began - made)
        await pool._endings.join()
    server.kill()
    server.communicate()
    ended = len(set(backend.destroyed))
    mean, worst = sum(costs) / len(costs), max(costs[1:])
    print(
        f"{count} instances, {minutes} looks, one a minute (virtual time), {asked['asked'] / minutes:.0f} asked in each"
    )
    print(f"first look        {costs[0]:6.2f} s of a processor (all are asked)")
    print(f"mean of all looks {mean:6.2f} s = {mean / 60:.2%} of a core; worst of the others {worst:.2f} s")
    print(f"stopped for being idle: {ended}; memory of the process {_megabytes():.0f} MB\n", flush=True)


def _time_to_make(backend: ReplayedBackend, count: int) -> float:
    """Seconds that the backend's JSON takes to write, which in reality the API server does."""
    began = time.process_time()
    json.dumps({"items": [backend._pod(f"s{n}") for n in range(count)]})
    return time.process_time() - began


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def simulated(count: int) -> None:
    """Simulate sessions, and print what was promised and not kept."""
    random.seed(0)
    sessions = [simulate(seed) for seed in range(count)]
    problems = Counter(one.problem for one in sessions if one.problem)
    ended = sum(one.replay.ended is not None for one in sessions)
    notices = sum(len(one.replay.notices) for one in sessions)
    print(
        f"{count} simulated sessions: {notices} notices, {ended} stops, {sum(problems.values())} wrong {dict(problems)}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.idle", description=__doc__)
    parser.add_argument("-n", type=int, default=2000, help="running instances (%(default)s)")
    parser.add_argument("--minutes", type=int, default=60, help="of virtual time (%(default)s)")
    parser.add_argument("--sessions", type=int, default=10_000, help="simulated sessions (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="freepool-bench-") as folder:
        url = f"sqlite:///{Path(folder) / 'ledger.sqlite'}"
        engine = make_engine(url)
        migrate(engine)
        engine.dispose()
        ledger = open_ledger(url)
        asyncio.run(replay(ledger, options.n, options.minutes))
        ledger.close()
    if options.sessions:
        simulated(options.sessions)


if __name__ == "__main__":
    main()
