"""The tables. They are Freepool's own: JupyterHub's database is never touched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Boolean, Column, DateTime, Dialect, Index, Integer, MetaData, String, Table, Text, text
from sqlalchemy.types import TypeDecorator

from spawner.plain_text import printable

metadata = MetaData()


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC times in and out, also on SQLite, which forgets time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse naive times: they are somebody's local guess."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("times in the ledger are aware; pass datetime.now(UTC)")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give the time zone back."""
        if value is None:
            return None
        stored: datetime = value
        return stored.replace(tzinfo=UTC) if stored.tzinfo is None else stored.astimezone(UTC)


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


instances = Table(
    "instances",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_name", ForeignName(255), nullable=False),
    Column("server_name", ForeignName(255), nullable=False),
    Column("flavor", String(31), nullable=False),
    Column("image", String(31), nullable=False),
    Column("example", String(31)),
    Column("state", String(16), nullable=False),
    Column("hub_epoch", String(32), nullable=False),
    Column("slot_id", String(32)),
    Column("url", String(255)),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("usable_at", UtcDateTime),
    Column("ends_at", UtcDateTime),
    Column("stopping_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("reason", String(32)),
    Column("detail", PlainText),
)
Index("instances_by_user", instances.c.user_name, instances.c.server_name, instances.c.requested_at)
Index("instances_by_state", instances.c.state)
# Whatever goes wrong above it, the database itself never holds two live loans for one server.
Index(
    "instances_one_live",
    instances.c.user_name,
    instances.c.server_name,
    unique=True,
    sqlite_where=text("state IN ('starting', 'running')"),
    postgresql_where=text("state IN ('starting', 'running')"),
)

slots = Table(
    "slots",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("flavor", String(31), nullable=False),
    Column("image", String(31), nullable=False),
    Column("state", String(16), nullable=False),
    Column("holder_id", String(32)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("warm_at", UtcDateTime),
    Column("claimed_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("reason", String(32)),
    Column("detail", PlainText),
    Column("version", String(128)),
)
Index("slots_by_state", slots.c.state, slots.c.flavor, slots.c.image)

tickets = Table(
    "tickets",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_name", ForeignName(255), nullable=False),
    Column("server_name", ForeignName(255), nullable=False),
    Column("flavor", String(31), nullable=False),
    Column("image", String(31), nullable=False),
    Column("example", String(31)),
    Column("state", String(16), nullable=False),
    Column("joined_at", UtcDateTime, nullable=False),
    Column("rank_at", UtcDateTime, nullable=False),
    Column("called_at", UtcDateTime),
    Column("hold_until", UtcDateTime),
    Column("instance_id", String(32)),
    Column("served_at", UtcDateTime),
    Column("collected_at", UtcDateTime),
    Column("told_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("expected_low", Integer),
    Column("expected_high", Integer),
    Column("tries", Integer, nullable=False, default=0),
    Column("ends_by", UtcDateTime),
    Column("detail", PlainText),
)
Index("tickets_by_user", tickets.c.user_name, tickets.c.state)
Index("tickets_by_state", tickets.c.state, tickets.c.rank_at)
Index("tickets_by_instance", tickets.c.instance_id)
# Whatever goes wrong above it, nobody ever stands in line twice.
Index(
    "tickets_one_waiting",
    tickets.c.user_name,
    unique=True,
    sqlite_where=text("state = 'waiting'"),
    postgresql_where=text("state = 'waiting'"),
)

controls = Table(
    "controls",
    metadata,
    Column("name", ForeignName(96), primary_key=True),
    Column("value", PlainJson, nullable=False),
    Column("set_at", UtcDateTime, nullable=False),
    Column("set_by", ForeignName(255), nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("instance_id", String(32), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("step", String(32), nullable=False),
    Column("params", PlainJson, nullable=False),
)
Index("events_by_instance", events.c.instance_id, events.c.seq)

leases = Table(
    "leases",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

user_namespaces = Table(
    "user_namespaces",
    metadata,
    Column("flavor", String(31), primary_key=True),
    Column("node", String(253), primary_key=True),
    Column("works", Boolean, nullable=False),
    Column("detail", PlainText, nullable=False),
    Column("noted_at", UtcDateTime, nullable=False),
)

revisions = Table(
    "revisions",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", Integer, nullable=False),
)
