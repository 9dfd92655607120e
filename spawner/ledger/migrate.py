"""Bringing the database to the version that this code knows, with Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from spawner.errors import LedgerUnusable

SCRIPTS = Path(__file__).parent / "migrations"
VERSION_TABLE = "freepool_version"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    return config


def migrate(engine: Engine) -> None:
    """Create or upgrade the tables. Raises `LedgerUnusable` when a newer Freepool wrote them."""
    _refuse_newer(engine)
    config = _config()
    with engine.execution_options(freepool_write=True).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check_version(engine: Engine) -> None:
    """Raise `LedgerUnusable` unless the tables are exactly at this code's version."""
    _refuse_newer(engine)
    if _current(engine) != ScriptDirectory.from_config(_config()).get_current_head():
        raise LedgerUnusable("The ledger is not migrated to this version.", next_step="Run `freepool migrate`.")


def _current(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def _refuse_newer(engine: Engine) -> None:
    current = _current(engine)
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if current is not None and current not in known:
        raise LedgerUnusable(
            "The ledger was written by a newer Freepool (its version {current} is not known here).",
            next_step="Run that newer version, or restore a backup made by this one.",
            current=current,
        )
