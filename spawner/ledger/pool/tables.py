"""Tables of the free pool. They are in Freepool's own database; JupyterHub's is never used."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, TextClause, text

from spawner.ledger.pool.rows import EndReason, GuardKind, InstanceState, SlotState, StartStep, TicketState
from spawner.ledger.schema import EnumText, ForeignName, PlainJson, PlainText, UtcDateTime, metadata

IS_UNENDED = text("state <> 'ended'")
IS_UNGONE = text("state <> 'gone'")
IS_OPEN = text("state IN ('waiting', 'called')")
IS_UNCOLLECTED = text("state = 'served' AND collected_at IS NULL AND hold_until IS NOT NULL")
"""Conditions of partial indexes. Queries use the same text: databases take no partial index for a bound value."""


def _partial(name: str, condition: TextClause, *columns: Column[Any], unique: bool = False) -> None:
    Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


instances = Table(
    "instances",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_name", ForeignName(255), nullable=False),
    Column("server_name", ForeignName(255), nullable=False),
    Column("flavor", String(31), nullable=False),
    Column("image", String(31), nullable=False),
    Column("example", String(31)),
    Column("state", EnumText(InstanceState, 16), nullable=False),
    Column("hub_epoch", String(32), nullable=False),
    Column("slot_id", String(32)),
    Column("url", String(255)),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("usable_at", UtcDateTime),
    Column("ends_at", UtcDateTime),
    Column("stopping_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("reason", EnumText(EndReason, 32)),
    Column("detail", PlainText),
    Column("person_id", String(32), nullable=False),
    Column("died_at", UtcDateTime),
)
Index("instances_by_person", instances.c.person_id, instances.c.server_name, instances.c.requested_at)
_partial("instances_unended", IS_UNENDED, instances.c.requested_at, instances.c.id)
Index("instances_by_end", instances.c.ended_at)
Index("instances_by_flavor_and_end", instances.c.flavor, instances.c.ended_at)
Index("instances_by_usable_time", instances.c.usable_at)
# The database itself rejects a second live instance of one server.
_partial(
    "instances_one_live",
    text("state IN ('starting', 'running')"),
    instances.c.person_id,
    instances.c.server_name,
    unique=True,
)

slots = Table(
    "slots",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("flavor", String(31), nullable=False),
    Column("image", String(31), nullable=False),
    Column("state", EnumText(SlotState, 16), nullable=False),
    Column("holder_id", String(32)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("warm_at", UtcDateTime),
    Column("claimed_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("reason", EnumText(EndReason, 32)),
    Column("detail", PlainText),
    Column("version", String(128)),
)
Index("slots_by_state", slots.c.state, slots.c.flavor, slots.c.image)
_partial("slots_ungone", IS_UNGONE, slots.c.created_at, slots.c.id)
_partial("slots_by_holder", IS_UNGONE, slots.c.holder_id)
Index("slots_by_creation", slots.c.created_at)
Index("slots_by_warm_time", slots.c.warm_at)
Index("slots_by_end", slots.c.ended_at)

tickets = Table(
    "tickets",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_name", ForeignName(255), nullable=False),
    Column("server_name", ForeignName(255), nullable=False),
    Column("flavor", String(31), nullable=False),
    Column("image", String(31), nullable=False),
    Column("example", String(31)),
    Column("state", EnumText(TicketState, 16), nullable=False),
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
    Column("person_id", String(32), nullable=False),
)
Index("tickets_by_person", tickets.c.person_id, tickets.c.state)
Index("tickets_by_state", tickets.c.state, tickets.c.rank_at)
_partial("tickets_open", IS_OPEN, tickets.c.rank_at, tickets.c.joined_at, tickets.c.id)
_partial("tickets_uncollected", IS_UNCOLLECTED, tickets.c.served_at)
Index("tickets_by_instance", tickets.c.instance_id)
Index("tickets_by_flavor_and_time", tickets.c.flavor, tickets.c.joined_at)
Index("tickets_by_time", tickets.c.joined_at)
Index("tickets_by_call", tickets.c.called_at)
Index("tickets_by_end", tickets.c.ended_at)
# The database itself rejects a second waiting ticket of one user.
_partial("tickets_one_waiting", text("state = 'waiting'"), tickets.c.person_id, unique=True)

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
    Column("step", EnumText(StartStep, 32), nullable=False),
    Column("params", PlainJson, nullable=False),
)
Index("events_by_instance", events.c.instance_id, events.c.seq)
Index("events_by_step", events.c.step, events.c.at)

user_namespaces = Table(
    "user_namespaces",
    metadata,
    Column("flavor", String(31), primary_key=True),
    Column("node", String(253), primary_key=True),
    Column("works", Boolean, nullable=False),
    Column("detail", PlainText, nullable=False),
    Column("noted_at", UtcDateTime, nullable=False),
)

guard_notes = Table(
    "guard_notes",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("person_id", String(32), nullable=False),
    Column("instance_id", String(32), nullable=False),
    Column("kind", EnumText(GuardKind, 16), nullable=False),
    Column("evidence", PlainJson, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("noted_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("slowed_at", UtcDateTime),
    Column("stopped_at", UtcDateTime),
    Column("dismissed_at", UtcDateTime),
    Column("dismissed_by", ForeignName(255)),
)
Index("guard_notes_one", guard_notes.c.instance_id, guard_notes.c.kind, unique=True)
Index("guard_notes_by_person", guard_notes.c.person_id)

guard_looks = Table(
    "guard_looks",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("instances", Integer, nullable=False),
    Column("sight", PlainJson, nullable=False),
)
