"""Tables of people's own channels."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, text

from spawner.ledger.channels.rows import ChannelKind, MessageEvent
from spawner.ledger.schema import EnumText, ForeignName, PlainJson, PlainText, UtcDateTime, metadata

IS_OPEN = text("sent_at IS NULL AND failed_at IS NULL")
"""Condition of a partial index. Queries use the same text."""

channels = Table(
    "channels",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("person_id", String(32), nullable=False),
    Column("kind", EnumText(ChannelKind, 16), nullable=False),
    Column("address", ForeignName(2048), nullable=False),
    Column("language", String(16), nullable=False),
    Column("events", PlainJson, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("code_hash", String(64)),
    Column("code_expires_at", UtcDateTime),
    Column("confirmed_at", UtcDateTime),
    Column("failing_since", UtcDateTime),
    Column("detail", PlainText),
)
Index("channels_one", channels.c.person_id, channels.c.kind, unique=True)

messages = Table(
    "messages",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("channel_id", String(32), nullable=False),
    Column("person_id", String(32), nullable=False),
    Column("event", EnumText(MessageEvent, 16), nullable=False),
    Column("mark", String(128), nullable=False),
    Column("params", PlainJson, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("next_try_at", UtcDateTime, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("failed_at", UtcDateTime),
    Column("detail", PlainText),
)
Index("messages_one", messages.c.channel_id, messages.c.mark, unique=True)
Index("messages_open", messages.c.next_try_at, sqlite_where=IS_OPEN, postgresql_where=IS_OPEN)
Index("messages_by_person", messages.c.person_id)
Index("messages_by_time", messages.c.made_at)

blocked_addresses = Table(
    "blocked_addresses",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("blocked_at", UtcDateTime, nullable=False),
)
"""Addresses whose owners want no message from here. `digest`: a keyed hash of kind and address."""
