"""Migrate the database to this code's version, with Alembic."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from spawner.errors import LedgerUnusable

log = logging.getLogger("freepool.migrate")
SCRIPTS = Path(__file__).parent / "migrations"
VERSION_TABLE = "freepool_version"
MIGRATORS = 0x6672656D
"""Key of PostgreSQL's advisory lock for migrations ("frem" in ASCII)."""
LOOK_SECONDS = 1.0
"""Pause between attempts while the database does not answer."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    return config


def migrate(engine: Engine) -> None:
    """Create or upgrade the tables. Raises `LedgerUnusable` when a newer Freepool wrote them.

    Safe to run in several processes at once: one migrates, the others wait and change nothing.
    """
    _refuse_newer(engine)
    config = _config()
    with engine.execution_options(freepool_write=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": MIGRATORS})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


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


def check_version(engine: Engine) -> None:
    """Raise `LedgerUnusable` unless the tables are at this code's version."""
    _refuse_newer(engine)
    if _current(engine) != ScriptDirectory.from_config(_config()).get_current_head():
        raise LedgerUnusable("The database is not migrated to this version.", next_step="Run `freepool migrate`.")


def _current(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def _refuse_newer(engine: Engine) -> None:
    current = _current(engine)
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if current is not None and current not in known:
        raise LedgerUnusable(
            "The database was written by a newer version of Freepool ({current} is unknown here).",
            next_step="Run that version, or restore a backup made by this version.",
            current=current,
        )
