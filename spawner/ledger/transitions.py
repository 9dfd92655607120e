"""The one way a row changes state: compare-and-set, or a loud `LostRace`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Table, select, update

from spawner.errors import LostRace
from spawner.ledger.engine import rows_changed
from spawner.ledger.pool.tables import revisions

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
    """Move row `row_id` to state `to` if it is in one of `expected`; else raise `LostRace` and write nothing.

    Where `version` is given, the row must also be the one that was read, and counts one up.
    """
    allowed = [str(state) for state in expected]
    query = update(table).where(table.c.id == row_id, table.c.state.in_(allowed))
    if version is not None:
        query = query.where(table.c.version == version)
        values |= {"version": version + 1}
    if rows_changed(connection.execute(query.values(plain(values | {"state": to})))) != 1:
        found = connection.execute(select(table.c.state).where(table.c.id == row_id)).scalar()
        raise LostRace(
            "{table} {row_id} is {found}, not {allowed}: somebody else was first.",
            table=table.name,
            row_id=row_id,
            found=found or "not there",
            allowed=" or ".join(allowed),
        )
    touch(connection)


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as drivers take them: the word of an enumeration, not the thing."""
    return {name: str(value) if isinstance(value, StrEnum) else value for name, value in values.items()}


def touch(connection: Connection) -> None:
    """Count the change, so that whoever shows the ledger to people knows when to look again.

    Always the last statement of a transaction: it is the one row that all writers share.
    """
    connection.execute(_TOUCH)


def revision(connection: Connection) -> int:
    """A number that grows with every change to instances, slots and progress."""
    return int(connection.execute(_REVISION).scalar_one())
