"""Bindings, consents, orders with their record, and what people are told once."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
LINKED = sa.text("state != 'unlinked'")
ACCEPTED = sa.text("state = 'accepted'")
UNSEEN = sa.text("remote_id IS NULL")
UNENDED = sa.text("state NOT IN ('gone', 'rejected')")


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "bindings",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("user_name", sa.String(255), nullable=False),
        sa.Column("user_since", sa.String(40), nullable=False),
        sa.Column("provider", sa.String(31), nullable=False),
        sa.Column("account_id", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("external_id", sa.String(128), nullable=False, unique=True),
        sa.Column("role", sa.String(255)),
        sa.Column("workspaces", sa.JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("blocked", sa.String(16)),
        sa.Column("blocked_at", TIME),
        sa.Column("proven_at", TIME, nullable=False),
        sa.Column("probed_at", TIME),
        sa.Column("unlinked_at", TIME),
    )
    op.create_index("bindings_by_account", "bindings", ["provider", "account_id"])
    op.create_index(
        "bindings_one_linked",
        "bindings",
        ["user_name", "user_since", "provider", "account_id"],
        unique=True,
        sqlite_where=LINKED,
        postgresql_where=LINKED,
    )
    op.create_table(
        "consents",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("user_name", sa.String(255), nullable=False),
        sa.Column("user_since", sa.String(40), nullable=False),
        sa.Column("session", sa.String(64), nullable=False),
        sa.Column("server_name", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("order_id", sa.String(32)),
        sa.Column("binding_id", sa.String(32), nullable=False),
        sa.Column("provider", sa.String(31), nullable=False),
        sa.Column("region", sa.String(31), nullable=False),
        sa.Column("account_id", sa.String(64), nullable=False),
        sa.Column("shape", sa.String(64), nullable=False),
        sa.Column("image", sa.String(255)),
        sa.Column("price", sa.String(64), nullable=False),
        sa.Column("currency", sa.String(8), nullable=False),
        sa.Column("unit", sa.String(16), nullable=False),
        sa.Column("disk", sa.BigInteger),
        sa.Column("disk_price", sa.String(64)),
        sa.Column("cap", sa.String(64), nullable=False),
        sa.Column("max_seconds", sa.Integer, nullable=False),
        sa.Column("run_seconds", sa.Integer, nullable=False),
        sa.Column("idle_seconds", sa.Integer),
        sa.Column("read_at", TIME, nullable=False),
        sa.Column("offered_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("text_version", sa.Integer, nullable=False),
        sa.Column("text_hash", sa.String(64), nullable=False),
        sa.Column("language", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("answer_hash", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("accepted_at", TIME),
        sa.Column("spent_at", TIME),
        sa.Column("closed_at", TIME),
    )
    op.create_index("consents_by_user", "consents", ["user_name", "offered_at"])
    op.create_index(
        "consents_one_accepted",
        "consents",
        ["user_name", "server_name"],
        unique=True,
        sqlite_where=ACCEPTED,
        postgresql_where=ACCEPTED,
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("user_name", sa.String(255), nullable=False),
        sa.Column("user_since", sa.String(40), nullable=False),
        sa.Column("server_name", sa.String(255), nullable=False),
        sa.Column("consent_id", sa.String(32), unique=True),
        sa.Column("binding_id", sa.String(32), nullable=False),
        sa.Column("provider", sa.String(31), nullable=False),
        sa.Column("region", sa.String(31), nullable=False),
        sa.Column("shape", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("workspace", sa.String(64)),
        sa.Column("remote_id", sa.String(128)),
        sa.Column("recovered_at", TIME),
        sa.Column("blocked", sa.String(16)),
        sa.Column("blocked_at", TIME),
        sa.Column("next_try_at", TIME),
        sa.Column("busy_until", TIME),
        sa.Column("begun_at", TIME),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("unsure", sa.Boolean, nullable=False),
        sa.Column("posted_at", TIME),
        sa.Column("asked_at", TIME),
        sa.Column("ending_since", TIME),
        sa.Column("active_at", TIME),
        sa.Column("run_began_at", TIME),
        sa.Column("armed_at", TIME),
        sa.Column("stopped_at", TIME),
        sa.Column("ended_at", TIME),
        sa.Column("reason", sa.String(32)),
        sa.Column("seen_at", TIME),
        sa.Column("remote_state", sa.String(16)),
        sa.Column("raw_state", sa.String(64)),
        sa.Column("remote_reason", sa.Text),
        sa.Column("running", sa.Float),
        sa.Column("ran_before", sa.Float, nullable=False),
        sa.Column("stops_at", TIME),
        sa.Column("spent", sa.String(64)),
        sa.Column("stop_wanted_at", TIME),
        sa.Column("stop_wanted_by", sa.String(255)),
        sa.Column("delete_wanted_at", TIME),
        sa.Column("delete_wanted_by", sa.String(255)),
    )
    op.create_index("orders_by_state", "orders", ["state", "next_try_at"])
    op.create_index("orders_by_user", "orders", ["user_name", "created_at"])
    op.create_index(
        "orders_by_name",
        "orders",
        ["binding_id", "region", "name"],
        unique=True,
        sqlite_where=UNSEEN,
        postgresql_where=UNSEEN,
    )
    op.create_index("orders_by_remote", "orders", ["binding_id", "region", "remote_id"], unique=True)
    op.create_index(
        "orders_one_active",
        "orders",
        ["user_name", "server_name"],
        unique=True,
        sqlite_where=UNENDED,
        postgresql_where=UNENDED,
    )
    op.create_table(
        "order_events",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("order_id", sa.String(32), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("by", sa.String(255), nullable=False),
        sa.Column("what", sa.String(32), nullable=False),
        sa.Column("before", sa.String(16), nullable=False),
        sa.Column("after", sa.String(16), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
    )
    op.create_index("order_events_by_order", "order_events", ["order_id", "seq"])
    op.create_table(
        "notices",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("mark", sa.String(128), nullable=False, unique=True),
        sa.Column("user_name", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("order_id", sa.String(32)),
        sa.Column("binding_id", sa.String(32)),
        sa.Column("at", TIME, nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("seen_at", TIME),
    )
    op.create_index("notices_by_user", "notices", ["user_name", "seen_at"])


def downgrade() -> None:
    """Drop them."""
    for table in ("notices", "order_events", "orders", "consents", "bindings"):
        op.drop_table(table)
