"""Prometheus metrics of the pool: the ledger's current rows, and the last 24 hours. They contain no user names.

Old rows are deleted, and several desks may answer scrapes, so metrics over time are no counters: each is a gauge over
the last 24 hours at the time of the scrape. Their help texts say so; they are shown without `rate()`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from spawner.catalog import Catalog, Flavor, Limits
from spawner.desk.admin.activity import Activities, read_activities
from spawner.ledger import Instance, TicketState, leases
from spawner.ledger.pool import instances, slots
from spawner.ledger.pool.rows import OCCUPYING, UNENDED
from spawner.ledger.time.rows import Activity
from spawner.pool.backends.base import Backend
from spawner.pool.capacity import Capacity, capacity_of
from spawner.pool.day_reader import DayReader
from spawner.pool.progress import FAILURES
from spawner.pool.queue.no_room import Lack, lack_of
from spawner.pool.shortage import shortage_of
from spawner.pool.statistics import Day, Statistics, statistics_of
from spawner.pool.warm.demand import WarmSnapshot, read_demand
from spawner.pool.warm.targets import warm_targets

START_BUCKETS = (0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
WAIT_BUCKETS = (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800)
"""Seconds."""
LAST_DAY = "Over the last 24 hours; not a counter, so without rate()."
RECENT = timedelta(minutes=15)
NO_ROOM_HOLDS = timedelta(minutes=10)
"""How long a slot that found no room says that there is none: the pool tries again after 5 minutes at the latest."""


@dataclass(frozen=True)
class Scrape:
    """The rows that the metrics are computed from."""

    warm: WarmSnapshot
    unended: list[Instance]
    without_room: set[str]
    day: Day
    lease_ends_at: datetime | None
    now: datetime
    activities: Activities = field(default_factory=Counter)
    no_room: Mapping[str, str] = field(default_factory=dict)
    """By flavor: what the backend said when the last slot of the last minutes found no room."""


def read_scrape(connection: Connection, *, limits: Limits, now: datetime, days: DayReader, hub: str) -> Scrape:
    """Read them in the transaction of `connection`. `hub`: the desk's."""
    unended = instances.unended(connection)
    return Scrape(
        warm=read_demand(connection, now=now),
        unended=unended,
        activities=read_activities(connection, unended),
        without_room=slots.without_room(connection, since=now - limits.no_room_ttl),
        no_room=slots.no_room_messages(connection, since=now - NO_ROOM_HOLDS),
        day=days.read(connection, now=now),
        lease_ends_at=leases.steward_ends_at(connection, hub),
        now=now,
    )


