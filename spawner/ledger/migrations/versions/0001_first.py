"""Instances, slots, progress, leases, and the revision counter that wakes the desk."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
LIVE = sa.text("state IN ('starting', 'running')")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "instances",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("user_name", sa.String(255), nullable=False),
        sa.Column("server_name", sa.String(255), nullable=False),
        sa.Column("flavor", sa.String(31), nullable=False),
        sa.Column("image", sa.String(31), nullable=False),
        sa.Column("example", sa.String(31)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("hub_epoch", sa.String(32), nullable=False),
        sa.Column("slot_id", sa.String(32)),
        sa.Column("url", sa.String(255)),
        sa.Column("requested_at", TIME, nullable=False),
        sa.Column("usable_at", TIME),
        sa.Column("ends_at", TIME),
        sa.Column("stopping_at", TIME),
        sa.Column("ended_at", TIME),
        sa.Column("reason", sa.String(32)),
        sa.Column("detail", sa.Text),
    )
    op.create_index("instances_by_user", "instances", ["user_name", "server_name", "requested_at"])
    op.create_index("instances_by_state", "instances", ["state"])
    op.create_index(
        "instances_one_live",
        "instances",
        ["user_name", "server_name"],
        unique=True,
        sqlite_where=LIVE,
        postgresql_where=LIVE,
    )
    op.create_table(
        "slots",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("flavor", sa.String(31), nullable=False),
        sa.Column("image", sa.String(31), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("instance_id", sa.String(32)),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("warm_at", TIME),
        sa.Column("claimed_at", TIME),
        sa.Column("ended_at", TIME),
        sa.Column("reason", sa.String(32)),
        sa.Column("detail", sa.Text),
    )
    op.create_index("slots_by_state", "slots", ["state", "flavor", "image"])
    op.create_table(
        "events",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("instance_id", sa.String(32), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("step", sa.String(32), nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
    )
    op.create_index("events_by_instance", "events", ["instance_id", "seq"])
    op.create_table(
        "leases",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
    )
    op.create_table(
        "revisions",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.Integer, nullable=False),
    )
    op.bulk_insert(
        sa.table("revisions", sa.column("name", sa.String), sa.column("value", sa.Integer)),
        [{"name": "ledger", "value": 0}],
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("revisions", "leases", "events", "slots", "instances"):
        op.drop_table(table)
