"""Tables of paid instances. Amounts of money are text: SQLite has no exact decimal numbers."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, Index, Integer, String, Table, Text, text

from spawner.ledger.paid.rows import (
    BindingState,
    Block,
    ConsentKind,
    ConsentState,
    NoticeKind,
    OrderState,
    StopReason,
)
from spawner.ledger.schema import (
    EnumText,
    ForeignName,
    PlainJson,
    PlainString,
    PlainText,
    UtcDateTime,
    metadata,
)

LINKED = text("state != 'unlinked'")
ACCEPTED = text("state = 'accepted'")
UNSEEN = text("remote_id IS NULL")
UNENDED = text("state NOT IN ('gone', 'rejected')")

bindings = Table(
    "bindings",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_name", ForeignName(255), nullable=False),
    Column("user_since", ForeignName(40), nullable=False),
    Column("provider", String(31), nullable=False),
    Column("account_id", ForeignName(64), nullable=False),
    Column("subject", ForeignName(255), nullable=False),
    Column("external_id", String(128), nullable=False, unique=True),
    Column("role", ForeignName(255)),
    Column("workspaces", JSON, nullable=False),
    Column("state", EnumText(BindingState, 16), nullable=False),
    Column("blocked", EnumText(Block, 16)),
    Column("blocked_at", UtcDateTime),
    Column("proven_at", UtcDateTime, nullable=False),
    Column("probed_at", UtcDateTime),
    Column("unlinked_at", UtcDateTime),
    Column("person_id", String(32), nullable=False),
)
Index("bindings_by_account", bindings.c.provider, bindings.c.account_id)
Index(
    "bindings_one_linked",
    bindings.c.person_id,
    bindings.c.provider,
    bindings.c.account_id,
    unique=True,
    sqlite_where=LINKED,
    postgresql_where=LINKED,
)

consents = Table(
    "consents",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_name", ForeignName(255), nullable=False),
    Column("user_since", ForeignName(40), nullable=False),
    Column("session", ForeignName(64), nullable=False),
    Column("server_name", ForeignName(255), nullable=False),
    Column("kind", EnumText(ConsentKind, 16), nullable=False),
    Column("order_id", String(32)),
    Column("binding_id", String(32), nullable=False),
    Column("provider", String(31), nullable=False),
    Column("region", ForeignName(31), nullable=False),
    Column("account_id", ForeignName(64), nullable=False),
    Column("instance_type", ForeignName(64), nullable=False),
    Column("image", ForeignName(255)),
    Column("price", String(64), nullable=False),
    Column("currency", String(8), nullable=False),
    Column("unit", String(16), nullable=False),
    Column("disk", BigInteger),
    Column("disk_price", String(64)),
    Column("cap", String(64), nullable=False),
    Column("max_seconds", Integer, nullable=False),
    Column("run_seconds", Integer, nullable=False),
    Column("idle_seconds", Integer),
    Column("read_at", UtcDateTime, nullable=False),
    Column("offered_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("text_version", Integer, nullable=False),
    Column("text_hash", String(64), nullable=False),
    Column("language", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("answer_hash", String(64), nullable=False),
    Column("state", EnumText(ConsentState, 16), nullable=False),
    Column("accepted_at", UtcDateTime),
    Column("spent_at", UtcDateTime),
    Column("closed_at", UtcDateTime),
    Column("person_id", String(32), nullable=False),
)
Index("consents_by_person", consents.c.person_id, consents.c.offered_at)
# Several consents may be offered for one server at once (in two tabs); one of them can be accepted.
Index(
    "consents_one_accepted",
    consents.c.person_id,
    consents.c.server_name,
    unique=True,
    sqlite_where=ACCEPTED,
    postgresql_where=ACCEPTED,
)

orders = Table(
    "orders",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_name", ForeignName(255), nullable=False),
    Column("user_since", ForeignName(40), nullable=False),
    Column("server_name", ForeignName(255), nullable=False),
    Column("consent_id", String(32), unique=True),
    Column("binding_id", String(32), nullable=False),
    Column("provider", String(31), nullable=False),
    Column("region", ForeignName(31), nullable=False),
    Column("instance_type", ForeignName(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("state", EnumText(OrderState, 16), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("version", Integer, nullable=False),
    Column("workspace", ForeignName(64)),
    Column("remote_id", ForeignName(128)),
    Column("recovered_at", UtcDateTime),
    Column("blocked", EnumText(Block, 16)),
    Column("blocked_at", UtcDateTime),
    Column("next_try_at", UtcDateTime),
    Column("busy_until", UtcDateTime),
    Column("begun_at", UtcDateTime),
    Column("tries", Integer, nullable=False),
    Column("unsure", Boolean, nullable=False),
    Column("posted_at", UtcDateTime),
    Column("asked_at", UtcDateTime),
    Column("ending_since", UtcDateTime),
    Column("active_at", UtcDateTime),
    Column("run_began_at", UtcDateTime),
    Column("auto_stop_set_at", UtcDateTime),
    Column("stopped_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("reason", EnumText(StopReason, 32)),
    Column("seen_at", UtcDateTime),
    Column("remote_state", String(16)),
    Column("raw_state", PlainString(64)),
    Column("remote_reason", PlainText),
    Column("running", Float),
    Column("ran_before", Float, nullable=False),
    Column("stops_at", UtcDateTime),
    Column("spent", String(64)),
    Column("stop_wanted_at", UtcDateTime),
    Column("stop_wanted_by", ForeignName(255)),
    Column("delete_wanted_at", UtcDateTime),
    Column("delete_wanted_by", ForeignName(255)),
    Column("person_id", String(32), nullable=False),
)
Index("orders_by_state", orders.c.state, orders.c.next_try_at)
Index("orders_by_person", orders.c.person_id, orders.c.created_at)
# Until its id is known an instance is identified by name; later by id, as another workspace may use the same name.
Index(
    "orders_by_name",
    orders.c.binding_id,
    orders.c.region,
    orders.c.name,
    unique=True,
    sqlite_where=UNSEEN,
    postgresql_where=UNSEEN,
)
Index("orders_by_remote", orders.c.binding_id, orders.c.region, orders.c.remote_id, unique=True)
# The database itself rejects a second order of one server that is not over.
Index(
    "orders_one_active",
    orders.c.person_id,
    orders.c.server_name,
    unique=True,
    sqlite_where=UNENDED,
    postgresql_where=UNENDED,
)

order_events = Table(
    "order_events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("order_id", String(32), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("by", ForeignName(255), nullable=False),
    Column("what", String(32), nullable=False),
    Column("before", String(16), nullable=False),
    Column("after", String(16), nullable=False),
    Column("request_id", PlainString(128), nullable=False),
    Column("params", PlainJson, nullable=False),
)
Index("order_events_by_order", order_events.c.order_id, order_events.c.seq)

notices = Table(
    "notices",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("mark", String(128), nullable=False, unique=True),
    Column("user_name", ForeignName(255), nullable=False),
    Column("kind", EnumText(NoticeKind, 32), nullable=False),
    Column("order_id", String(32)),
    Column("binding_id", String(32)),
    Column("at", UtcDateTime, nullable=False),
    Column("params", PlainJson, nullable=False),
    Column("seen_at", UtcDateTime),
    Column("person_id", String(32), nullable=False),
)
Index("notices_by_person", notices.c.person_id, notices.c.seen_at)
