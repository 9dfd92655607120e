"""Classes of people by login and administrator, invitations, and counts of new accounts."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
COLUMNS: dict[str, Any] = {
    "claims_held": sa.JSON,
    "account_since": TIME,
    "operator_trust": sa.String(16),
    "operator_trust_by": sa.String(255),
    "operator_trust_at": TIME,
}


def upgrade() -> None:
    """Add the columns and tables."""
    for name, kind in COLUMNS.items():
        op.add_column("people", sa.Column(name, kind))
    op.create_table(
        "invitations",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("code_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("trust", sa.String(16), nullable=False),
        sa.Column("groups", sa.JSON, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("made_by", sa.String(255), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("used_at", TIME),
        sa.Column("used_by", sa.String(32)),
        sa.Column("revoked_at", TIME),
        sa.Column("revoked_by", sa.String(255)),
    )
    op.create_index("invitations_by_user", "invitations", ["used_by"])
    op.create_table(
        "arrivals",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("network", sa.String(64), primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    """Drop them. The version before lets everybody in whom the login admits."""
    op.drop_table("arrivals")
    op.drop_table("invitations")
    with op.batch_alter_table("people") as people:
        for name in COLUMNS:
            people.drop_column(name)
