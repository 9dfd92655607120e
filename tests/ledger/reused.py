"""Ledgers that are empty for each test and share an engine: SQLAlchemy compiles a statement once for each engine."""

from __future__ import annotations

import shutil
from pathlib import Path

from sqlalchemy import Connection, delete, update

from spawner.ledger import Ledger
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import migrate
from spawner.ledger.schema import metadata, revisions


def migrate_new(url: str) -> None:
    """Make the tables of a new database."""
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()


class SqliteLedgers:
    """Ledgers in one file of this folder, one after the other. A migrated file is copied: that is faster."""

    def __init__(self, folder: Path) -> None:
        self.migrated, self._file = folder / "migrated.sqlite", folder / "ledger.sqlite"
        migrate_new(f"sqlite:///{self.migrated}")
        self._engine = make_engine(f"sqlite:///{self._file}")

    def empty(self) -> Ledger:
        """A migrated, empty ledger. The one before it is closed."""
        for addition in ("-wal", "-shm"):
            Path(f"{self._file}{addition}").unlink(missing_ok=True)
        shutil.copy(self.migrated, self._file)
        return Ledger(self._engine)


class PostgresLedgers:
    """Ledgers in one database, one after the other."""

    def __init__(self, url: str) -> None:
        migrate_new(url)
        self._engine = make_engine(url)

    def empty(self) -> Ledger:
        """A migrated, empty ledger. The one before it is closed."""
        ledger = Ledger(self._engine)
        ledger.write(_empty)
        return ledger


def _empty(connection: Connection) -> None:
    for table in metadata.sorted_tables:
        if table is not revisions:
            connection.execute(delete(table))
    connection.execute(update(revisions).values(value=0))
