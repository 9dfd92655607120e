"""Open the ledger; `read` and `write` run one transaction each.

SQLite runs in WAL mode: readers never wait for a writer, and writers queue at BEGIN (`BEGIN IMMEDIATE`) instead of
failing half-way. On PostgreSQL readers see one snapshot, and writers queue at an advisory lock, because decisions such
as admission depend on rows that other writers change. Writes are short, and all of them update the one revision row.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from spawner.errors import LedgerUnusable
from spawner.ledger.batching import WriteBatcher
from spawner.ledger.version import check_version

P = ParamSpec("P")
T = TypeVar("T")

BUSY_SECONDS = 30
"""How long an SQLite writer waits for other processes. A write takes about 2 ms, but SQLite's lock is not fair: a
waiting process tries again after up to 100 ms, and another may take the lock before it does."""
POSTGRESQL = "postgresql"
WRITERS = 0x66726565
"""Key of PostgreSQL's advisory lock for writers ("free" in ASCII)."""


class Ledger:
    """A handle on the database, safe to share between threads and tasks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._snapshots = engine
        self._writing = threading.Lock()
        self._writers = WriteBatcher(self.write)
        if engine.dialect.name == POSTGRESQL:
            self._snapshots = engine.execution_options(isolation_level="REPEATABLE READ")

    def read(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `query(connection, …)` in a transaction that sees one snapshot."""
        with _explained(), self._snapshots.connect() as connection:
            return query(connection, *args, **kwargs)

    def write(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `query(connection, …)` and commit. On return the rows are durable; if it raises, it is undone."""
        # One thread at a time waits for the database's lock: this lock does not starve threads, SQLite's may.
        with self._writing, _explained(), self._engine.execution_options(freepool_write=True).begin() as connection:
            if connection.dialect.name == POSTGRESQL:
                connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": WRITERS})
            return query(connection, *args, **kwargs)

    async def aread(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`read`, off the event loop."""
        return await asyncio.to_thread(lambda: self.read(query, *args, **kwargs))

    async def awrite(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`write`, off the event loop. It may share a transaction with other writes; an error rolls back only its own.

        The write goes on if the caller is cancelled. `query` may be run twice; the first run is then undone.
        """
        written = self._writers.submit(lambda connection: query(connection, *args, **kwargs))
        return await asyncio.shield(asyncio.wrap_future(written))

    def close(self) -> None:
        """Finish queued writes, then close all connections."""
        self._writers.close()
        self._engine.dispose()


def open_ledger(url: str) -> Ledger:
    """Open a migrated ledger at an SQLAlchemy URL.

    Raises `LedgerUnusable` when the database is corrupt, read-only, unreachable, not migrated, or written by a
    newer Freepool.
    """
    engine = make_engine(url)
    try:
        with _explained():
            check_version(engine)
    except LedgerUnusable:
        engine.dispose()
        raise
    return Ledger(engine)


def make_engine(url: str) -> Engine:
    """An engine as `open_ledger` and the migrations need it."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True, pool_size=5, max_overflow=10)
    if not parsed.database or parsed.database == ":memory:":
        raise LedgerUnusable("The database URL needs a file.", next_step="Use sqlite:////path/to/ledger.sqlite.")
    engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver begins no transactions; `_begin` does
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA secure_delete = ON")  # a deleted bundle's key does not stay in a free page
        connection.execute("PRAGMA synchronous = NORMAL")  # in WAL mode durable against kill -9, not against power loss

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("freepool_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def check_sqlite_file(url: str) -> None:
    """Read every page of an SQLite ledger, so that damage is detected at start and not while notebooks run."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not Path(parsed.database or "").exists():
        return
    engine = make_engine(url)
    with _explained(), engine.connect() as connection:
        verdict = connection.exec_driver_sql("PRAGMA quick_check").scalar()
    engine.dispose()
    if verdict != "ok":
        raise LedgerUnusable(_DAMAGED, next_step=_DAMAGED_NEXT, why=verdict)


_DAMAGED = "The database file is damaged: {why}."
_DAMAGED_NEXT = (
    "Move the file away and restore a backup. Without one, a new empty database is created, and "
    "running notebooks are stopped because they are not in it."
)
_ERRORS_BY_MARK = (
    ("malformed", _DAMAGED, _DAMAGED_NEXT),
    ("not a database", _DAMAGED, _DAMAGED_NEXT),
    ("readonly", "The database file is read-only.", "Make the file and its folder writable for this user."),
    ("read-only", "The database file is read-only.", "Make the file and its folder writable for this user."),
    (
        "full",
        "The disk that holds the database is full.",
        "Free up some space. Nothing was lost, but the last action was not carried out.",
    ),
    (
        "unable to open",
        "The database file cannot be opened.",
        "Check that its folder exists and is writable.",
    ),
)


@contextmanager
def _explained() -> Iterator[None]:
    """Raise `LedgerUnusable`, which tells the administrator what to do, for a driver's errors. Programming errors pass
    unchanged."""
    try:
        yield
    except IntegrityError:
        raise  # it quotes values of the row, which may contain the marks below
    except DBAPIError as error:
        why = str(error.orig)
        for mark, sentence, next_step in _ERRORS_BY_MARK:
            if mark in why.lower():
                raise LedgerUnusable(sentence, next_step=next_step, why=why) from error
        if error.connection_invalidated or type(error.orig).__name__ == "OperationalError":
            raise LedgerUnusable(
                "The database is not responding: {why}.",
                next_step="Check that the database is running and reachable.",
                why=why.strip().splitlines()[0] if why.strip() else "no reason given",
            ) from error
        raise
    except SQLAlchemyError:
        raise


def is_writing(connection: Connection) -> bool:
    """Whether this is a transaction of `Ledger.write`, whose changes may still be undone."""
    return bool(connection.get_execution_options().get("freepool_write", False))


def rows_changed(result: Any) -> int:
    """Number of rows that an UPDATE changed."""
    return int(result.rowcount)
