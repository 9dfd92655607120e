"""Prometheus metrics of allowances: what was given and used in this week, and what is set aside now.

The sums begin again with each week, as a counter does when its process restarts. So they are cheap also where a year of
charges is kept, and `increase()` and `rate()` hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from spawner.catalog import Catalog
from spawner.ledger.time.use import ClassTotals, totals

WEEK = "Since the beginning of the platform's week, in weighted seconds."


def exposition(connection: Connection, *, now: datetime, catalog: Catalog) -> bytes:
    """The metrics in Prometheus' text format; empty where the catalog has no classes."""
    registry = CollectorRegistry(auto_describe=False)
    ids = [one.id for one in catalog.allowances.classes]
    found = totals(connection, since=catalog.allowances.week(now).start, now=now) if ids else {}
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
