"""When an operator had what may go of a person removed."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("people", sa.Column("forgotten_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """Drop it. The rows stay as they are, under their made-up names."""
    with op.batch_alter_table("people") as people:
        people.drop_column("forgotten_at")
