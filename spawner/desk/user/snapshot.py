"""The rows that the user's page shows: those of the pool, read once for all users, and those of one user."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from spawner.catalog import Rights
from spawner.ledger import Event, Instance, Slot, Ticket, TicketState
from spawner.ledger.bundles import bundles
from spawner.ledger.bundles.rows import Bundle
from spawner.ledger.engine import is_writing
from spawner.ledger.people import bans
from spawner.ledger.people.rows import Ban
from spawner.ledger.pool import admin_settings, instances, slots, tickets
from spawner.ledger.pool.open_rows import OpenRows, OpenRowsReader
from spawner.ledger.transitions import revision
from spawner.pool.admin.settings import AdminSettings
from spawner.pool.keeping import KEPT_AFTER
from spawner.pool.queue.admission import Admission
from spawner.pool.queue.ordering import flavors_for_next, waiting_in_order
from spawner.pool.queue.wait_estimate import WaitEstimate
from spawner.pool.queue.wait_history import WaitHistory
from spawner.pool.statistics import start_began

CACHE_TTL = timedelta(seconds=1)
"""How long a snapshot is used while nothing changes. Wait estimates change with time alone."""


@dataclass(frozen=True)
class PoolSnapshot:
    """The rows that are the same for all users.

    `queue` are the waiting tickets in order; `free_now` are flavors that start without queueing. `at` is when it was
    complete. `views` caches the models that were built from it, by language.
    """

    revision: int
    slots: list[Slot]
    without_room: set[str]
    controls: AdminSettings
    queue: list[Ticket]
    free_now: set[str]
    wait_histories: dict[str, WaitHistory]
    at: datetime
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    _waits: dict[tuple[str, int], WaitEstimate | None] = field(default_factory=dict)

    def queued(self, flavor: str) -> int:
        """Number of tickets that wait for a flavor."""
        return sum(ticket.flavor == flavor for ticket in self.queue)

    def wait(self, flavor: str, place: int) -> WaitEstimate | None:
        """The wait estimate for a place (from 1) in the queue of a flavor; None where there is none."""
        wait_history = self.wait_histories.get(flavor)
        if wait_history is None:  # the catalog does not have it any more
            return None
        if (flavor, place) not in self._waits:
            self._waits[flavor, place] = wait_history.wait(place)
        return self._waits[flavor, place]


@dataclass(frozen=True)
class UserSnapshot:
    """The rows of one user's default server. `place` is that of `ticket` in the queue, from 1, while it waits.
    `begun_at`: from when the start of `current` counts.

    `rights` are what the catalog's policies give the user. `bundle`: what is kept of `current` where it stops, or of
    `last`.
    """

    pool: PoolSnapshot
    current: Instance | None
    progress: list[Event]
    ticket: Ticket | None
    place: int | None
    last: Instance | None
    last_ticket: Ticket | None
    rights: Rights
    ban: Ban | None = None
    bundle: Bundle | None = None
    begun_at: datetime | None = None


class SnapshotReader:
    """Reads snapshots. After each change all open pages read one, so the shared part is cached."""

    def __init__(self, admission: Admission, now: Callable[[], datetime]) -> None:
        self._admission = admission
        self._now = now
        self._lock = threading.Lock()
        self._rows = OpenRowsReader()
        self._last: tuple[PoolSnapshot, OpenRows] | None = None

    def read(self, connection: Connection, person_id: str, *, max_age: timedelta = timedelta(0)) -> UserSnapshot:
        """The snapshot of one person, in the transaction of `connection`.

        The user's rows are current. The shared part may lack changes of the last `max_age`.
        """
        pool, _ = self._read_pool(connection, max_age)
        own = [instance for instance in instances.unended(connection, person_id) if instance.server_name == ""]
        current = own[-1] if own else None
        last = None if current else instances.last_ended(connection, person_id)
        ticket = _own_ticket(tickets.alive(connection, person_id))
        waits = ticket is not None and ticket.state is TicketState.WAITING
        return UserSnapshot(
            pool=pool,
            current=current,
            progress=instances.events_of(connection, current.id) if current else [],
            ticket=ticket,
            place=tickets.ahead(connection, ticket) + 1 if ticket and waits else None,
            last=last,
            last_ticket=None if ticket else tickets.last_over(connection, person_id),
            rights=self._admission.rights(connection, person_id),
            ban=bans.of_person(connection, person_id, now=self._now()),
            bundle=_bundle(connection, current or last),
            begun_at=start_began(current, tickets.of_instance(connection, current.id)) if current else None,
        )

    def read_pool(self, connection: Connection) -> PoolSnapshot:
        """The part that is the same for all, at most a second old."""
        return self._read_pool(connection, CACHE_TTL)[0]

    def read_open(self, connection: Connection) -> tuple[PoolSnapshot, OpenRows]:
        """The part that is the same for all, with every change so far, and the rows that are not over."""
        return self._read_pool(connection, timedelta(0))

    def _read_pool(self, connection: Connection, max_age: timedelta) -> tuple[PoolSnapshot, OpenRows]:
        """One build at a time: who asks meanwhile waits for it. Its age counts from its end, however long it takes."""
        with self._lock:
            current, last = revision(connection), self._last
            if last is not None:
                age = self._now() - last[0].at
                # A transaction that began before the build sees an older revision than the build has.
                if age <= CACHE_TTL if last[0].revision >= current else age < max_age:
                    return last
            if is_writing(connection):  # what it has changed may be undone, so it is nobody else's
                return self._build(connection, current, OpenRowsReader())
            self._last = self._build(connection, current, self._rows)
            return self._last

    def _build(self, connection: Connection, current: int, reader: OpenRowsReader) -> tuple[PoolSnapshot, OpenRows]:
        catalog, memory = self._admission.catalog, self._admission.backend.memory()
        rows = reader.read(connection)
        queue = waiting_in_order(rows.tickets)
        closed = self._admission.closed(connection)
        pool = PoolSnapshot(
            revision=current,
            slots=rows.slots,
            without_room=slots.without_room(connection, since=self._now() - catalog.limits.no_room_ttl),
            controls=AdminSettings(admin_settings.all_of(connection)),
            queue=queue,
            free_now=flavors_for_next(catalog, queue, rows.slots, memory, closed=closed),
            wait_histories=self._admission.wait_histories.of(connection),
            at=self._now(),
        )
        return pool, rows


def _bundle(connection: Connection, instance: Instance | None) -> Bundle | None:
    """What is kept of an instance that ends or has ended, where its reason leaves something."""
    if instance is None or instance.reason not in KEPT_AFTER:
        return None
    return bundles.of_instance(connection, instance.id)


def _own_ticket(alive: list[Ticket]) -> Ticket | None:
    """The ticket of the default server that the page shows: one that waits or has waited."""
    return next((ticket for ticket in alive if ticket.server_name == "" and ticket.has_waited), None)
