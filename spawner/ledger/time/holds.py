"""Queries of holds: what is set aside for each run."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from spawner.ledger.time.rows import Hold
from spawner.ledger.time.tables import IS_HELD, allowance_holds

_WRITE = insert(allowance_holds)
_GET = select(allowance_holds).where(allowance_holds.c.instance_id == bindparam("id"))
_HELD = (
    select(allowance_holds)
    .where(allowance_holds.c.person_id == bindparam("of"), IS_HELD)
    .order_by(allowance_holds.c.taken_at, allowance_holds.c.instance_id)
)
_HELD_IN = _HELD.where(allowance_holds.c.class_id == bindparam("class"))


def write(connection: Connection, hold: Hold) -> None:
    """Write a hold."""
    connection.execute(_WRITE, vars(hold))


def get(connection: Connection, instance_id: str) -> Hold | None:
    """The hold of a run; None where its flavor has no class."""
    row = connection.execute(_GET, {"id": instance_id}).one_or_none()
    return None if row is None else Hold(**row._mapping)


def held(connection: Connection, person_id: str, class_id: str | None = None) -> list[Hold]:
    """A person's holds that are not released, oldest first."""
    values = {"of": person_id}
    rows = connection.execute(*((_HELD, values) if class_id is None else (_HELD_IN, values | {"class": class_id})))
    return [Hold(**row._mapping) for row in rows]


def resize(connection: Connection, instance_id: str, *, seconds: int) -> None:
    """Change what is set aside, in weighted seconds."""
    connection.execute(
        update(allowance_holds).where(allowance_holds.c.instance_id == instance_id).values(seconds=seconds)
    )


def release(connection: Connection, instance_id: str, *, now: datetime) -> None:
    """Write that nothing is set aside any more. Does nothing where that was written before."""
    is_held = allowance_holds.c.instance_id == instance_id, IS_HELD
    connection.execute(update(allowance_holds).where(*is_held).values(released_at=now))


def remove(connection: Connection, instance_id: str) -> None:
    """Delete the hold of a run that never began."""
    connection.execute(delete(allowance_holds).where(allowance_holds.c.instance_id == instance_id))
