"""Which terms a person has accepted, and the texts of each version."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "terms_texts",
        sa.Column("version", sa.String(64), primary_key=True),
        sa.Column("texts", sa.JSON, nullable=False),
        sa.Column("first_at", TIME, nullable=False),
    )
    op.create_table(
        "terms_acceptances",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("person_id", sa.String(32), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("accepted_at", TIME, nullable=False),
        sa.Column("language", sa.String(16), nullable=False),
    )
    op.create_index("terms_acceptances_one", "terms_acceptances", ["person_id", "version"], unique=True)
    op.create_index("terms_acceptances_by_time", "terms_acceptances", ["accepted_at"])


def downgrade() -> None:
    """Drop them. Everybody is asked again after the next upgrade."""
    op.drop_table("terms_acceptances")
    op.drop_table("terms_texts")
