"""Notes of the guard about what instances use, and its last look."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "guard_notes",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("person_id", sa.String(32), nullable=False),
        sa.Column("instance_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("noted_at", TIME, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.Column("slowed_at", TIME),
        sa.Column("stopped_at", TIME),
        sa.Column("dismissed_at", TIME),
        sa.Column("dismissed_by", sa.String(255)),
    )
    op.create_index("guard_notes_one", "guard_notes", ["instance_id", "kind"], unique=True)
    op.create_index("guard_notes_by_person", "guard_notes", ["person_id"])
    op.create_table(
        "guard_looks",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("instances", sa.Integer, nullable=False),
        sa.Column("sight", sa.JSON, nullable=False),
    )


def downgrade() -> None:
    """Drop them. The version before looks at nothing."""
    op.drop_table("guard_looks")
    op.drop_table("guard_notes")
