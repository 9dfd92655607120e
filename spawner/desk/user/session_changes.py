"""Wakes the streams of sessions. A platform has thousands of open labs, so a change wakes only those that it is about.

One query for all of them reads a mark of each running instance, which changes with what its session shows.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping

from sqlalchemy import Connection, func, select

from spawner.aio import Signal
from spawner.desk.changes import ChangeNotifier
from spawner.errors import LedgerError
from spawner.ledger import Ledger
from spawner.ledger.pool import admin_settings, tickets
from spawner.ledger.pool.rows import TicketState
from spawner.ledger.pool.tables import IS_UNENDED, instances
from spawner.ledger.time.tables import instance_use, session_extensions, session_notices
from spawner.pool.admin.announcement import announcement_of
from spawner.pool.admin.settings import AdminSettings

LOOK_SECONDS = 10.0
"""How long a look waits for a change before it looks whether anybody still listens."""
Mark = tuple[object, ...]


class SessionChanges:
    """Follows the ledger while there are listeners."""

    def __init__(self, ledger: Ledger, changes: ChangeNotifier, rivals: Callable[[str], frozenset[str]]) -> None:
        """`rivals`: the flavors that wait for the same machines as a flavor."""
        self._ledger = ledger
        self._changes = changes
        self._rivals = rivals
        self._marks: Mapping[str, Mark] = {}
        self._waiting: dict[str, Signal] = {}
        self._listeners: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    def waiter(self, instance_id: str) -> asyncio.Future[None]:
        """A future for the next change of this instance's session. Create it in a `listening` block, before reading."""
        return self._waiting[instance_id].waiter()

    def forget(self, instance_id: str, waiter: asyncio.Future[None]) -> None:
        """Nobody waits for this future any more."""
        self._waiting[instance_id].forget(waiter)

    async def wait(self, waiter: asyncio.Future[None], *, seconds: float) -> bool:
        """Wait for the change, at most so long. Whether it came; if not, the same future may be waited for again."""
        done, _ = await asyncio.wait([waiter], timeout=seconds)
        return bool(done)

    @contextlib.contextmanager
    def listening(self, instance_id: str) -> Iterator[None]:
        """While the block runs, the instance is followed."""
        self._waiting.setdefault(instance_id, Signal())
        self._listeners[instance_id] = self._listeners.get(instance_id, 0) + 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            self._listeners[instance_id] -= 1
            if not self._listeners[instance_id]:
                del self._listeners[instance_id], self._waiting[instance_id]

    async def _follow(self) -> None:
        while self._listeners:
            change = self._changes.number
            with contextlib.suppress(LedgerError):
                marks = await self._ledger.aread(read_marks, self._rivals)
                for instance_id, signal in self._waiting.items():
                    if marks.get(instance_id) != self._marks.get(instance_id):
                        signal.notify()
                self._marks = marks
            await self._changes.next(seconds=LOOK_SECONDS, after=change)


def read_marks(connection: Connection, rivals: Callable[[str], frozenset[str]]) -> dict[str, Mark]:
    """By instance, what changes when its session's view does, except time alone."""
    settings = admin_settings.all_of(connection)
    drain, announced = AdminSettings(settings).drain, announcement_of(settings)
    waiting = frozenset(one.flavor for one in tickets.alive(connection) if one.state is TicketState.WAITING)
    unended = select(instances.c.id).where(IS_UNENDED)
    counts = select(
        session_notices.c.instance_id,
        func.count(),
        func.count(session_notices.c.answered_at),
    ).where(session_notices.c.instance_id.in_(unended))
    moved = select(session_extensions.c.instance_id, func.count()).where(session_extensions.c.instance_id.in_(unended))
    use = select(instance_use.c.instance_id, instance_use.c.activity, instance_use.c.stops_at)
    parts = [
        {row[0]: tuple(row[1:]) for row in connection.execute(query)}
        for query in (
            counts.group_by(session_notices.c.instance_id),
            moved.group_by(session_extensions.c.instance_id),
            use,
        )
    ]
    rows = connection.execute(
        select(instances.c.id, instances.c.state, instances.c.ends_at, instances.c.flavor).where(IS_UNENDED)
    )
    return {
        row.id: (
            row.state,
            row.ends_at,
            drain,
            announced,
            bool(rivals(row.flavor) & waiting),
            *(part.get(row.id) for part in parts),
        )
        for row in rows
    }
