"""`make bench-scale`: one hub with many accounts, running servers, a queue and open desks; SQLite and PostgreSQL.

Real: hub, proxy, desk, steward and databases, as `freepool up` starts them. Pretended: the slots, which are names in a
folder, and their notebook servers, for which one small server answers. `BENCH="--full"` has the sizes of docs/scale.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import text

from spawner.catalog import Catalog, load_catalog
from spawner.descriptors import raise_limit
from tests.bench.local import interruptible
from tests.bench.scale import measures, rows
from tests.bench.scale.measures import percentile
from tests.bench.scale.pool import ADDRESS, FOLDER, ROUNDS
from tests.bench.scale.rows import Size
from tests.ledger.postgres import fresh_database, running_postgres
from tests.stack import PROJECT, Stack, local_settings, running_stack

SMALL = Size(accounts=2000, running=200, waiting=100, past=20_000, desks=100)
FULL = Size(accounts=50_000, running=2000, waiting=1000, past=1_000_000, desks=2000)
QUIET_SECONDS = 15.0
SPARE = 400
"""Room for the starts that are measured."""


class Found(dict[str, float]):
    """What is found, each told on stderr at once: a whole run takes a quarter of an hour."""

    def __setitem__(self, name: str, value: float) -> None:
        super().__setitem__(name, value)
        print(f"{name}: {value:.1f}", file=sys.stderr, flush=True)


def write_catalog(path: Path, size: Size) -> Catalog:
    """Three flavors that are full, in which people wait, and one with warm slots."""
    data: dict[str, Any] = yaml.safe_load((PROJECT / "hub_config" / "catalog.yaml").read_text())
    words = {"en": "A machine type", "zh": "机型"}
    common = {"title": words, "summary": words, "cpu": 1, "memory": "1GiB", "disk": "1GiB", "session_minutes": 600}
    full = [common | {"id": name, "limit": size.running // 3} for name in ("small", "large", "gpu")]
    warm = common | {"id": "spare", "limit": SPARE, "warm": {"floor": 30, "ceiling": 60}}
    data["flavors"] = [warm, *full]
    data["images"] = [data["images"][0] | {"id": "cpu"}]
    data["examples"] = [one | {"image": "cpu"} for one in data["examples"]]
    data["defaults"] = {"flavor": "spare", "image": "cpu"}
    data["allowances"] = {}
    path.write_text(yaml.safe_dump(data, allow_unicode=True))
    return load_catalog(path)


@contextmanager
def pretended_servers() -> Iterator[str]:
    """The server that answers for all slots; yields its URL."""
    command = [sys.executable, "-m", "tests.bench.scale.servers"]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate()


def measure(size: Size, *, postgres: str | None) -> Found:
    """Everything, on one database."""
    with tempfile.TemporaryDirectory(prefix="freepool-bench-", ignore_cleanup_errors=True) as name, \
            pretended_servers() as address:  # fmt: skip
        folder, slots = Path(name), Path(name) / "slots"
        slots.mkdir()
        catalog = write_catalog(folder / "catalog.yaml", size)
        path = f"{PROJECT / 'tests/bench/scale/site'}:{PROJECT}"
        environment = {FOLDER: str(slots), ADDRESS: address, "PYTHONPATH": path}
        os.environ.update(environment)
        settings = local_settings(folder / "local.yaml", environment=environment, answer_seconds=600)
        arguments = {"catalog": folder / "catalog.yaml", "settings": settings, "ledger_url": postgres}
        with running_stack(folder / "state", **arguments, arguments=("--unsafe-no-sandbox",)) as stack:  # type: ignore[arg-type]
            url = stack.settings.hub_database
        _fill(stack, size, url, slots, address)
        began = time.perf_counter()
        with running_stack(folder / "state", **arguments, arguments=("--unsafe-no-sandbox",)) as stack:  # type: ignore[arg-type]
            try:
                found = Found()
                found["first start of hub, s"] = time.perf_counter() - began
                _measure(found, stack, size, catalog, slots)
                return found
            finally:
                stack.process.kill()  # ending thousands of instances in good order takes minutes
                stack.process.wait()


def _fill(stack: Stack, size: Size, hub_url: str, slots: Path, address: str) -> None:
    from spawner.ledger import open_ledger

    now = datetime.now(UTC)
    engine = rows.hub_engine(hub_url)
    rows.fill_hub(engine, size, int(address.rpartition(":")[2]), now)
    engine.dispose()
    ledger = open_ledger(stack.settings.ledger)
    ledger.write(rows.fill_ledger, size, now, address)
    ledger.write(lambda connection: connection.execute(text("ANALYZE")))
    ledger.read(lambda connection: rows.make_slots(slots, connection))
    ledger.close()


def _measure(found: Found, stack: Stack, size: Size, catalog: Catalog, slots: Path) -> None:
    newcomers = (f"p{number}" for number in range(size.running + size.waiting, size.accounts))
    stack.wait_warm(20)
    with measures.hub_delays(stack) as delays:
        processors = measures.Processors(stack)
        time.sleep(QUIET_SECONDS)
        _note_delays(found, "quiet", delays)
        for program, share in processors.shares().items():
            found[f"quiet: {program}, % of a core"] = share * 100
    for title, count, every in (("20 a minute", 8, 3.0), ("5 a second", 50, 0.2)):
        with measures.hub_delays(stack) as delays:
            names = [next(newcomers) for _ in range(count)]
            processors = measures.Processors(stack)
            seconds, failed = measures.starts(stack, names, every=every)
            used = processors.seconds()
            found[f"warm start, {title}: p50, ms"] = percentile(seconds, 0.5) * 1000
            found[f"warm start, {title}: p95, ms"] = percentile(seconds, 0.95) * 1000
            found[f"warm start, {title}: not ready in 10 s"] = failed
            for program in ("hub", "steward"):
                found[f"warm start, {title}: {program}'s processor, ms"] = used[program] / count * 1000
            _note_delays(found, title, delays)
        stack.wait_warm(20)
    for flavor in ("spare", "gpu"):
        names = [next(newcomers) for _ in range(20)]
        asked = measures.admissions(stack.ledger, catalog, names, flavor)
        found[f"admission with the lock, {flavor}: p50, ms"] = percentile([one for one, _ in asked], 0.5) * 1000
        found[f"admission with the lock, {flavor}: processor, ms"] = percentile([used for _, used in asked], 0.5) * 1000
    metrics = [measures.metrics_seconds(stack) for _ in range(3)]
    found["metrics, ms"] = percentile(metrics, 0.5) * 1000
    _note_rounds(found, slots)
    news, used = asyncio.run(measures.Desks(stack, size.desks).measure())
    for share, title in ((0.5, "p50"), (0.95, "p95"), (1.0, "worst")):
        found[f"news on {size.desks} desks: {title}, s"] = percentile(news, share)
    found["news: desk's processor, ms a desk"] = used["desk"] / size.desks * 1000
    routes = measures.routes_of(stack)
    answers, complete, used_by_hub = measures.return_of_hub(stack, routes, at_most=300)
    found["hub killed: answers again, s"] = answers
    found["hub killed: all routes, s"] = complete
    found["hub killed: its processor, s"] = used_by_hub
    found["hub killed: routes lost"] = routes - measures.routes_of(stack)


def _note_delays(found: Found, title: str, delays: list[float]) -> None:
    found[f"hub's loop, {title}: p99, ms"] = percentile(delays, 0.99) * 1000
    found[f"hub's loop, {title}: worst, ms"] = percentile(delays, 1.0) * 1000


def _note_rounds(found: Found, slots: Path) -> None:
    seconds = [float(line) for line in (slots.parent / ROUNDS).read_text().split()][-100:]
    found["steward's round: p50, ms"] = percentile(seconds, 0.5) * 1000
    found["steward's round: worst, ms"] = percentile(seconds, 1.0) * 1000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="make bench-scale", description=__doc__)
    parser.add_argument("--full", action="store_true", help=f"{FULL}; else {SMALL}")
    for name in ("accounts", "running", "waiting", "past", "desks"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--only", choices=("sqlite", "postgresql"), help="one database")
    options = parser.parse_args()
    size = FULL if options.full else SMALL
    given = {name: getattr(options, name) for name in vars(size) if getattr(options, name) is not None}
    size = replace(size, **given)
    interruptible()
    raise_limit()
    print(f"{size}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    columns: dict[str, Found] = {}
    if options.only != "postgresql":
        columns["SQLite"] = measure(size, postgres=None)
        _print(columns)
    if options.only != "sqlite":
        with running_postgres() as server, fresh_database(server, "bench") as url:
            columns["PostgreSQL"] = measure(size, postgres=url.render_as_string(hide_password=False))
        _print(columns)
    print(f"load at the end {os.getloadavg()[0]:.1f}")


def _print(columns: dict[str, Found]) -> None:
    print(f"{'':46}" + "".join(f"{name:>12}" for name in columns))
    for name in next(iter(columns.values())):
        print(
            f"{name:46}" + "".join(f"{found.get(name, float('nan')):12.1f}" for found in columns.values()), flush=True
        )


if __name__ == "__main__":
    main()
