"""The rows of the last day, kept by a process that shows them again and again: it reads only what has come since.

Such rows do not change any more: a ticket ends once, an instance becomes usable once and ends once. With 11,000
instances a day each scrape of the metrics and each state of the administrator's page would read 40,000 rows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection

from spawner.ledger import Instance, StartStep, Ticket
from spawner.ledger.pool.instances import LONGEST_START
from spawner.pool.statistics import DAY, Day, read_day

OVERLAP = timedelta(minutes=10)
"""A row may be written so long after the time in it: writers wait for each other, and clocks differ."""
T = TypeVar("T")


class DayReader:
    """One per process. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_until: datetime | None = None
        self._tickets: dict[str, Ticket] = {}
        self._started: dict[str, Instance] = {}
        self._ended: dict[str, Instance] = {}
        self._steps: dict[str, tuple[datetime, set[StartStep]]] = {}

    def read(self, connection: Connection, *, now: datetime) -> Day:
        """Everything of the last 24 hours."""
        with self._lock:
            since, until = now - DAY, self._read_until
            fresh = read_day(connection, now=now, since=since if until is None else max(since, until - OVERLAP))
            self._read_until = now
            # What was open and is not listed any more was deleted; what has ended since is in `fresh`.
            self._tickets = _kept(self._tickets, lambda one: one.ended_at, since) | {
                one.id: one for one in fresh.tickets
            }
            self._started = _kept(self._started, lambda one: one.usable_at, since) | {
                one.id: one for one in fresh.started
            }
            self._ended = _kept(self._ended, lambda one: one.ended_at, since) | {one.id: one for one in fresh.ended}
            oldest = since - LONGEST_START
            self._steps = {one: known for one, known in self._steps.items() if known[0] >= oldest}
            for instance_id, steps in fresh.steps.items():
                self._steps[instance_id] = now, steps | self._steps.get(instance_id, (now, set()))[1]
            return Day(
                tickets=sorted(self._tickets.values(), key=lambda one: (one.joined_at, one.id)),
                started=sorted(self._started.values(), key=lambda one: one.usable_at or now),
                ended=sorted(self._ended.values(), key=lambda one: one.ended_at or now),
                steps={instance_id: steps for instance_id, (_, steps) in self._steps.items()},
            )


def _kept(rows: Mapping[str, T], at: Callable[[T], datetime | None], since: datetime) -> dict[str, T]:
    return {name: row for name, row in rows.items() if (moment := at(row)) is not None and moment >= since}
