"""Which version the database has. Every program looks at its start, so Alembic, which is large, is not asked."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, inspect, text

from spawner.errors import LedgerUnusable

SCRIPTS = Path(__file__).parent / "migrations"
VERSION_TABLE = "freepool_version"


def versions() -> list[str]:
    """All versions that this code knows, oldest first. The name of a migration's script begins with its version."""
    return sorted(path.name.partition("_")[0] for path in (SCRIPTS / "versions").glob("[0-9]*_*.py"))


def check_version(engine: Engine) -> None:
    """Raise `LedgerUnusable` unless the tables are at this code's version."""
    if not is_current(engine):
        raise LedgerUnusable("The database is not migrated to this version.", next_step="Run `freepool migrate`.")


def is_current(engine: Engine) -> bool:
    """Whether there is nothing to migrate. Raises `LedgerUnusable` when a newer Freepool wrote the tables."""
    found, known = _version_of(engine), versions()
    if found is not None and found not in known:
        raise LedgerUnusable(
            "The database was written by a newer version of Freepool ({current} is unknown here).",
            next_step="Run that version, or restore a backup made by this version.",
            current=found,
        )
    return found == known[-1]


def _version_of(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table(VERSION_TABLE):
            return None
        return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608
