"""Prometheus metrics of allowances: what was given and used in this week, and what is set aside now.

The sums begin again with each week, as a counter does when its process restarts. So they are cheap also where a year of
charges is kept, and `increase()` and `rate()` hold.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from spawner.catalog import Catalog
from spawner.ledger.time.allowance_use import ClassTotals, totals

PERIOD = timedelta(minutes=1)
WEEK = "Since the beginning of the platform's week, in weighted seconds."


class AllowanceExposition:
    """The metrics in Prometheus' text format; empty where the catalog has no classes.

    They are read at most once in `PERIOD`: with a million charges the sums of a week take a second.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._last: tuple[datetime, bytes] | None = None

    def __call__(self, connection: Connection, *, now: datetime) -> bytes:
        """Read them in the transaction of `connection`, unless they were read just before."""
        with self._lock:
            if self._last is None or not timedelta() <= now - self._last[0] < PERIOD:
                self._last = now, self._read(connection, now)
            return self._last[1]

    def _read(self, connection: Connection, now: datetime) -> bytes:
        allowances = self._catalog.allowances
        ids = [one.id for one in allowances.classes]
        found = totals(connection, since=allowances.week(now).start, now=now) if ids else {}
        registry = CollectorRegistry(auto_describe=False)
        registry.register(AllowanceCollector({one: found.get(one, ClassTotals()) for one in ids}))
        return generate_latest(registry)


class AllowanceCollector(Collector):
    """One scrape as metrics."""

    def __init__(self, classes: Mapping[str, ClassTotals]) -> None:
        self.classes = classes

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        if not self.classes:
            return
        for name, text in (
            ("granted", "Hours that were given: weekly ones at a user's first start, and those of administrators."),
            ("charged", "What runs that ended used, before refunds."),
            ("refunded", "What was given back, by the platform and by administrators."),
        ):
            counter = CounterMetricFamily(f"freepool_allowance_seconds_{name}", f"{text} {WEEK}", labels=("class",))
            for class_id, sums in self.classes.items():
                counter.add_metric((class_id,), float(getattr(sums, name)))
            yield counter
        held = GaugeMetricFamily(
            "freepool_allowance_held_seconds", "What is set aside for running notebooks, weighted.", labels=("class",)
        )
        for class_id, sums in self.classes.items():
            held.add_metric((class_id,), float(sums.held))
        yield held
