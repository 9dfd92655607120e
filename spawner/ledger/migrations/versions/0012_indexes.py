"""Indexes for a ledger of a million past instances: no frequent query reads a whole table."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

UNENDED, UNGONE = "state <> 'ended'", "state <> 'gone'"
OPEN = "state IN ('waiting', 'called')"
UNCOLLECTED = "state = 'served' AND collected_at IS NULL AND hold_until IS NOT NULL"
INDEXES = (
    ("instances_unended", "instances", ["requested_at", "id"], UNENDED),
    ("instances_by_end", "instances", ["ended_at"], None),
    ("instances_by_flavor_and_end", "instances", ["flavor", "ended_at"], None),
    ("instances_by_usable_time", "instances", ["usable_at"], None),
    ("slots_ungone", "slots", ["created_at", "id"], UNGONE),
    ("slots_by_holder", "slots", ["holder_id"], UNGONE),
    ("slots_by_creation", "slots", ["created_at"], None),
    ("slots_by_warm_time", "slots", ["warm_at"], None),
    ("slots_by_end", "slots", ["ended_at"], None),
    ("tickets_open", "tickets", ["rank_at", "joined_at", "id"], OPEN),
    ("tickets_uncollected", "tickets", ["served_at"], UNCOLLECTED),
    ("tickets_by_flavor_and_time", "tickets", ["flavor", "joined_at"], None),
    ("tickets_by_time", "tickets", ["joined_at"], None),
    ("tickets_by_call", "tickets", ["called_at"], None),
    ("tickets_by_end", "tickets", ["ended_at"], None),
    ("events_by_step", "events", ["step", "at"], None),
)


def upgrade() -> None:
    """Make them, and drop one that nothing reads."""
    op.drop_index("instances_by_state", "instances")
    for name, table, columns, condition in INDEXES:
        where = None if condition is None else sa.text(condition)
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    """Drop them."""
    for name, table, *_ in INDEXES:
        op.drop_index(name, table)
    op.create_index("instances_by_state", "instances", ["state"])
