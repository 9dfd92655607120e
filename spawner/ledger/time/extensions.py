"""Queries of moved ends: by the user's click, and by grace."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, insert, select

from spawner.ledger.time.rows import Extension
from spawner.ledger.time.tables import session_extensions


def put(connection: Connection, extension: Extension) -> None:
    """Write that an end was moved. The caller moves it in the same transaction."""
    connection.execute(insert(session_extensions).values(**vars(extension)))


def of_instance(connection: Connection, instance_id: str) -> list[Extension]:
    """All extensions of one instance, oldest first."""
    return of_instances(connection, [instance_id]).get(instance_id, [])


def of_instances(connection: Connection, instance_ids: Collection[str]) -> dict[str, list[Extension]]:
    """Extensions, oldest first, by instance. Instances without any are not in it."""
    found: dict[str, list[Extension]] = {}
    if not instance_ids:
        return found
    query = (
        select(session_extensions)
        .where(session_extensions.c.instance_id.in_(list(instance_ids)))
        .order_by(session_extensions.c.at, session_extensions.c.id)
    )
    for row in connection.execute(query):
        found.setdefault(row.instance_id, []).append(Extension(**row._mapping))
    return found
