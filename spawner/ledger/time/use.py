"""Queries of how instances are used."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from spawner.ledger.engine import POSTGRESQL
from spawner.ledger.time.rows import Activity, InstanceUse
from spawner.ledger.time.tables import instance_use

AT_ONCE = 500
"""Ids in one query: SQLite and PostgreSQL limit the parameters of a statement."""


def put(connection: Connection, uses: Sequence[InstanceUse]) -> None:
    """Write these rows, in one statement, in place of what they were."""
    if not uses:
        return
    dialect = postgresql if connection.dialect.name == POSTGRESQL else sqlite
    query = dialect.insert(instance_use)
    changed = {column.name: query.excluded[column.name] for column in instance_use.c if not column.primary_key}
    connection.execute(
        query.on_conflict_do_update(index_elements=[instance_use.c.instance_id], set_=changed),
        [dict(vars(one)) for one in uses],
    )


def of_instance(connection: Connection, instance_id: str) -> InstanceUse | None:
    """As the steward judged it last; None before it did."""
    row = connection.execute(select(instance_use).where(instance_use.c.instance_id == instance_id)).one_or_none()
    return None if row is None else InstanceUse(**row._mapping)


def of_instances(connection: Connection, instance_ids: Collection[str]) -> dict[str, InstanceUse]:
    """By instance, those that there are."""
    ids = list(instance_ids)
    found: dict[str, InstanceUse] = {}
    for at in range(0, len(ids), AT_ONCE):
        query = select(instance_use).where(instance_use.c.instance_id.in_(ids[at : at + AT_ONCE]))
        found |= {row.instance_id: InstanceUse(**row._mapping) for row in connection.execute(query)}
    return found


def activities(connection: Connection, instance_ids: Collection[str]) -> dict[str, Activity]:
    """By instance, how it is used, without its samples."""
    ids = list(instance_ids)
    found: dict[str, Activity] = {}
    for at in range(0, len(ids), AT_ONCE):
        columns = select(instance_use.c.instance_id, instance_use.c.activity)
        rows = connection.execute(columns.where(instance_use.c.instance_id.in_(ids[at : at + AT_ONCE])))
        found |= {row.instance_id: row.activity for row in rows}
    return found
