"""Time: allowances, holds, charges, notices, what instances use; people's own channels; bundles."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
TABLES = (
    "allowance_grants",
    "allowance_holds",
    "allowance_charges",
    "allowance_floats",
    "session_extensions",
    "session_notices",
    "instance_use",
    "channels",
    "blocked_addresses",
    "messages",
    "bundles",
    "keep_choices",
)


def upgrade() -> None:
    """Make the tables, and the column for the end that a keeper or a kubelet recorded."""
    op.add_column("instances", sa.Column("died_at", TIME))
    op.create_table(
        "allowance_grants",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("person_id", sa.String(32), nullable=False),
        sa.Column("class_id", sa.String(31), nullable=False),
        sa.Column("seconds", sa.Integer),
        sa.Column("valid_from", TIME, nullable=False),
        sa.Column("valid_until", TIME, nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("reference", sa.String(32)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("made_by", sa.String(255), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
    )
    op.create_index("allowance_grants_by_end", "allowance_grants", ["valid_until"])
    op.create_index("allowance_grants_by_person", "allowance_grants", ["person_id", "class_id", "valid_until"])
    op.create_index(
        "allowance_grants_one",
        "allowance_grants",
        ["person_id", "class_id", "valid_from", "source"],
        unique=True,
        sqlite_where=sa.text("source IN ('policy', 'float')"),
        postgresql_where=sa.text("source IN ('policy', 'float')"),
    )
    op.create_table(
        "allowance_holds",
        sa.Column("instance_id", sa.String(32), primary_key=True),
        sa.Column("person_id", sa.String(32), nullable=False),
        sa.Column("class_id", sa.String(31), nullable=False),
        sa.Column("weight", sa.Float, nullable=False),
        sa.Column("seconds", sa.Integer, nullable=False),
        sa.Column("taken_at", TIME, nullable=False),
        sa.Column("released_at", TIME),
    )
    op.create_index("allowance_holds_by_person", "allowance_holds", ["person_id"])
    op.create_index(
        "allowance_holds_held",
        "allowance_holds",
        ["person_id", "class_id"],
        sqlite_where=sa.text("released_at IS NULL"),
        postgresql_where=sa.text("released_at IS NULL"),
    )
    op.create_table(
        "allowance_charges",
        sa.Column("instance_id", sa.String(32), primary_key=True),
        sa.Column("person_id", sa.String(32), nullable=False),
        sa.Column("class_id", sa.String(31), nullable=False),
        sa.Column("weight", sa.Float, nullable=False),
        sa.Column("began_at", TIME, nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.Column("end_source", sa.String(16), nullable=False),
        sa.Column("seconds", sa.Integer, nullable=False),
        sa.Column("refunded", sa.Integer, nullable=False),
        sa.Column("refund_reason", sa.String(32)),
        sa.Column("charged_at", TIME, nullable=False),
    )
    op.create_index("allowance_charges_by_end", "allowance_charges", ["until"])
    op.create_index("allowance_charges_by_person", "allowance_charges", ["person_id", "class_id", "began_at"])
    op.create_index("allowance_charges_by_time", "allowance_charges", ["class_id", "began_at"])
    op.create_table(
        "allowance_floats",
        sa.Column("class_id", sa.String(31), primary_key=True),
        sa.Column("week", TIME, primary_key=True),
        sa.Column("seconds", sa.Integer, nullable=False),
        sa.Column("people", sa.Integer, nullable=False),
        sa.Column("unused", sa.Integer, nullable=False),
    )
    op.create_table(
        "session_extensions",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("instance_id", sa.String(32), nullable=False),
        sa.Column("person_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("seconds", sa.Integer, nullable=False),
        sa.Column("at", TIME, nullable=False),
    )
    op.create_index("session_extensions_by_instance", "session_extensions", ["instance_id"])
    op.create_index("session_extensions_by_person", "session_extensions", ["person_id"])
    op.create_table(
        "session_notices",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("instance_id", sa.String(32), nullable=False),
        sa.Column("person_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("mark", sa.String(64), nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("written_at", TIME, nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("seen_at", TIME),
        sa.Column("seen_in", sa.String(16)),
        sa.Column("answered_at", TIME),
        sa.Column("answer", sa.String(16)),
    )
    op.create_index("session_notices_by_person", "session_notices", ["person_id"])
    op.create_index("session_notices_by_time", "session_notices", ["written_at"])
    op.create_index("session_notices_one", "session_notices", ["instance_id", "mark"], unique=True)
    op.create_table(
        "instance_use",
        sa.Column("instance_id", sa.String(32), primary_key=True),
        sa.Column("seen_at", TIME, nullable=False),
        sa.Column("activity", sa.String(16), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("stops_at", TIME),
        sa.Column("samples", sa.JSON, nullable=False),
    )
    op.create_table(
        "channels",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("person_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("address", sa.String(2048), nullable=False),
        sa.Column("language", sa.String(16), nullable=False),
        sa.Column("events", sa.JSON, nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("code_hash", sa.String(64)),
        sa.Column("code_expires_at", TIME),
        sa.Column("confirmed_at", TIME),
        sa.Column("failing_since", TIME),
        sa.Column("detail", sa.Text),
    )
    op.create_index("channels_one", "channels", ["person_id", "kind"], unique=True)
    op.create_table(
        "messages",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("channel_id", sa.String(32), nullable=False),
        sa.Column("person_id", sa.String(32), nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("mark", sa.String(128), nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("next_try_at", TIME, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("sent_at", TIME),
        sa.Column("failed_at", TIME),
        sa.Column("detail", sa.Text),
    )
    op.create_table(
        "blocked_addresses",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("blocked_at", TIME, nullable=False),
    )
    op.create_index("messages_by_person", "messages", ["person_id"])
    op.create_index("messages_by_time", "messages", ["made_at"])
    op.create_index("messages_one", "messages", ["channel_id", "mark"], unique=True)
    op.create_index(
        "messages_open",
        "messages",
        ["next_try_at"],
        sqlite_where=sa.text("sent_at IS NULL AND failed_at IS NULL"),
        postgresql_where=sa.text("sent_at IS NULL AND failed_at IS NULL"),
    )
    op.create_table(
        "bundles",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("person_id", sa.String(32), nullable=False),
        sa.Column("instance_id", sa.String(32), nullable=False, unique=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("store", sa.String(16), nullable=False),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("files", sa.Integer),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("fetched_at", TIME),
        sa.Column("detail", sa.Text),
    )
    op.create_index("bundles_by_expiry", "bundles", ["expires_at"])
    op.create_index("bundles_by_person", "bundles", ["person_id"])
    op.create_table(
        "keep_choices",
        sa.Column("person_id", sa.String(32), primary_key=True),
        sa.Column("chosen_at", TIME, nullable=False),
    )


def downgrade() -> None:
    """Drop them. The version before has no allowances."""
    for name in reversed(TABLES):
        op.drop_table(name)
    op.drop_column("instances", "died_at")
