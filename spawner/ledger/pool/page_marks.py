"""What changes with each step of a start and each notice: of all instances at once, for the pages that are open."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select

from spawner.ledger.pool.rows import InstanceState
from spawner.ledger.pool.tables import IS_UNENDED, events, instances
from spawner.ledger.time.tables import session_notices


def steps_of_starting(connection: Connection) -> dict[str, int]:
    """Of each starting instance with progress: the number of its last event."""
    starting = select(instances.c.id).where(IS_UNENDED, instances.c.state == InstanceState.STARTING)
    query = select(events.c.instance_id, func.max(events.c.seq)).where(events.c.instance_id.in_(starting))
    return {row[0]: row[1] for row in connection.execute(query.group_by(events.c.instance_id))}


def notices_of_unended(connection: Connection) -> dict[str, tuple[Any, ...]]:
    """Of each unended instance with notices: what changes with each that is written, seen or answered."""
    table, unended = session_notices.c, select(instances.c.id).where(IS_UNENDED)
    marks = (func.count(), func.max(table.written_at), func.count(table.seen_at), func.count(table.answered_at))
    query = select(table.instance_id, *marks).where(table.instance_id.in_(unended)).group_by(table.instance_id)
    return {row[0]: tuple(row[1:]) for row in connection.execute(query)}
