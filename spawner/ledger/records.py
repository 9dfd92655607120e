"""Rows as records, where thousands are read at once: columns in the order of the record's fields."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import Column, Table


def columns_of(table: Table, record: type[Any]) -> list[Column[Any]]:
    """The columns of a table for `record(*row)`: half the time of `record(**row._mapping)`."""
    return [table.c[one.name] for one in fields(record)]
