"""Tables of time."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, String, Table, text

from spawner.ledger.schema import EnumText, ForeignName, PlainJson, PlainText, UtcDateTime, metadata
from spawner.ledger.time.rows import Activity, Answer, EndSource, ExtensionKind, GrantSource, NoticeKind

IS_POLICY = text("source IN ('policy', 'float')")
IS_HELD = text("released_at IS NULL")
"""Conditions of partial indexes. Queries use the same text."""

allowance_grants = Table(
    "allowance_grants",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("person_id", String(32), nullable=False),
    Column("class_id", String(31), nullable=False),
    Column("seconds", Integer),
    Column("valid_from", UtcDateTime, nullable=False),
    Column("valid_until", UtcDateTime, nullable=False),
    Column("source", EnumText(GrantSource, 16), nullable=False),
    Column("reference", String(32)),
    Column("reason", PlainText, nullable=False),
    Column("made_by", ForeignName(255), nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
)
Index(
    "allowance_grants_by_person",
    allowance_grants.c.person_id,
    allowance_grants.c.class_id,
    allowance_grants.c.valid_until,
)
# The database itself rejects a second grant of one week.
Index(
    "allowance_grants_one",
    allowance_grants.c.person_id,
    allowance_grants.c.class_id,
    allowance_grants.c.valid_from,
    allowance_grants.c.source,
    unique=True,
    sqlite_where=IS_POLICY,
    postgresql_where=IS_POLICY,
)
Index("allowance_grants_by_end", allowance_grants.c.valid_until)

allowance_holds = Table(
    "allowance_holds",
    metadata,
    Column("instance_id", String(32), primary_key=True),
    Column("person_id", String(32), nullable=False),
    Column("class_id", String(31), nullable=False),
    Column("weight", Float, nullable=False),
    Column("seconds", Integer, nullable=False),
    Column("taken_at", UtcDateTime, nullable=False),
    Column("released_at", UtcDateTime),
)
Index(
    "allowance_holds_held",
    allowance_holds.c.person_id,
    allowance_holds.c.class_id,
    sqlite_where=IS_HELD,
    postgresql_where=IS_HELD,
)
Index("allowance_holds_by_person", allowance_holds.c.person_id)

allowance_charges = Table(
    "allowance_charges",
    metadata,
    Column("instance_id", String(32), primary_key=True),
    Column("person_id", String(32), nullable=False),
    Column("class_id", String(31), nullable=False),
    Column("weight", Float, nullable=False),
    Column("began_at", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Column("end_source", EnumText(EndSource, 16), nullable=False),
    Column("seconds", Integer, nullable=False),
    Column("refunded", Integer, nullable=False),
    Column("refund_reason", String(32)),
    Column("charged_at", UtcDateTime, nullable=False),
)
Index(
    "allowance_charges_by_person",
    allowance_charges.c.person_id,
    allowance_charges.c.class_id,
    allowance_charges.c.began_at,
)
Index("allowance_charges_by_time", allowance_charges.c.class_id, allowance_charges.c.began_at)
Index("allowance_charges_by_end", allowance_charges.c.until)

allowance_floats = Table(
    "allowance_floats",
    metadata,
    Column("class_id", String(31), primary_key=True),
    Column("week", UtcDateTime, primary_key=True),
    Column("seconds", Integer, nullable=False),
    Column("people", Integer, nullable=False),
    Column("unused", Integer, nullable=False),
)

session_extensions = Table(
    "session_extensions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("instance_id", String(32), nullable=False),
    Column("person_id", String(32), nullable=False),
    Column("kind", EnumText(ExtensionKind, 16), nullable=False),
    Column("seconds", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)
Index("session_extensions_by_instance", session_extensions.c.instance_id)
Index("session_extensions_by_person", session_extensions.c.person_id)

session_notices = Table(
    "session_notices",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("instance_id", String(32), nullable=False),
    Column("person_id", String(32), nullable=False),
    Column("kind", EnumText(NoticeKind, 16), nullable=False),
    Column("mark", String(64), nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("written_at", UtcDateTime, nullable=False),
    Column("params", PlainJson, nullable=False),
    Column("seen_at", UtcDateTime),
    Column("seen_in", String(16)),
    Column("answered_at", UtcDateTime),
    Column("answer", EnumText(Answer, 16)),
)
Index("session_notices_one", session_notices.c.instance_id, session_notices.c.mark, unique=True)
Index("session_notices_by_person", session_notices.c.person_id)
Index("session_notices_by_time", session_notices.c.written_at)

instance_use = Table(
    "instance_use",
    metadata,
    Column("instance_id", String(32), primary_key=True),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("activity", EnumText(Activity, 16), nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("stops_at", UtcDateTime),
    Column("samples", PlainJson, nullable=False),
)
