"""Settings that administrators change at run time: one row per setting, with who set it and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from spawner.ledger.engine import rows_changed
from spawner.ledger.pool.tables import controls
from spawner.ledger.transitions import touch

_ALL = select(controls).order_by(controls.c.name)


@dataclass(frozen=True)
class AdminSetting:
    """One setting. `value` is any JSON value."""

    name: str
    value: Any
    set_at: datetime
    set_by: str


def put(connection: Connection, name: str, value: Any, *, now: datetime, by: str) -> None:
    """Insert or replace a setting."""
    values = {"value": value, "set_at": now, "set_by": by}
    if rows_changed(connection.execute(update(controls).where(controls.c.name == name).values(**values))) != 1:
        connection.execute(insert(controls).values(name=name, **values))
    touch(connection)


def clear(connection: Connection, name: str) -> bool:
    """Delete a setting, so that the catalog applies. False if it was not set."""
    was_there = rows_changed(connection.execute(delete(controls).where(controls.c.name == name))) == 1
    touch(connection)
    return was_there


def all_of(connection: Connection) -> dict[str, AdminSetting]:
    """All settings by name."""
    rows = connection.execute(_ALL)
    return {row.name: AdminSetting(**row._mapping) for row in rows}
