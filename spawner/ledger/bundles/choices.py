"""Queries of who wants their files kept."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from spawner.ledger.bundles.tables import keep_choices
from spawner.ledger.transitions import touch


def is_chosen(connection: Connection, person_id: str) -> bool:
    """Whether the person wants it."""
    query = select(keep_choices.c.person_id).where(keep_choices.c.person_id == person_id)
    return connection.execute(query).scalar() is not None


def choose(connection: Connection, person_id: str, *, wanted: bool, now: datetime) -> None:
    """Write what the person wants. What is kept already stays until its day."""
    if wanted == is_chosen(connection, person_id):
        return
    if wanted:
        connection.execute(insert(keep_choices).values(person_id=person_id, chosen_at=now))
    else:
        connection.execute(delete(keep_choices).where(keep_choices.c.person_id == person_id))
    touch(connection)
