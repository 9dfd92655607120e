"""The migrations make exactly the tables that the code uses, on PostgreSQL too."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import VERSION_TABLE, migrate
from spawner.ledger.tables import metadata


def test_migrated_tables_are_the_tables_of_the_code(url: str) -> None:
    engine = make_engine(url)
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []
        (one_live,) = [
            index for index in inspect(connection).get_indexes("instances") if index["name"] == "instances_one_live"
        ]
        assert one_live["unique"]
        assert one_live["dialect_options"], "it holds for live loans only"
    engine.dispose()
