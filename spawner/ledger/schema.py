"""What all tables share: the metadata, column types for enums and times, and the tables of no single feature."""

from __future__ import annotations

from datetime import datetime, timezone
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import Column, DateTime, Dialect, Integer, MetaData, String, Table
from sqlalchemy.types import TypeDecorator

E = TypeVar("E", bound=StrEnum)

# No table declares a foreign key, so SQLite's `foreign_keys` pragma is not set. `slots.holder_id` refers to an instance
# or to a ticket, and old instances, slots and tickets are pruned independently: rows keep ids of removed ones.
metadata = MetaData()


class UtcDateTime(TypeDecorator[datetime]):
    """Aware times in UTC. SQLite stores no time zone, so it is added when a value is read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Reject naive datetimes."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("times in the ledger are aware; pass datetime.now(timezone.utc)")
        return value.astimezone(timezone.utc)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return an aware datetime in UTC."""
        if value is None:
            return None
        stored: datetime = value
        return stored.replace(tzinfo=timezone.utc) if stored.tzinfo is None else stored.astimezone(timezone.utc)


class EnumText(TypeDecorator[E]):
    """A StrEnum, stored as its value in a VARCHAR. Both directions raise `ValueError` for an unknown value."""

    impl = String
    cache_ok = True

    def __init__(self, enum: type[E], length: int) -> None:
        super().__init__(length)
        self.enum = enum
        self.length = length

    def process_bind_param(self, value: E | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the text to store."""
        return None if value is None else self.enum(value).value

    def process_result_value(self, value: Any, dialect: Dialect) -> E | None:  # noqa: ARG002
        """Return the member of the enum."""
        return None if value is None else self.enum(value)


leases = Table(
    "leases",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

revisions = Table(
    "revisions",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", Integer, nullable=False),
)
