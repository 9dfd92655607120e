"""Which hub is a person's, where several hubs share the ledger, and from which hub a person was moved."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

UNNAMED = {"uq": "%(table_name)s_%(column_0_name)s_key"}
"""PostgreSQL has named the constraint so. SQLite has given it no name; Alembic does, to drop it."""


def upgrade() -> None:
    """Add the column and the table. Each hub numbers its users by itself."""
    with op.batch_alter_table("people", naming_convention=UNNAMED) as people:
        people.add_column(sa.Column("hub", sa.String(20), nullable=False, server_default="main"))
        people.drop_constraint("people_hub_id_key", type_="unique")
    op.create_index("people_by_hub_user", "people", ["hub", "hub_id"], unique=True)
    op.create_table(
        "hub_moves",
        sa.Column("hub", sa.String(20), primary_key=True),
        sa.Column("hub_id", sa.Integer, primary_key=True),
        sa.Column("hub_since", sa.String(40), primary_key=True),
        sa.Column("person_id", sa.String(32), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("hub_moves_by_person", "hub_moves", ["person_id"])


def downgrade() -> None:
    """Drop them. People of other hubs have no user of the one that is left: they are known again when they log in."""
    op.drop_table("hub_moves")
    op.drop_index("people_by_hub_user", "people")
    op.execute("UPDATE people SET hub_id = NULL WHERE hub <> 'main'")
    with op.batch_alter_table("people", naming_convention=UNNAMED) as people:
        people.drop_column("hub")
        people.create_unique_constraint("people_hub_id_key", ["hub_id"])
