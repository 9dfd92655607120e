"""Queries of the guard's notes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from spawner.ledger.engine import rows_changed
from spawner.ledger.pool.rows import GuardLook, GuardNote, Instance
from spawner.ledger.pool.tables import guard_looks, guard_notes, instances
from spawner.ledger.transitions import touch

LAST = "last"


@dataclass(frozen=True)
class NotedInstance:
    """A note and its instance; None where that is so long ago that its row is deleted."""

    note: GuardNote
    instance: Instance | None


def put(connection: Connection, note: GuardNote) -> GuardNote:
    """Write a note. Where the instance has one of its kind, that gets the new evidence, and stays dismissed if it was.

    Returns the row.
    """
    is_this = (guard_notes.c.instance_id == note.instance_id) & (guard_notes.c.kind == note.kind)
    values = {"evidence": note.evidence, "seen_at": note.seen_at}
    if rows_changed(connection.execute(update(guard_notes).where(is_this).values(**values))) != 1:
        connection.execute(insert(guard_notes).values(**asdict(note)))
        touch(connection)
    return GuardNote(**connection.execute(select(guard_notes).where(is_this)).one()._mapping)


def mark_slowed(connection: Connection, note_id: str, at: datetime | None) -> None:
    """The instance got less processor for this note, or (None) has all of it again."""
    connection.execute(update(guard_notes).where(guard_notes.c.id == note_id).values(slowed_at=at))
    touch(connection)


def mark_stopped(connection: Connection, note_id: str, at: datetime) -> None:
    """The instance is ended for this note."""
    connection.execute(update(guard_notes).where(guard_notes.c.id == note_id).values(stopped_at=at))
    touch(connection)


def dismiss(connection: Connection, note_id: str, *, by: str, now: datetime) -> bool:
    """An administrator has looked and finds nothing wrong. False where that is no open note."""
    query = update(guard_notes).where(guard_notes.c.id == note_id, guard_notes.c.dismissed_at.is_(None))
    was_open = rows_changed(connection.execute(query.values(dismissed_at=now, dismissed_by=by))) == 1
    touch(connection)
    return was_open


def of_person(connection: Connection, person_id: str) -> list[GuardNote]:
    """All notes about a person's instances, oldest first."""
    rows = connection.execute(_ordered().where(guard_notes.c.person_id == person_id))
    return [GuardNote(**row._mapping) for row in rows]


def of_instances(connection: Connection, instance_ids: list[str]) -> list[GuardNote]:
    """The notes about these instances."""
    if not instance_ids:
        return []
    rows = connection.execute(_ordered().where(guard_notes.c.instance_id.in_(instance_ids)))
    return [GuardNote(**row._mapping) for row in rows]


def undismissed(connection: Connection, *, at_most: int) -> list[NotedInstance]:
    """Open notes with their instances, newest first."""
    query = select(guard_notes).where(guard_notes.c.dismissed_at.is_(None))
    rows = connection.execute(query.order_by(guard_notes.c.noted_at.desc(), guard_notes.c.id).limit(at_most)).all()
    notes = [GuardNote(**row._mapping) for row in rows]
    found = connection.execute(select(instances).where(instances.c.id.in_({note.instance_id for note in notes})))
    by_id = {row.id: Instance(**row._mapping) for row in found}
    return [NotedInstance(note, by_id.get(note.instance_id)) for note in notes]


def note_look(connection: Connection, look: GuardLook) -> None:
    """Replace the row of the last look."""
    values: dict[str, Any] = asdict(look)
    if rows_changed(connection.execute(update(guard_looks).where(guard_looks.c.name == LAST).values(**values))) != 1:
        connection.execute(insert(guard_looks).values(name=LAST, **values))


def last_look(connection: Connection) -> GuardLook | None:
    """The row of the last look."""
    row = connection.execute(select(guard_looks).where(guard_looks.c.name == LAST)).one_or_none()
    return None if row is None else GuardLook(at=row.at, instances=row.instances, sight=row.sight)


def prune(connection: Connection, *, before: datetime) -> int:
    """Delete notes that were last seen before a time. Returns how many."""
    return connection.execute(delete(guard_notes).where(guard_notes.c.seen_at < before)).rowcount


def _ordered() -> Any:
    return select(guard_notes).order_by(guard_notes.c.noted_at, guard_notes.c.id)
