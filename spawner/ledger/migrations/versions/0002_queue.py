"""Tickets, what operators set while the platform runs, and the version of the image that a slot was made from."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
WAITING = sa.text("state = 'waiting'")


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "tickets",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("user_name", sa.String(255), nullable=False),
        sa.Column("server_name", sa.String(255), nullable=False),
        sa.Column("flavor", sa.String(31), nullable=False),
        sa.Column("image", sa.String(31), nullable=False),
        sa.Column("example", sa.String(31)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("joined_at", TIME, nullable=False),
        sa.Column("rank_at", TIME, nullable=False),
        sa.Column("called_at", TIME),
        sa.Column("hold_until", TIME),
        sa.Column("instance_id", sa.String(32)),
        sa.Column("served_at", TIME),
        sa.Column("collected_at", TIME),
        sa.Column("told_at", TIME),
        sa.Column("ended_at", TIME),
        sa.Column("expected_low", sa.Integer),
        sa.Column("expected_high", sa.Integer),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("ends_by", TIME),
        sa.Column("detail", sa.Text),
    )
    op.create_index("tickets_by_user", "tickets", ["user_name", "state"])
    op.create_index("tickets_by_state", "tickets", ["state", "rank_at"])
    op.create_index("tickets_by_instance", "tickets", ["instance_id"])
    op.create_index(
        "tickets_one_waiting",
        "tickets",
        ["user_name"],
        unique=True,
        sqlite_where=WAITING,
        postgresql_where=WAITING,
    )
    op.create_table(
        "controls",
        sa.Column("name", sa.String(96), primary_key=True),
        sa.Column("value", sa.JSON, nullable=False),
        sa.Column("set_at", TIME, nullable=False),
        sa.Column("set_by", sa.String(255), nullable=False),
    )
    op.add_column("slots", sa.Column("version", sa.String(128)))


def downgrade() -> None:
    """Drop them."""
    with op.batch_alter_table("slots") as slots:
        slots.drop_column("version")
    for table in ("controls", "tickets"):
        op.drop_table(table)
