"""What the desk's pages are drawn from: the pool at one moment, read once for all pages, and what is one person's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from spawner.ledger import Event, Instance, Slot, Ticket, TicketState
from spawner.ledger.pool import admin_settings, instances, slots, tickets
from spawner.ledger.transitions import revision
from spawner.pool.admin.settings import AdminSettings
from spawner.pool.queue.admission import NO_ROOM_TTL, Admission
from spawner.pool.queue.ordering import waiting_in_order, would_be_called
from spawner.pool.queue.wait_estimate import WaitEstimate
from spawner.pool.queue.wait_history import WaitHistory

CACHE_TTL = timedelta(seconds=1)
"""How long a moment serves if nothing has changed: waits shorten by themselves."""


@dataclass(frozen=True)
class PoolSnapshot:
    """What is the same for everybody. `line` are those who wait, in order; `lent_at_once` are flavors for which nobody
    has to stand in it. `said` is what was made of it for readers, by language.
    """

    revision: int
    at: datetime
    slots: list[Slot]
    without_room: set[str]
    controls: AdminSettings
    line: list[Ticket]
    free_now: set[str]
    wait_histories: dict[str, WaitHistory]
    said: dict[str, dict[str, Any]] = field(default_factory=dict)
    _waits: dict[tuple[str, int], WaitEstimate | None] = field(default_factory=dict)

    def in_line(self, flavor: str) -> int:
        """How many wait for a flavor."""
        return sum(ticket.flavor == flavor for ticket in self.line)

    def wait(self, flavor: str, place: int) -> WaitEstimate | None:
        """How long whoever has this place in the line for a flavor will wait."""
        wait_history = self.wait_histories.get(flavor)
        if wait_history is None:  # it is not in the catalog any more
            return None
        if (flavor, place) not in self._waits:
            self._waits[flavor, place] = wait_history.wait(place)
        return self._waits[flavor, place]


@dataclass(frozen=True)
class UserSnapshot:
    """One person's default server in the pool. `place` is that of their `ticket` where it waits."""

    pool: PoolSnapshot
    current: Instance | None
    progress: list[Event]
    ticket: Ticket | None
    place: int | None
    last: Instance | None
    last_ticket: Ticket | None


class SnapshotReader:
    """Reads moments. A crowd of pages asks after every change, and most of what they ask is the same."""

    def __init__(self, admission: Admission, now: Callable[[], datetime]) -> None:
        self._admission = admission
        self._now = now
        self._lock = threading.Lock()
        self._pool: PoolSnapshot | None = None

    def read(self, connection: Connection, user_name: str, *, patience: timedelta = timedelta(0)) -> UserSnapshot:
        """The moment of one person, in the transaction of `connection`.

        What is theirs is as new as can be; the rest may be older than the last change by `patience`, which saves much
        where everybody changes something at once.
        """
        pool = self._read_pool(connection, patience)
        mine = [loan for loan in instances.unended(connection, user_name) if loan.server_name == ""]
        current = mine[-1] if mine else None
        ticket = _own_ticket(tickets.alive(connection, user_name))
        waits = ticket is not None and ticket.state is TicketState.WAITING
        return UserSnapshot(
            pool=pool,
            current=current,
            progress=instances.events_of(connection, current.id) if current else [],
            ticket=ticket,
            place=tickets.ahead(connection, ticket) + 1 if ticket and waits else None,
            last=None if current else instances.last_ended(connection, user_name),
            last_ticket=None if ticket else tickets.last_over(connection, user_name),
        )

    def _read_pool(self, connection: Connection, patience: timedelta) -> PoolSnapshot:
        now, current = self._now(), revision(connection)
        with self._lock:
            pool = self._pool
            age = CACHE_TTL if pool is None else now - pool.at
            if pool is None or age > (CACHE_TTL if pool.revision == current else patience):
                catalog, memory = self._admission.catalog, self._admission.backend.memory()
                line, occupying = waiting_in_order(tickets.alive(connection)), slots.occupying(connection)
                closed = self._admission.closed(connection)
                pool = self._pool = PoolSnapshot(
                    revision=current,
                    at=now,
                    slots=occupying,
                    without_room=slots.without_room(connection, since=now - NO_ROOM_TTL),
                    controls=AdminSettings(admin_settings.all_of(connection)),
                    line=line,
                    free_now={
                        flavor.id
                        for flavor in catalog.flavors
                        if would_be_called(catalog, flavor.id, line, occupying, memory, closed=closed)
                    },
                    wait_histories=self._admission.wait_histories.of(connection),
                )
            return pool


def _own_ticket(alive: list[Ticket]) -> Ticket | None:
    """The ticket of the default server that its person should see: one that waits or waited."""
    return next((one for one in alive if one.server_name == "" and one.has_waited), None)
