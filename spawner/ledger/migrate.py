"""Migrate the database to this code's version, with Alembic."""

from __future__ import annotations

import logging
import time

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from spawner.errors import LedgerUnusable
from spawner.ledger.version import SCRIPTS, VERSION_TABLE, check_version, is_current

__all__ = ["SCRIPTS", "VERSION_TABLE", "check_version", "migrate", "migrate_when_it_answers"]

log = logging.getLogger("freepool.migrate")
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
    if is_current(engine):
        return
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
