"""Statistics of waits, starts and failures of the last day. Pure, except for the reading of rows.

A request has two parts. The wait lasts from the request until the ticket is called: 0 where there was room. The start
lasts from then until the notebook can be used. For a queued ticket the start counts from the instance's request,
because a held slot may wait for its user.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from spawner.ledger import EndReason, Instance, StartStep, Ticket
from spawner.ledger.pool import instances, tickets
from spawner.pool.progress import FAILURES

DAY = timedelta(days=1)
HOURS = 24
COLD = StartStep.SLOT_CREATING
"""The step of each start that found no usable warm slot."""
REPORTED = (*FAILURES, EndReason.NO_ROOM)
"""Ends that an administrator should look into."""


@dataclass(frozen=True)
class Percentiles:
    """The count, the median and the 95th percentile, in seconds; None where there were none."""

    count: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True)
class Hour:
    """The tickets called in one hour: how many (`came`), how many of them `waited`, and how long, in seconds."""

    begins: datetime
    came: int
    waited: int
    p50: float | None
    longest: float | None


@dataclass(frozen=True)
class EstimateAccuracy:
    """How many waits were within their estimate, shorter, or longer."""

    within: int
    shorter: int
    longer: int

    @property
    def count(self) -> int:
        """All together."""
        return self.within + self.shorter + self.longer


@dataclass(frozen=True)
class Statistics:
    """Of one flavor over one day. `warm_seconds`, `cold_seconds` and `wait_seconds` have one entry each."""

    warm_seconds: Sequence[float]
    cold_seconds: Sequence[float]
    wait_seconds: Sequence[float]
    hours: Sequence[Hour]
    foretold: EstimateAccuracy
    endings: Mapping[EndReason, int]

    @property
    def failures(self) -> dict[EndReason, int]:
        """Ends that an administrator should look into, the most frequent first."""
        found = {reason: count for reason, count in self.endings.items() if reason in REPORTED}
        return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0].value)))


@dataclass(frozen=True)
class Day:
    """The rows of one day. `steps`: see `instances.steps_since`."""

    tickets: list[Ticket]
    started: list[Instance]
    ended: list[Instance]
    steps: Mapping[str, set[StartStep]]


def read_day(connection: Connection, *, now: datetime, since: datetime | None = None) -> Day:
    """Everything of the last 24 hours, or `since` a later time, in four queries. Open tickets are always in it."""
    since = now - DAY if since is None else since
    return Day(
        tickets=tickets.concerning(connection, since),
        started=instances.usable_since(connection, since),
        ended=instances.ended_since(connection, since),
        steps=instances.steps_since(connection, since, [COLD]),
    )


def statistics_of(day: Day, flavor: str, *, now: datetime) -> Statistics:
    """Of one flavor, which the catalog need not know."""
    mine = [one for one in day.tickets if one.flavor == flavor]
    by_instance = {one.instance_id: one for one in mine if one.instance_id is not None}
    warm: list[float] = []
    cold: list[float] = []
    for instance in day.started:
        if instance.flavor == flavor:
            seconds = start_seconds(instance, by_instance.get(instance.id))
            (cold if COLD in day.steps.get(instance.id, ()) else warm).append(seconds)
    called = [one for one in mine if one.called_at is not None and one.called_at >= now - DAY]
    return Statistics(
        warm_seconds=warm,
        cold_seconds=cold,
        wait_seconds=[wait_seconds(one) for one in called if has_waited(one)],
        hours=_hours(called, now - DAY),
        foretold=_accuracy(called),
        endings=Counter(one.reason for one in day.ended if one.flavor == flavor and one.reason is not None),
    )


def start_seconds(instance: Instance, ticket: Ticket | None) -> float:
    """The seconds from the call of the ticket until the notebook could be used."""
    assert instance.usable_at is not None
    return max(0.0, (instance.usable_at - start_began(instance, ticket)).total_seconds())


def start_began(instance: Instance, ticket: Ticket | None) -> datetime:
    """From when a start counts, for users and administrators alike."""
    return instance.requested_at if ticket is None or has_waited(ticket) else ticket.joined_at


def has_waited(ticket: Ticket) -> bool:
    """Whether a ticket was queued; else there was room at once."""
    return ticket.called_at is not None and ticket.has_waited


def wait_seconds(ticket: Ticket) -> float:
    """The seconds from the request until the ticket was called."""
    assert ticket.called_at is not None
    return (ticket.called_at - ticket.joined_at).total_seconds()


def percentiles(seconds: Iterable[float]) -> Percentiles:
    """Number, median, 95th percentile."""
    ordered = sorted(seconds)
    return Percentiles(len(ordered), quantile(ordered, 0.5), quantile(ordered, 0.95))


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that this share of the values does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _hours(called: Iterable[Ticket], begins: datetime) -> list[Hour]:
    """One pass over the tickets."""
    hour, parts = timedelta(hours=1), [list[Ticket]() for _ in range(HOURS)]
    for one in called:
        number = -1 if one.called_at is None else (one.called_at - begins) // hour
        if 0 <= number < HOURS:
            parts[number].append(one)
    return [_hour(mine, begins + number * hour) for number, mine in enumerate(parts)]


def _hour(mine: list[Ticket], begins: datetime) -> Hour:
    """The tickets that were called in the hour from `begins`."""
    waits = sorted(wait_seconds(one) for one in mine if has_waited(one))
    return Hour(begins, len(mine), len(waits), quantile(waits, 0.5), waits[-1] if waits else None)


def _accuracy(called: Iterable[Ticket]) -> EstimateAccuracy:
    within = shorter = longer = 0
    for one in called:
        if not has_waited(one) or one.expected_low is None or one.expected_high is None:
            continue
        seconds = wait_seconds(one)
        shorter += seconds < one.expected_low
        longer += seconds > one.expected_high
        within += one.expected_low <= seconds <= one.expected_high
    return EstimateAccuracy(within, shorter, longer)
