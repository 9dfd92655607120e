"""Every test of the ledger runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import TypeVar

import pytest
from sqlalchemy import URL

from spawner.ledger import Ledger
from tests.ledger.pool import SimulatedPool
from tests.ledger.postgres import fresh_database, running_postgres
from tests.ledger.reused import PostgresLedgers, SqliteLedgers

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
def sqlite_ledgers(tmp_path_factory: pytest.TempPathFactory) -> SqliteLedgers:
    """Where the ledgers in SQLite come from."""
    return SqliteLedgers(tmp_path_factory.mktemp("ledger"))


@pytest.fixture(scope="session")
def migrated_sqlite(sqlite_ledgers: SqliteLedgers) -> Path:
    """A migrated file to copy."""
    return sqlite_ledgers.migrated


@pytest.fixture(scope="session")
def postgres_ledgers(postgres: URL) -> Iterator[PostgresLedgers]:
    """Where the ledgers in PostgreSQL come from."""
    with fresh_database(postgres, "migrated") as url:
        yield PostgresLedgers(text_of(url))


@pytest.fixture
def postgres_ledger(postgres_ledgers: PostgresLedgers) -> Iterator[Ledger]:
    """A migrated, empty ledger in PostgreSQL."""
    ledger = postgres_ledgers.empty()
    yield ledger
    ledger.close()


@pytest.fixture
def sqlite_ledger(sqlite_ledgers: SqliteLedgers) -> Iterator[Ledger]:
    """A migrated, empty ledger in SQLite."""
    ledger = sqlite_ledgers.empty()
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
