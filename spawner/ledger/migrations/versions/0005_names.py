"""Rename `shape` to `instance_type`, `armed_at` to `auto_stop_set_at`, and the slots' `instance_id` to `holder_id`."""

from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COLUMNS = (
    ("slots", "instance_id", "holder_id"),
    ("consents", "shape", "instance_type"),
    ("orders", "shape", "instance_type"),
    ("orders", "armed_at", "auto_stop_set_at"),
)
PARAMETERS = {"shape": "instance_type"}
"""Keys of the JSON that fills the blanks of notices and of an order's record."""


def upgrade() -> None:
    """Rename."""
    for table, old, new in COLUMNS:
        op.alter_column(table, old, new_column_name=new)
    _rename_parameters(PARAMETERS)


def downgrade() -> None:
    """Rename back."""
    _rename_parameters({new: old for old, new in PARAMETERS.items()})
    for table, old, new in reversed(COLUMNS):
        op.alter_column(table, new, new_column_name=old)


def _rename_parameters(names: Mapping[str, str]) -> None:
    for name in ("notices", "order_events"):
        table = sa.table(name, sa.column("seq", sa.Integer), sa.column("params", sa.JSON))
        connection = op.get_bind()
        for seq, params in connection.execute(sa.select(table.c.seq, table.c.params)).all():
            if isinstance(params, dict) and names.keys() & params.keys():
                renamed = {names.get(key, key): value for key, value in params.items()}
                connection.execute(sa.update(table).where(table.c.seq == seq).values(params=renamed))
