"""Writers that wait at the same time share one transaction: a crowd does not pay for one turn at the database each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from spawner.errors import FreepoolError

T = TypeVar("T")
Query = Callable[[Connection], Any]

MAX_BATCH = 25
"""Writes in one transaction, at most: other processes have to come in between."""


class _BatchFailed(Exception):
    """One of several writes met what is neither a rule of ours nor of a table: none of them is written."""


class WriteBatcher:
    """Runs writes in a thread of its own, in the order in which they come.

    `write` runs a query in a transaction and commits it. Each write that shares a transaction is undone on its own
    where it raises, as if it were alone; a commit that fails fails for all of them.
    """

    def __init__(self, write: Callable[[Query], Any]) -> None:
        self._write = write
        self._waiting: deque[tuple[Query, Future[Any]]] = deque()
        # Writers that wait for each other in the loop's own threads would keep all others from the readers.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")

    def submit(self, query: Callable[[Connection], T]) -> Future[T]:
        """Write it soon. The result is there when the rows are durable."""
        result: Future[T] = Future()
        self._waiting.append((query, result))
        self._thread.submit(self._serve)
        return result

    def close(self) -> None:
        """Write what waits, and end."""
        self._thread.shutdown()

    def _serve(self) -> None:
        taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]
        if len(taken) > 1:
            try:
                found = self._write(lambda connection: [_run_in_savepoint(connection, query) for query, _ in taken])
            except _BatchFailed:
                pass
            except Exception as error:
                for _, result in taken:
                    result.set_exception(error)
                return
            else:
                for (_, result), (value, refusal) in zip(taken, found, strict=True):
                    if refusal is None:
                        result.set_result(value)
                    else:
                        result.set_exception(refusal)
                return
        for query, result in taken:
            try:
                result.set_result(self._write(query))
            except Exception as error:
                result.set_exception(error)


def _run_in_savepoint(connection: Connection, query: Query) -> tuple[Any, Exception | None]:
    """What a write gives, or what it refuses with."""
    try:
        with connection.begin_nested():
            return query(connection), None
    except (FreepoolError, IntegrityError) as refusal:
        return None, refusal
    except Exception as error:
        raise _BatchFailed from error
