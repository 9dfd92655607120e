"""Which nodes of a cluster give pods users of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make it."""
    op.create_table(
        "user_namespaces",
        sa.Column("flavor", sa.String(31), primary_key=True),
        sa.Column("node", sa.String(253), primary_key=True),
        sa.Column("works", sa.Boolean, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("user_namespaces")
