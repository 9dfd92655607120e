"""The migrations create exactly the code's tables, on both databases."""

from __future__ import annotations

import socket
import time

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, Engine, inspect, text
from sqlalchemy.exc import OperationalError

from spawner.errors import LedgerUnusable
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import VERSION_TABLE, check_version, migrate, migrate_when_it_answers, run_migrations
from spawner.ledger.schema import metadata
from tests.ledger.conftest import Together, fresh_database, text_of


def migrate_step_by_step(engine: Engine) -> None:
    """As an installation does that has had every release."""
    with engine.execution_options(freepool_write=True).begin() as connection:
        run_migrations(connection)


def postgres_definitions(engine: Engine) -> set[tuple[object, ...]]:
    """Columns, constraints and indexes, as PostgreSQL writes them; of NOT NULL the names do not matter."""
    queries = (
        """SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default
        FROM information_schema.columns WHERE table_schema = 'public'""",
        """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND contype <> 'n'""",
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    )
    with engine.connect() as connection:
        return {tuple(row) for query in queries for row in connection.execute(text(query))}


def test_an_empty_postgresql_gets_what_all_migrations_make(postgres: URL) -> None:
    found = []
    for name, fill in (("step_by_step", migrate_step_by_step), ("at_once", migrate)):
        with fresh_database(postgres, name) as url:
            engine = make_engine(text_of(url))
            fill(engine)
            found.append(postgres_definitions(engine))
            engine.dispose()
    step_by_step, at_once = found
    assert step_by_step == at_once
    assert len(at_once) > 100


def test_migrated_tables_are_the_tables_of_the_code(url: str) -> None:
    engine = make_engine(url)
    migrate_step_by_step(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []
        (one_live,) = [
            index for index in inspect(connection).get_indexes("instances") if index["name"] == "instances_one_live"
        ]
        assert one_live["unique"]
        assert one_live["dialect_options"], "it holds for live loans only"
    engine.dispose()


def test_concurrent_migrations_succeed(postgres_url: str, together: Together[None]) -> None:
    """Pods that start together migrate concurrently."""

    def migrate_ledger() -> None:
        engine = make_engine(postgres_url)
        migrate(engine)
        check_version(engine)
        engine.dispose()

    together([migrate_ledger] * 8)


def test_a_database_that_never_answers_is_named_after_a_wait() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        engine = make_engine(f"postgresql+psycopg://freepool@127.0.0.1:{taken.getsockname()[1]}/freepool")
        began = time.monotonic()
        with pytest.raises(LedgerUnusable, match=r"is not responding: .*refused"):
            migrate_when_it_answers(engine, within=1.5)
        assert 1.5 <= time.monotonic() - began < 30
        engine.dispose()


def test_a_database_that_answers_late_is_migrated(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make_engine(url)
    answers = iter([OperationalError("", {}, Exception("starting up")), None])

    def at_second_try(engine: Engine) -> None:
        trouble = next(answers)
        if trouble:
            raise trouble
        migrate(engine)

    monkeypatch.setattr("spawner.ledger.migrate.migrate", at_second_try)
    monkeypatch.setattr("spawner.ledger.migrate.LOOK_SECONDS", 0)
    migrate_when_it_answers(engine, within=30)
    check_version(engine)
    engine.dispose()
