"""What Prometheus reads: the ledger at one moment, as numbers, and the last day as numbers. No names of people.

The ledger forgets, and several desks may answer; so what is counted over time is not a counter that only grows, but
the last 24 hours at each scrape. Each help text says so: such a number is shown as it is, without `rate()`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from spawner.catalog import Catalog, Limits
from spawner.ledger import Instance, TicketState, leases
from spawner.ledger.pool import instances, slots
from spawner.ledger.pool.rows import OCCUPYING, UNENDED
from spawner.pool.backends.base import Backend
from spawner.pool.capacity import capacity_of
from spawner.pool.statistics import Day, Statistics, read_day, statistics_of
from spawner.pool.warm.demand import WarmSnapshot, read_demand
from spawner.pool.warm.targets import warm_targets

START_BUCKETS = (0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
WAIT_BUCKETS = (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800)
"""Seconds."""
LAST_DAY = "Over the last 24 hours; not a counter, so without rate()."


@dataclass(frozen=True)
class Scrape:
    """The rows of one moment."""

    warm: WarmSnapshot
    unended: list[Instance]
    without_room: set[str]
    day: Day
    lease_ends_at: datetime | None
    now: datetime


def read_scrape(connection: Connection, *, limits: Limits, now: datetime) -> Scrape:
    """Everything that the metrics are made from."""
    return Scrape(
        warm=read_demand(connection, now=now),
        unended=instances.unended(connection),
        without_room=slots.without_room(connection, since=now - limits.no_room_ttl),
        day=read_day(connection, now=now),
        lease_ends_at=leases.ends_at(connection, leases.STEWARD),
        now=now,
    )


def exposition(connection: Connection, *, now: datetime, catalog: Catalog, backend: Backend) -> bytes:
    """The text that Prometheus reads."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(PoolCollector(read_scrape(connection, limits=catalog.limits, now=now), catalog, backend))
    return generate_latest(registry)