def exposition(
    connection: Connection, *, now: datetime, catalog: Catalog, backend: Backend, days: DayReader, hub: str
) -> bytes:
    """The metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    scrape = read_scrape(connection, limits=catalog.limits, now=now, days=days, hub=hub)
    registry.register(PoolCollector(scrape, catalog, backend))
    return generate_latest(registry)


class PoolCollector(Collector):
    """One scrape as metrics. A flavor that the catalog does not have any more is exported while rows have it."""

    def __init__(self, scrape: Scrape, catalog: Catalog, backend: Backend) -> None:
        self.scrape = scrape
        self.catalog = catalog
        self.backend = backend
        warm, day = scrape.warm, scrape.day
        named = {slot.flavor for slot in warm.slots} | {ticket.flavor for ticket in (*warm.tickets, *day.tickets)}
        named |= {instance.flavor for instance in (*scrape.unended, *day.started, *day.ended)}
        known = [flavor.id for flavor in catalog.flavors]
        self.flavors = [*known, *sorted(named - set(known))]

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        yield from self._rows()
        yield from self._queue()
        yield from self._room()
        yield from self._settings()
        yield from self._recent()
        yield from self._day()

    def _rows(self) -> Iterator[Metric]:
        counts = Counter((slot.flavor, slot.state.value) for slot in self.scrape.warm.slots)
        yield _gauge(
            "freepool_slots",
            "Slots that occupy resources of the pool.",
            ("flavor", "state"),
            (((flavor, state.value), counts[flavor, state.value]) for flavor in self.flavors for state in OCCUPYING),
        )
        counts = Counter((instance.flavor, instance.state.value) for instance in self.scrape.unended)
        yield _gauge(
            "freepool_instances",
            "Instances that have not ended.",
            ("flavor", "state"),
            (((flavor, state.value), counts[flavor, state.value]) for flavor in self.flavors for state in UNENDED),
        )
        yield _gauge(
            "freepool_instances_by_activity",
            "Running instances by how they are used, as the steward saw them in the last minutes.",
            ("flavor", "activity"),
            (
                ((flavor, activity.value), self.scrape.activities[flavor, activity])
                for flavor in self.flavors
                for activity in Activity
            ),
        )

    def _queue(self) -> Iterator[Metric]:
        waiting = [ticket for ticket in self.scrape.warm.tickets if ticket.state is TicketState.WAITING]
        length = Counter(ticket.flavor for ticket in waiting)
        newest_first = sorted(waiting, key=lambda ticket: ticket.joined_at, reverse=True)
        oldest = {ticket.flavor: ticket.joined_at for ticket in newest_first}
        now = self.scrape.now
        yield _gauge(
            "freepool_queue_length",
            "Tickets that wait in the queue.",
            ("flavor",),
            (((flavor,), length[flavor]) for flavor in self.flavors),
        )
        yield _gauge(
            "freepool_queue_oldest_seconds",
            "Age of the oldest waiting ticket; 0 where none waits.",
            ("flavor",),
            (((flavor,), (now - oldest.get(flavor, now)).total_seconds()) for flavor in self.flavors),
        )

    def _room(self) -> Iterator[Metric]:
        yield _gauge(
            "freepool_flavor_limit",
            "Maximum number of slots of a flavor, from the catalog.",
            ("flavor",),
            (((flavor.id,), flavor.limit) for flavor in self.catalog.flavors),
        )
        capacities = {
            flavor.id: capacity_of(
                self.catalog, self.backend, flavor, self.scrape.warm.slots, without_room=self.scrape.without_room
            )
            for flavor in self.catalog.flavors
        }
        yield _gauge(
            "freepool_available",
            "Number of instances that could start now, without regard to the queue and to pauses.",
            ("flavor",),
            (((flavor,), capacity.available) for flavor, capacity in capacities.items()),
        )
        lacks = {flavor.id: self._lack(flavor, capacities[flavor.id]) for flavor in self.catalog.flavors}
        yield _gauge(
            "freepool_shortage",
            "1 where no more instances can start for lack of this, below the flavor's limit.",
            ("flavor", "of"),
            (((flavor, lack.value), lacks[flavor] is lack) for flavor in lacks for lack in Lack),
        )

    def _lack(self, flavor: Flavor, capacity: Capacity) -> Lack | None:
        message = self.scrape.no_room.get(flavor.id)
        if message is not None:
            return lack_of(message)
        if capacity.available:
            return None
        shortage = shortage_of(
            self.catalog, self.backend, flavor, self.scrape.warm.slots, without_room=self.scrape.without_room
        )
        return Lack.MEMORY if shortage is not None and shortage.is_memory else None

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
            "Number of unassigned slots that should exist.",
            ("flavor", "image"),
            ((template, target.slots) for template, target in targets.items()),
        )
        yield _gauge(
            "freepool_paused",
            "1 where an administrator has paused a flavor.",
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
            "Remaining time of the steward's lease, which it renews about every second; 0 or less: no steward runs.",
            (),
            [((), left)],
        )

    def _recent(self) -> Iterator[Metric]:
        since, day = self.scrape.now - RECENT, self.scrape.day
        ended = takewhile(lambda one: one.ended_at is not None and one.ended_at >= since, reversed(day.ended))
        failed = Counter(one.flavor for one in ended if one.usable_at is None and one.reason in FAILURES)
        started = takewhile(lambda one: one.usable_at is not None and one.usable_at >= since, reversed(day.started))
        counts = {"usable": Counter(one.flavor for one in started), "failed": failed}
        yield _gauge(
            "freepool_recent_starts",
            "Starts whose notebook became usable or failed in the last 15 minutes; not a counter, so without rate().",
            ("flavor", "outcome"),
            (((flavor, outcome), count[flavor]) for flavor in self.flavors for outcome, count in counts.items()),
        )

    def _day(self) -> Iterator[Metric]:
        day = {flavor: statistics_of(self.scrape.day, flavor, now=self.scrape.now) for flavor in self.flavors}
        yield _gauge(
            "freepool_starts_last_day",
            f"Successful starts, on an existing slot (warm) or on a new one (cold). {LAST_DAY}",
            ("flavor", "start"),
            (
                ((flavor, start), len(seconds))
                for flavor, statistics in day.items()
                for start, seconds in _starts(statistics)
            ),
        )
        yield _gauge(
            "freepool_endings_last_day",
            f"Instances that ended, by reason; reasons that did not occur are left out. {LAST_DAY}",
            ("flavor", "reason"),
            (
                ((flavor, reason.value), count)
                for flavor, statistics in day.items()
                for reason, count in sorted(statistics.endings.items())
            ),
        )
        yield _gauge(
            "freepool_foretold_last_day",
            f"Waits that were within the estimate, shorter, or longer. {LAST_DAY}",
            ("flavor", "wait"),
            (
                ((flavor, wait), getattr(statistics.foretold, wait))
                for flavor, statistics in day.items()
                for wait in ("within", "shorter", "longer")
            ),
        )
        yield _histogram(
            "freepool_start_seconds",
            f"Time from the call of a ticket until its notebook can be used. {LAST_DAY}",
            ("flavor", "start"),
            START_BUCKETS,
            (
                ((flavor, start), seconds)
                for flavor, statistics in day.items()
                for start, seconds in _starts(statistics)
            ),
        )
        yield _histogram(
            "freepool_wait_seconds",
            f"Time that queued tickets waited until they were called. {LAST_DAY}",
            ("flavor",),
            WAIT_BUCKETS,
            (((flavor,), statistics.wait_seconds) for flavor, statistics in day.items()),
        )


def _starts(statistics: Statistics) -> tuple[tuple[str, Sequence[float]], ...]:
    return ("warm", statistics.warm_seconds), ("cold", statistics.cold_seconds)


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
        counts = [(str(float(bound)), float(sum(value <= bound for value in seconds))) for bound in buckets]
        family.add_metric(label_values, buckets=[*counts, ("+Inf", float(len(seconds)))], sum_value=sum(seconds))
    return family
