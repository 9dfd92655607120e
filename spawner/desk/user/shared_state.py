"""What all open pages share, read once for each change: the pool's snapshot, and marks of what is each user's own.

Thousands of pages are open, and every start changes what all of them show. A page whose mark is unchanged takes the
pool's snapshot and keeps the rows that it has read before, so it reads nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Connection

from spawner.desk.user.snapshot import CACHE_TTL, PoolSnapshot, SnapshotReader
from spawner.ledger import Instance, Ledger, Ticket
from spawner.ledger.people import bans
from spawner.ledger.pool import page_marks
from spawner.pool.admin.announcement import ANNOUNCEMENT
from spawner.pool.admin.settings import DRAIN

NOTHING: tuple[Any, ...] = ()
IN_SESSIONS = (DRAIN, ANNOUNCEMENT)
"""Administrators' settings that change what a running session shows."""


@dataclass(frozen=True)
class SharedState:
    """Of one transaction. `places`: of each waiting ticket in the queue of its flavor, from 1, by id."""

    pool: PoolSnapshot
    banned: frozenset[str]
    places: Mapping[str, int]
    own: Mapping[str, tuple[Instance | Ticket, ...]]
    steps: Mapping[str, int]
    notices: Mapping[str, tuple[Any, ...]]

    def mark(self, person_id: str) -> tuple[Any, ...]:
        """Changes with every row of this person that the page shows at once.

        Not with groups, class, hours and kept files: a page reads those by `OWN_SECONDS_PER_LISTENER`.
        """
        own = self.own.get(person_id, NOTHING)
        said = tuple((self.steps.get(one.id), self.notices.get(one.id)) for one in own)
        # Who waits for what, and maintenance, decide whether and how far a session can be extended.
        shown = (self.waiting, *map(self.pool.controls.rows.get, IN_SESSIONS)) if own else NOTHING
        return own, said, shown, person_id in self.banned

    @cached_property
    def waiting(self) -> frozenset[str]:
        """The flavors that somebody waits for."""
        return frozenset(ticket.flavor for ticket in self.pool.queue)


class SharedStateReader:
    """Reads it once for each change, and at least as often as wait estimates change."""

    def __init__(self, ledger: Ledger, snapshots: SnapshotReader, now: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._snapshots = snapshots
        self._now = now
        self._reading = asyncio.Lock()
        self._last: tuple[int, SharedState] | None = None

    async def after(self, change: int) -> SharedState:
        """The state after a change, by its number (`ChangeNotifier.number`), at most a second old."""
        async with self._reading:
            if self._last is None or self._last[0] != change or self._now() - self._last[1].pool.at > CACHE_TTL:
                self._last = change, await self._ledger.aread(self._read)
            return self._last[1]

    def _read(self, connection: Connection) -> SharedState:
        pool, rows = self._snapshots.read_open(connection)
        own: dict[str, tuple[Instance | Ticket, ...]] = {}
        unended: list[Instance | Ticket] = [*rows.instances, *rows.tickets]
        for one in unended:
            if one.server_name == "":
                own[one.person_id] = (*own.get(one.person_id, NOTHING), one)
        places, counts = {}, defaultdict[str, int](int)
        for ticket in pool.queue:
            counts[ticket.flavor] += 1
            places[ticket.id] = counts[ticket.flavor]
        return SharedState(
            pool=pool,
            banned=frozenset(ban.person_id for ban in bans.holding(connection, now=self._now())),
            places=places,
            own=own,
            steps=page_marks.steps_of_starting(connection),
            notices=page_marks.notices_of_unended(connection),
        )
