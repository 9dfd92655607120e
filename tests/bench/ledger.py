"""Times of the ledger's frequent queries with many past instances: `python -m tests.bench.ledger [-n 1000000]`."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

from sqlalchemy import Connection, text

from spawner.ledger import Ledger, open_ledger
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import migrate
from tests.ledger.frequent import check_hours, frequent
from tests.ledger.many import fill, fill_hours
from tests.ledger.postgres import fresh_database, running_postgres
from tests.ledger.rows import NOW

ROUNDS = 5
CHECKS = 2000
"""Checks of hours, each of another person: enough for the 99th percentile."""


def measure(url: str, past: int, running: int, waiting: int, *, only_hours: bool = False) -> dict[str, float]:
    """Milliseconds of each query, the median of some, in transactions that write: as under the lock."""
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
    ledger = open_ledger(url)
    try:
        if only_hours:
            ledger.write(lambda connection: fill_hours(connection, past, running=running))
        else:
            ledger.write(lambda connection: fill(connection, past, running=running, waiting=waiting))
        ledger.write(lambda connection: connection.execute(text("ANALYZE")))
        names = () if only_hours else frequent(NOW)
        times = {name: median(_milliseconds(ledger, name) for _ in range(ROUNDS)) for name in names}
        return times | ledger.write(_checks)
    finally:
        ledger.close()


def _milliseconds(ledger: Ledger, name: str) -> float:
    action, began = frequent(NOW)[name], time.perf_counter()
    ledger.write(action)
    return (time.perf_counter() - began) * 1000


def _checks(connection: Connection) -> dict[str, float]:
    """Milliseconds of admission's check of a person's hours, inside its transaction, beside those of `SELECT 1`.

    On a machine that does other work too, the processor time of this process and the ratio say more than the wall's.
    """
    wall, processor, least = [], [], []
    for number in range(CHECKS):
        began = time.perf_counter()
        connection.execute(text("SELECT 1")).scalar_one()
        least.append((time.perf_counter() - began) * 1000)
        began, used = time.perf_counter(), time.process_time()
        check_hours(connection, NOW, f"p{number}")
        wall.append((time.perf_counter() - began) * 1000)
        processor.append((time.process_time() - used) * 1000)
    found = {}
    for name, taken in (("hours: the check", wall), ("hours: its processor time", processor), ("SELECT 1", least)):
        found |= {f"{name}, median": median(taken), f"{name}, p99": sorted(taken)[CHECKS * 99 // 100]}
    return found | {"hours: the check / SELECT 1": median(wall) / median(least)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=1_000_000, help="past instances")
    parser.add_argument("--running", type=int, default=2000)
    parser.add_argument("--waiting", type=int, default=1000)
    parser.add_argument("--only-hours", action="store_true", help="fill and read only what counts hours: minutes less")
    options = parser.parse_args()
    sizes = (options.n, options.running, options.waiting)
    with tempfile.TemporaryDirectory(prefix="freepool-bench-") as folder:
        sqlite = measure(f"sqlite:///{Path(folder) / 'ledger.sqlite'}", *sizes, only_hours=options.only_hours)
    with running_postgres() as server, fresh_database(server, "bench") as url:
        postgres = measure(url.render_as_string(hide_password=False), *sizes, only_hours=options.only_hours)
    print(f"{options.n} past instances, {options.running} running, {options.waiting} waiting; milliseconds")
    print(f"{'':34}{'SQLite':>10}{'PostgreSQL':>12}")
    for name, milliseconds in sqlite.items():
        print(f"{name:34}{milliseconds:10.2f}{postgres[name]:12.2f}")


if __name__ == "__main__":
    main()
