"""No frequent query reads a whole table that grows, also where the database has counted the rows (`ANALYZE`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, text

from spawner.ledger import Ledger, open_ledger
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import run_migrations
from tests.ledger.frequent import frequent
from tests.ledger.many import fill
from tests.ledger.rows import NOW

GROWING = ("instances", "slots", "tickets", "events", "allowance_grants", "allowance_holds", "allowance_charges")
TABLE, PARTIAL = rf"({'|'.join(GROWING)})\b", r"(\w+_(unended|ungone|open|uncollected|held)|slots_by_holder)"
SCAN = {
    "sqlite": re.compile(rf"SCAN {TABLE}(?! USING (COVERING )?INDEX {PARTIAL})"),
    "postgresql": re.compile(rf"Seq Scan on {TABLE}"),
}
"""What says in a plan that a whole table, or a whole index of one, is read."""
PAST = 20_000


@contextmanager
def statements(connection: Connection) -> Iterator[list[tuple[str, Any]]]:
    """The statements that the block executes, with their parameters."""
    found: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        found.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(connection, "before_cursor_execute", note)


def plan(connection: Connection, statement: str, parameters: Any) -> list[str]:
    """The lines of the database's plan."""
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    return [str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {statement}", parameters)]


def test_no_frequent_query_reads_a_table_that_grows(ledger: Ledger) -> None:
    reads_no_whole_table(ledger)


def test_nor_does_one_where_each_migration_was_run(tmp_path: Path) -> None:
    """Its indexes are in another order, by which SQLite chooses among equals."""
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    engine = make_engine(url)
    with engine.execution_options(freepool_write=True).begin() as connection:
        run_migrations(connection)
    engine.dispose()
    with closing(open_ledger(url)) as ledger:
        reads_no_whole_table(ledger)


def reads_no_whole_table(ledger: Ledger) -> None:
    ledger.write(fill, PAST)

    def look(connection: Connection, *, is_counted: bool) -> list[str]:
        if is_counted:
            connection.execute(text("ANALYZE"))
        scans = []
        for name, action in frequent(NOW).items():
            with statements(connection) as executed:
                action(connection)
            for statement, parameters in list(executed):
                lines = plan(connection, statement, parameters)
                scans += [f"{name}: {line}" for line in lines if SCAN[connection.dialect.name].search(line)]
        return scans

    if ledger._engine.dialect.name == "sqlite":  # PostgreSQL counts by itself
        assert ledger.write(look, is_counted=False) == []
    assert ledger.write(look, is_counted=True) == []
