"""Create the tables of an empty database, or migrate what an older Freepool wrote, with Alembic."""

from __future__ import annotations

import logging
import time

from sqlalchemy import Column, Connection, Engine, MetaData, PrimaryKeyConstraint, String, Table, inspect, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateIndex, CreateSchema, CreateTable

from spawner.errors import LedgerUnusable
from spawner.ledger.schema import metadata, revisions
from spawner.ledger.version import SCRIPTS, VERSION_TABLE, check_version, is_current, versions

__all__ = [
    "SCRIPTS",
    "VERSION_TABLE",
    "check_version",
    "make_schema",
    "migrate",
    "migrate_when_it_answers",
    "run_migrations",
]

log = logging.getLogger("freepool.migrate")
MIGRATORS = 0x6672656D
"""Key of PostgreSQL's advisory lock for migrations ("frem" in ASCII)."""
LOOK_SECONDS = 1.0
"""Pause between attempts while the database does not answer."""


_versions = Table(
    VERSION_TABLE,
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)
"""Alembic's table, as Alembic makes it."""


def migrate(engine: Engine) -> None:
    """Create or upgrade the tables. Raises `LedgerUnusable` when a newer Freepool wrote them.

    Safe to run in several processes at once: one migrates, the others wait and change nothing.
    """
    if is_current(engine):
        return
    with engine.execution_options(freepool_write=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": MIGRATORS})
        if {VERSION_TABLE, *metadata.tables}.isdisjoint(inspect(connection).get_table_names()):
            _create(connection)
        else:
            run_migrations(connection)


def _create(connection: Connection) -> None:
    """What all migrations make of an empty database, at once: a new installation need not wait for each of them."""
    for table in metadata.sorted_tables:
        connection.execute(CreateTable(table))
        # SQLAlchemy has them in no order, and among indexes that seem equally good SQLite takes the newest.
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            connection.execute(CreateIndex(index))
    connection.execute(revisions.insert().values(name="ledger", value=0))
    _versions.create(connection)
    connection.execute(_versions.insert().values(version_num=versions()[-1]))


def run_migrations(connection: Connection) -> None:
    """Run the migrations that the database has not had."""
    # Alembic is large, and most programs find nothing to migrate.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def make_schema(engine: Engine, schema: str) -> None:
    """Make a schema of PostgreSQL, where it is missing: JupyterHub makes its tables, and no schema."""
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            # PostgreSQL asks for the right to create one before it looks whether the schema exists.
            if schema not in inspect(connection).get_schema_names():
                connection.execute(CreateSchema(schema, if_not_exists=True))


def migrate_when_it_answers(engine: Engine, *, within: float) -> None:
    """`migrate`; retries for `within` seconds while the database does not answer, then raises `LedgerUnusable`."""
    until = time.monotonic() + within
    logged = ""
    while True:
        try:
            return migrate(engine)
        except OperationalError as error:
            why = (str(error.orig).strip() or "no reason given").splitlines()[0]
            if time.monotonic() >= until:
                raise LedgerUnusable(
                    "The database is not responding: {why}.",
                    next_step="Check that the database is running and reachable.",
                    why=why,
                ) from error
            if why != logged:
                log.info("waiting for the ledger: %s", why)
                logged = why
            time.sleep(LOOK_SECONDS)
