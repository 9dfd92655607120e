"""Tables of bundles."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from spawner.ledger.bundles.rows import BundleState
from spawner.ledger.schema import EnumText, PlainText, UtcDateTime, metadata

bundles = Table(
    "bundles",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("person_id", String(32), nullable=False),
    Column("instance_id", String(32), nullable=False, unique=True),
    Column("state", EnumText(BundleState, 16), nullable=False),
    Column("key", String(64), nullable=False),
    Column("store", String(16), nullable=False),
    Column("bytes", BigInteger),
    Column("files", Integer),
    Column("made_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("fetched_at", UtcDateTime),
    Column("detail", PlainText),
)
Index("bundles_by_person", bundles.c.person_id)
Index("bundles_by_expiry", bundles.c.expires_at)

keep_choices = Table(
    "keep_choices",
    metadata,
    Column("person_id", String(32), primary_key=True),
    Column("chosen_at", UtcDateTime, nullable=False),
)
