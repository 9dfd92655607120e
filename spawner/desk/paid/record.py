"""Rows of paid instances for export: all of them for administrators, and each user's own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, select

from spawner.ledger.paid.tables import bindings, consents, notices, order_events, orders

PAGE = 500
SECRET = {"external_id", "session", "answer_hash"}
"""Columns that are not exported."""
RECORD: Mapping[str, Table] = {
    "binding": bindings,
    "consent": consents,
    "order": orders,
    "event": order_events,
    "notice": notices,
}


def page_of(connection: Connection, table: Table, after: object = None) -> list[dict[str, Any]]:
    """The next `PAGE` rows of a table, in the order of its key. `after` is the last key of the page before."""
    (key,) = table.primary_key.columns
    query = select(table).order_by(key).limit(PAGE)
    if after is not None:
        query = query.where(key > after)
    return [dict(row._mapping) for row in connection.execute(query)]


def rows_of_person(connection: Connection, person_id: str) -> dict[str, list[dict[str, Any]]]:
    """The person's rows, by table."""
    rows = {
        table.name: _rows(connection, table, table.c.person_id == person_id) for table in (bindings, consents, orders)
    }
    ids = [row["id"] for row in rows[orders.name]]
    return rows | {
        order_events.name: _rows(connection, order_events, order_events.c.order_id.in_(ids)),
        notices.name: _rows(connection, notices, notices.c.person_id == person_id),
    }


def _rows(connection: Connection, table: Table, *where: ColumnElement[bool]) -> list[dict[str, Any]]:
    query = select(table).where(*where).order_by(*table.primary_key.columns)
    return [shown(dict(row._mapping)) for row in connection.execute(query)]


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row without the columns of `SECRET`."""
    return {name: value for name, value in row.items() if name not in SECRET}


def json_default(value: object) -> str:
    """For `json.dumps`: values that JSON has no type for."""
    return value.isoformat() if isinstance(value, datetime) else str(value)
