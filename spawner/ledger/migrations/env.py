"""Alembic's entry: runs the scripts on the connection that `migrate` hands over."""

from alembic import context

from spawner.ledger.migrate import VERSION_TABLE
from spawner.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE
)
with context.begin_transaction():
    context.run_migrations()
