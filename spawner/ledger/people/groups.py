"""Groups of people. Each has its source, so that a refresh of one source leaves those of the other."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from spawner.ledger.people.rows import GroupSource
from spawner.ledger.people.tables import person_groups
from spawner.ledger.transitions import touch


def replace(
    connection: Connection, person_id: str, source: GroupSource, names: Iterable[str], *, by: str, now: datetime
) -> None:
    """The person is in these groups, as this source says now."""
    wanted, had = set(names), set(of(connection, person_id, source))
    of_source = (person_groups.c.person_id == person_id) & (person_groups.c.source == source)
    if had - wanted:
        connection.execute(delete(person_groups).where(of_source, person_groups.c.name.in_(had - wanted)))
    if wanted - had:
        row = {"person_id": person_id, "source": source, "set_at": now, "set_by": by}
        connection.execute(insert(person_groups), [row | {"name": name} for name in sorted(wanted - had)])
    if wanted != had:
        touch(connection)


def of(connection: Connection, person_id: str, source: GroupSource | None = None) -> tuple[str, ...]:
    """The groups of a person, in order of their names; those of one source if named."""
    query = select(person_groups.c.name).where(person_groups.c.person_id == person_id)
    if source is not None:
        query = query.where(person_groups.c.source == source)
    return tuple(sorted(set(connection.execute(query).scalars())))
