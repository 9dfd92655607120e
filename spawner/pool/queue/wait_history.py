"""Reads from the ledger what wait estimates are made from, by flavor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from spawner.catalog import Catalog
from spawner.ledger.pool import instances, slots, tickets
from spawner.pool.queue.no_room import an_end_helps
from spawner.pool.queue.wait_estimate import Running, SessionLengths, WaitEstimate, calibrate, estimate_wait

HISTORY_WINDOW = timedelta(days=7)
"""Age of the oldest sessions and waits that estimates use."""
MAX_ROWS = 200
"""The most of each that estimates use: more take longer and add no precision."""
SCHEDULING = timedelta(seconds=30)
"""What a try for room takes, roughly."""
CACHE_TTL = timedelta(seconds=30)
"""How long they are cached: many queued clients poll."""


@dataclass(frozen=True)
class WaitHistory:
    """The input of one flavor's estimates. `past` are (estimated centre, actual) seconds."""

    running: Sequence[Running]
    sessions: SessionLengths
    past: Sequence[tuple[float, float]]

    def wait(self, place: int) -> WaitEstimate | None:
        """The calibrated estimate at a place, from 1; None where no running instance could end."""
        wait = self.raw_estimate(place)
        return None if wait is None else calibrate(wait, self.past)

    def raw_estimate(self, place: int) -> WaitEstimate | None:
        """The estimate before calibration, which the ticket keeps for later calibrations."""
        return estimate_wait(place, self.running, self.sessions)


@dataclass(frozen=True)
class _Cached:
    at: datetime
    sessions: dict[str, SessionLengths]
    past: dict[str, list[tuple[float, float]]]


class WaitHistories:
    """Makes wait histories from the ledger's rows."""

    def __init__(self, catalog: Catalog, now: Callable[[], datetime]) -> None:
        self._catalog = catalog
        self._now = now
        self._learned: _Cached | None = None

    def of(self, connection: Connection) -> dict[str, WaitHistory]:
        """The wait history of each flavor. Where the cluster says that no end makes room, none seems to run."""
        learned = self._learn(connection)
        # A called ticket is tried again after `no_room_seconds`; meanwhile the last answer holds.
        since = self._now() - 2 * (self._catalog.limits.no_room_ttl + SCHEDULING)
        messages = slots.no_room_messages(connection, since=since)
        hopeless = {flavor for flavor, message in messages.items() if not an_end_helps(message)}
        running = self._running(connection)
        return {
            flavor.id: WaitHistory(
                [] if flavor.id in hopeless else running[flavor.id],
                learned.sessions[flavor.id],
                learned.past[flavor.id],
            )
            for flavor in self._catalog.flavors
        }

    def _running(self, connection: Connection) -> dict[str, list[Running]]:
        """Running and starting instances by flavor. In a rush most requests come before the first instance runs."""
        now = self._now()
        longest = {flavor.id: self._longest(flavor.id) for flavor in self._catalog.flavors}
        found: dict[str, list[Running]] = {flavor: [] for flavor in longest}
        for flavor, usable_at, ends_at in instances.running_times(connection):
            if flavor in found:
                age = (now - usable_at).total_seconds() if usable_at else 0.0
                left = (ends_at - now).total_seconds() if ends_at else longest[flavor]
                found[flavor].append(Running(age, left))
        return found

    def _learn(self, connection: Connection) -> _Cached:
        now = self._now()
        if self._learned is None or now - self._learned.at > CACHE_TTL:
            flavors, since = [flavor.id for flavor in self._catalog.flavors], now - HISTORY_WINDOW
            self._learned = _Cached(
                now,
                {
                    flavor: SessionLengths(
                        instances.lengths(connection, flavor, since=since, at_most=MAX_ROWS), self._longest(flavor)
                    )
                    for flavor in flavors
                },
                {flavor: tickets.waits(connection, flavor, since=since, at_most=MAX_ROWS) for flavor in flavors},
            )
        return self._learned

    def _longest(self, flavor: str) -> float:
        return self._catalog.flavor(flavor).session_minutes * 60.0