class PoolCollector(Collector):
    """One scrape as metrics. Flavors that the catalog no longer has are there for as long as rows name them."""

    def __init__(self, scrape: Scrape, catalog: Catalog, backend: Backend) -> None:
        self.scrape = scrape
        self.catalog = catalog
        self.backend = backend
        warm, day = scrape.warm, scrape.day
        named = {one.flavor for one in warm.slots} | {one.flavor for one in (*warm.tickets, *day.tickets)}
        named |= {one.flavor for one in (*scrape.unended, *day.started, *day.ended)}
        known = [flavor.id for flavor in catalog.flavors]
        self.flavors = [*known, *sorted(named - set(known))]

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        yield from self._rows()
        yield from self._queue()
        yield from self._room()
        yield from self._settings()
        yield from self._day()

    def _rows(self) -> Iterator[Metric]:
        held = Counter((one.flavor, one.state.value) for one in self.scrape.warm.slots)
        yield _gauge(
            "freepool_slots",
            "Slots of the pool that take up room.",
            ("flavor", "state"),
            (((flavor, state.value), held[flavor, state.value]) for flavor in self.flavors for state in OCCUPYING),
        )
        lent = Counter((one.flavor, one.state.value) for one in self.scrape.unended)
        yield _gauge(
            "freepool_instances",
            "People's instances that have not ended.",
            ("flavor", "state"),
            (((flavor, state.value), lent[flavor, state.value]) for flavor in self.flavors for state in UNENDED),
        )

    def _queue(self) -> Iterator[Metric]:
        waiting = [one for one in self.scrape.warm.tickets if one.state is TicketState.WAITING]
        length = Counter(one.flavor for one in waiting)
        oldest = {one.flavor: one.joined_at for one in sorted(waiting, key=lambda one: one.joined_at, reverse=True)}
        now = self.scrape.now
        yield _gauge(
            "freepool_queue_length",
            "People who stand in line.",
            ("flavor",),
            (((flavor,), length[flavor]) for flavor in self.flavors),
        )
        yield _gauge(
            "freepool_queue_oldest_seconds",
            "How long whoever has stood in line for longest has waited; 0 where nobody does.",
            ("flavor",),
            (((flavor,), (now - oldest.get(flavor, now)).total_seconds()) for flavor in self.flavors),
        )

    def _room(self) -> Iterator[Metric]:
        yield _gauge(
            "freepool_flavor_limit",
            "How many of a flavor may exist at once, as the catalog says.",
            ("flavor",),
            (((flavor.id,), flavor.limit) for flavor in self.catalog.flavors),
        )
        stocks = {
            flavor.id: capacity_of(
                self.catalog, self.backend, flavor, self.scrape.warm.slots, without_room=self.scrape.without_room
            )
            for flavor in self.catalog.flavors
        }
        yield _gauge(
            "freepool_available",
            "How many more people could have a flavor now, those in line and pauses not considered.",
            ("flavor",),
            (((flavor,), stock.available) for flavor, stock in stocks.items()),
        )

    def _settings(self) -> Iterator[Metric]:
        snapshot, now = self.scrape.warm, self.scrape.now
        targets = warm_targets(
            self.catalog,
            self.backend,
            demand=snapshot.demand,
            controls=snapshot.controls,
            tickets=snapshot.tickets,
            now=now,
        )
        yield _gauge(
            "freepool_warm_target",
            "How many slots should wait, started, for the next person.",
            ("flavor", "image"),
            ((template, target.slots) for template, target in targets.items()),
        )
        yield _gauge(
            "freepool_paused",
            "1 where an operator has paused a flavor.",
            ("flavor",),
            (((flavor.id,), snapshot.controls.is_paused(flavor.id)) for flavor in self.catalog.flavors),
        )
        yield _gauge(
            "freepool_draining",
            "1 while the platform is closed for maintenance.",
            (),
            [((), snapshot.controls.drain is not None)],
        )
        left = (self.scrape.lease_ends_at - now).total_seconds() if self.scrape.lease_ends_at else 0.0
        yield _gauge(
            "freepool_steward_lease_seconds",
            "For how long the steward's lease still holds. It renews it every second or so; 0 or less: no steward "
            "works.",
            (),
            [((), left)],
        )

    def _day(self) -> Iterator[Metric]:
        day = {flavor: statistics_of(self.scrape.day, flavor, now=self.scrape.now) for flavor in self.flavors}
        yield _gauge(
            "freepool_starts_last_day",
            f"Starts that succeeded, from a slot that waited (warm) or that had to be made (cold). {LAST_DAY}",
            ("flavor", "start"),
            (((flavor, start), len(seconds)) for flavor, one in day.items() for start, seconds in _starts(one)),
        )
        yield _gauge(
            "freepool_endings_last_day",
            f"Instances that ended, by reason; a reason that did not occur is not there. {LAST_DAY}",
            ("flavor", "reason"),
            (
                ((flavor, reason.value), count)
                for flavor, one in day.items()
                for reason, count in sorted(one.endings.items())
            ),
        )
        yield _gauge(
            "freepool_foretold_last_day",
            f"Waits that were within what had been foretold, shorter, or longer. {LAST_DAY}",
            ("flavor", "wait"),
            (
                ((flavor, wait), getattr(one.foretold, wait))
                for flavor, one in day.items()
                for wait in ("within", "shorter", "longer")
            ),
        )
        yield _histogram(
            "freepool_start_seconds",
            f"From somebody's turn until their notebook could be used. {LAST_DAY}",
            ("flavor", "start"),
            START_BUCKETS,
            (((flavor, start), seconds) for flavor, one in day.items() for start, seconds in _starts(one)),
        )
        yield _histogram(
            "freepool_wait_seconds",
            f"How long those who stood in line waited for their turn. {LAST_DAY}",
            ("flavor",),
            WAIT_BUCKETS,
            (((flavor,), one.wait_seconds) for flavor, one in day.items()),
        )


def _starts(one: Statistics) -> tuple[tuple[str, Sequence[float]], ...]:
    return ("warm", one.warm_seconds), ("cold", one.cold_seconds)


def _gauge(
    name: str, text: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, float(value))
    return family


def _histogram(
    name: str,
    text: str,
    labels: Sequence[str],
    buckets: Sequence[float],
    values: Iterable[tuple[Sequence[str], Sequence[float]]],
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=labels)
    for label_values, seconds in values:
        counts = [(str(float(bound)), float(sum(one <= bound for one in seconds))) for bound in buckets]
        family.add_metric(label_values, buckets=[*counts, ("+Inf", float(len(seconds)))], sum_value=sum(seconds))
    return family
