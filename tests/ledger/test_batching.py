"""Writes that share a transaction succeed or fail independently, and none is lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, Table, event, insert, select

from spawner.errors import LedgerUnusable, LostRace
from spawner.ledger import Ledger
from spawner.ledger.schema import leases
from tests.ledger.rows import NOW

Write = Callable[[Connection], Any]


def _row(name: str) -> Write:
    def write(connection: Connection) -> str:
        connection.execute(insert(leases).values(name=name, holder="me", expires_at=NOW))
        return name

    return write


def _names(ledger: Ledger, table: Table = leases) -> set[str]:
    return set(ledger.read(lambda connection: connection.execute(select(table.c.name)).scalars().all()))


async def _all_at_once(ledger: Ledger, *writes: Write) -> list[Any]:
    """The first write blocks the writing thread until all are submitted."""
    all_submitted = threading.Event()

    def first(connection: Connection) -> None:
        all_submitted.wait(10)

    held = asyncio.ensure_future(ledger.awrite(first))
    tasks = [asyncio.ensure_future(ledger.awrite(write)) for write in writes]
    await asyncio.sleep(0.05)
    all_submitted.set()
    await held
    return await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def commits(ledger: Ledger) -> list[int]:
    found: list[int] = []
    event.listen(ledger._engine, "commit", lambda connection: found.append(1))
    return found


async def test_concurrent_writes_share_a_transaction(ledger: Ledger, commits: list[int]) -> None:
    assert await _all_at_once(ledger, *(_row(f"row{number}") for number in range(10))) == [
        f"row{number}" for number in range(10)
    ]
    assert _names(ledger) >= {f"row{number}" for number in range(10)}
    assert len(commits) == 2  # the blocking write, and the batch


async def test_a_refused_write_does_not_affect_the_others(ledger: Ledger) -> None:
    def refused(connection: Connection) -> None:
        _row("half")(connection)
        raise LostRace("Somebody was first.")

    results = await _all_at_once(ledger, _row("before"), refused, _row("before"), _row("after"))
    assert results[0] == "before"
    assert isinstance(results[1], LostRace)
    assert type(results[2]).__name__ == "IntegrityError"
    assert results[3] == "after"
    assert {"before", "after"} <= _names(ledger)
    assert "half" not in _names(ledger)


async def test_an_error_reaches_only_its_own_caller(ledger: Ledger) -> None:
    def broken(connection: Connection) -> None:
        _row("half")(connection)
        raise ZeroDivisionError

    results = await _all_at_once(ledger, _row("before"), broken, _row("after"))
    assert results[0] == "before"
    assert isinstance(results[1], ZeroDivisionError)
    assert results[2] == "after"
    assert {"before", "after"} <= _names(ledger)
    assert "half" not in _names(ledger)


async def test_a_failed_commit_is_raised_to_all_callers(ledger: Ledger) -> None:
    commits: list[int] = []

    def fail(connection: Connection) -> None:
        commits.append(1)
        if len(commits) > 1:  # the first is the blocking write
            raise LedgerUnusable("The disk is full.")

    event.listen(ledger._engine, "commit", fail)
    results = await _all_at_once(ledger, _row("one"), _row("two"))
    event.remove(ledger._engine, "commit", fail)
    assert [type(error) for error in results] == [LedgerUnusable, LedgerUnusable]
    assert len(commits) == 2
    assert not {"one", "two"} & _names(ledger)


async def test_a_write_whose_caller_is_cancelled_is_still_written(ledger: Ledger) -> None:
    writes = [asyncio.ensure_future(ledger.awrite(_row(f"row{number}"))) for number in range(5)]
    await asyncio.sleep(0)
    writes[2].cancel()
    await asyncio.gather(*writes, return_exceptions=True)
    await ledger.awrite(lambda connection: None)
    assert _names(ledger) >= {f"row{number}" for number in range(5)}
