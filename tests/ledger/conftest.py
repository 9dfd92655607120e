"""Every test of the ledger runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import TypeVar

import pytest
from sqlalchemy import URL, Connection, delete, update

from spawner.ledger import Ledger, open_ledger
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import migrate
from spawner.ledger.schema import metadata, revisions
from tests.ledger.pool import SimulatedPool
from tests.ledger.postgres import fresh_database, running_postgres

T = TypeVar("T")
Together = Callable[[list[Callable[[], T]]], list[T]]


@pytest.fixture(scope="session")
def postgres() -> Iterator[URL]:
    """A PostgreSQL server for the session."""
    with running_postgres() as url:
        yield url


@pytest.fixture
def postgres_url(postgres: URL) -> Iterator[str]:
    """The URL of a new, empty database."""
    with fresh_database(postgres, f"test_{secrets.token_hex(6)}") as url:
        yield text_of(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL for a new, empty ledger."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy, which is faster than another migration."""
    path = tmp_path_factory.mktemp("ledger") / "migrated.sqlite"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres: URL) -> Iterator[str]:
    """A migrated database to empty, which is faster than creating another."""
    with fresh_database(postgres, "migrated") as url:
        _migrate(text_of(url))
        yield text_of(url)


@pytest.fixture
def postgres_ledger(migrated_postgres: str) -> Iterator[Ledger]:
    """A migrated, empty ledger in PostgreSQL."""
    ledger = open_ledger(migrated_postgres)

    def empty(connection: Connection) -> None:
        for table in metadata.sorted_tables:
            if table is not revisions:
                connection.execute(delete(table))
        connection.execute(update(revisions).values(value=0))

    ledger.write(empty)
    yield ledger
    ledger.close()


@pytest.fixture
def sqlite_ledger(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Ledger]:
    """A migrated, empty ledger in SQLite."""
    path = shutil.copy(migrated_sqlite, tmp_path / "ledger.sqlite")
    ledger = open_ledger(f"sqlite:///{path}")
    yield ledger
    ledger.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """A migrated, empty ledger in each database."""
    name = "sqlite_ledger" if request.param == "sqlite" else "postgres_ledger"
    found = request.getfixturevalue(name)
    assert isinstance(found, Ledger)
    return found


def text_of(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _migrate(url: str) -> None:
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()


@pytest.fixture
def together() -> Iterator[Together[object]]:
    """Runs functions in threads that start at the same time, and returns their results."""
    with ThreadPoolExecutor(64) as threads:

        def run(tasks: list[Callable[[], T]]) -> list[T]:
            start = Barrier(len(tasks))

            def run_at_the_barrier(task: Callable[[], T]) -> T:
                start.wait(30)
                return task()

            return [future.result(60) for future in [threads.submit(run_at_the_barrier, task) for task in tasks]]

        yield run


@pytest.fixture
def pool(ledger: Ledger) -> SimulatedPool:
    """A pool of one instance."""
    return SimulatedPool(ledger)
