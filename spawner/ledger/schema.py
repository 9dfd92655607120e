"""What all tables share: the metadata, column types for enums and times, and the tables of no single feature."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import JSON, Column, DateTime, Dialect, Integer, MetaData, String, Table, Text
from sqlalchemy.types import TypeDecorator

from spawner.plain_text import printable

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
            raise ValueError("times in the ledger are aware; pass datetime.now(UTC)")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return an aware datetime in UTC."""
        if value is None:
            return None
        stored: datetime = value
        return stored.replace(tzinfo=UTC) if stored.tzinfo is None else stored.astimezone(UTC)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """For SQLite, which stores text: one call for each value, where thousands of rows are read at once."""
        return _utc if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


def _utc(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(f"{value}+00:00")


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

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:  # noqa: ARG002
        """One look-up for each value."""
        enum, members = self.enum, {member.value: member for member in self.enum}

        def process(value: str | None) -> E | None:
            return None if value is None else members.get(value) or enum(value)

        return process


class PlainText(TypeDecorator[str]):
    """Text that a program, a cluster or a cloud chose: `printable`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """What is written."""
        return None if value is None else printable(value)


class PlainString(TypeDecorator[str]):
    """`PlainText`, cut to the column's length."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """What is written."""
        length: int | None = getattr(self.impl_instance, "length", None)
        return None if value is None else printable(value)[:length]


class PlainJson(TypeDecorator[Any]):
    """JSON in which every text that is a value is `printable`."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """What is written."""
        if isinstance(value, str):
            return printable(value)
        if isinstance(value, Mapping):
            return {name: self.process_bind_param(one, dialect) for name, one in value.items()}
        return [self.process_bind_param(one, dialect) for one in value] if isinstance(value, list | tuple) else value


class ForeignName(TypeDecorator[str]):
    """A name or id that JupyterHub, a cloud or an administrator chose. It comes back as it was written.

    What a database cannot store (NUL, lone surrogates) is written as `MARK` and four hexadecimal digits. It is not
    dropped, because then two users could have one name.
    """

    impl = String
    cache_ok = True
    MARK = "\ufdd0"

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """What is written."""
        if value is None:
            return None
        return _NOT_STORABLE.sub(lambda found: f"{self.MARK}{ord(found[0]):04x}", value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """What was written."""
        return None if value is None else _STORED.sub(lambda found: chr(int(found[1], 16)), value)


_NOT_STORABLE = re.compile(f"[\x00\ud800-\udfff{ForeignName.MARK}]")
_STORED = re.compile(f"{ForeignName.MARK}([0-9a-f]{{4}})")


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
