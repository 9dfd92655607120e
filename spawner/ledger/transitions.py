"""The one way a row changes state: compare-and-set, or a loud `LostRace`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Table, select, update

from spawner.compat import StrEnum
from spawner.errors import LostRace
from spawner.ledger.engine import rows_changed
from spawner.ledger.tables import revisions

_TOUCH = update(revisions).where(revisions.c.name == "ledger").values(value=revisions.c.value + 1)
_REVISION = select(revisions.c.value).where(revisions.c.name == "ledger")


def change(
    connection: Connection,
    table: Table,
    row_id: str,
    *,
    expected: Iterable[StrEnum],
    to: StrEnum,
    **values: Any,
) -> None:
    """Move row `row_id` to state `to` if it is in one of `expected`; else raise `LostRace` and write nothing."""
    allowed = [str(state) for state in expected]
    result = connection.execute(
        update(table).where(table.c.id == row_id, table.c.state.in_(allowed)).values(state=str(to), **values)
    )
    if rows_changed(result) != 1:
        found = connection.execute(select(table.c.state).where(table.c.id == row_id)).scalar()
        raise LostRace(
            "{table} {row_id} is {found}, not {allowed}: somebody else was first.",
            table=table.name,
            row_id=row_id,
            found=found or "not there",
            allowed=" or ".join(allowed),
        )
    touch(connection)


def touch(connection: Connection) -> None:
    """Count the change, so that whoever shows the ledger to people knows when to look again.

    Always the last statement of a transaction: it is the one row that all writers share.
    """
    connection.execute(_TOUCH)


def revision(connection: Connection) -> int:
    """A number that grows with every change to instances, slots and progress."""
    return int(connection.execute(_REVISION).scalar_one())
