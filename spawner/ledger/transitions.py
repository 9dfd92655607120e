"""Compare-and-set changes of a row's state, and the revision counter that each change increments."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Table, select, update

from spawner.errors import LostRace
from spawner.ledger.engine import rows_changed
from spawner.ledger.schema import revisions

PRUNED_AT_ONCE = 500
"""Old rows that one transaction deletes, so that others wait milliseconds for it."""
_TOUCH = update(revisions).where(revisions.c.name == "ledger").values(value=revisions.c.value + 1)
_REVISION = select(revisions.c.value).where(revisions.c.name == "ledger")


def change(
    connection: Connection,
    table: Table,
    row_id: str,
    *,
    expected: Iterable[StrEnum],
    to: StrEnum,
    version: int | None = None,
    **values: Any,
) -> None:
    """Set `to` and `values` in row `row_id` if its state is one of `expected`; else raise `LostRace`, write nothing.

    With `version`, the row must also still have that version, which is then incremented. Each table's module wraps
    this function with the types of its columns.
    """
    allowed = tuple(expected)
    query = update(table).where(table.c.id == row_id, table.c.state.in_(allowed))
    if version is not None:
        query = query.where(table.c.version == version)
        values |= {"version": version + 1}
    if rows_changed(connection.execute(query.values(state=to, **values))) != 1:
        state = connection.execute(select(table.c.state).where(table.c.id == row_id)).scalar()
        raise LostRace(
            "{table} {row_id} is {found}, not {allowed}: somebody else was first.",
            table=table.name,
            row_id=row_id,
            found=state or "not there",
            allowed=" or ".join(allowed),
        )
    touch(connection)


def touch(connection: Connection) -> None:
    """Increment the revision, so that the desk reads a new snapshot.

    Call it last in a transaction: all writers update this one row.
    """
    connection.execute(_TOUCH)


def revision(connection: Connection) -> int:
    """The number of changes so far."""
    return int(connection.execute(_REVISION).scalar_one())


def ended_before(connection: Connection, table: Table, moment: datetime) -> list[str]:
    """Ids of the rows that ended first, before a time: at most `PRUNED_AT_ONCE`."""
    old = select(table.c.id).where(table.c.ended_at < moment).order_by(table.c.ended_at).limit(PRUNED_AT_ONCE)
    return list(connection.execute(old).scalars())
