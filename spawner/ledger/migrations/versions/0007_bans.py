"""Bans of people."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "bans",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("person_id", sa.String(32), nullable=False),
        sa.Column("code", sa.String(16), nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("appeal", sa.Text, nullable=False),
        sa.Column("banned_by", sa.String(255), nullable=False),
        sa.Column("banned_at", TIME, nullable=False),
        sa.Column("until", TIME),
        sa.Column("lifted_at", TIME),
        sa.Column("lifted_by", sa.String(255)),
    )
    op.create_index("bans_by_person", "bans", ["person_id"])


def downgrade() -> None:
    """Drop it. The version before lets everybody start."""
    op.drop_table("bans")
