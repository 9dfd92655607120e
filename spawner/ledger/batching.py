"""Write batching: writes that wait at the same time share one transaction."""

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
"""Maximum writes in one transaction, so that other processes can write in between."""


class _BatchFailed(Exception):
    """A write of a batch raised an unexpected error. The batch is rolled back and each write is run alone."""


class WriteBatcher:
    """Runs writes in its own thread, in order of submission.

    `write` runs a query in a transaction and commits it. A write that raises is rolled back alone, to its savepoint;
    a failed commit fails all writes of the batch.
    """

    def __init__(self, write: Callable[[Query], Any]) -> None:
        self._write = write
        self._waiting: deque[tuple[Query, Future[Any]]] = deque()
        # In the event loop's default executor, waiting writers would use up the threads that readers need.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")

    def submit(self, query: Callable[[Connection], T]) -> Future[T]:
        """Queue a write. The future is done when its rows are durable."""
        result: Future[T] = Future()
        self._waiting.append((query, result))
        self._thread.submit(self._serve)
        return result

    def close(self) -> None:
        """Run all queued writes, then stop the thread."""
        self._thread.shutdown()

    def _serve(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]
        if len(batch) > 1:
            try:
                results = self._write(lambda connection: [_run_in_savepoint(connection, query) for query, _ in batch])
            except _BatchFailed:
                pass
            except Exception as error:
                for _, result in batch:
                    result.set_exception(error)
                return
            else:
                for (_, result), (value, refusal) in zip(batch, results, strict=True):
                    if refusal is None:
                        result.set_result(value)
                    else:
                        result.set_exception(refusal)
                return
        for query, result in batch:
            try:
                result.set_result(self._write(query))
            except Exception as error:
                result.set_exception(error)


def _run_in_savepoint(connection: Connection, query: Query) -> tuple[Any, Exception | None]:
    """The result of a write, or the expected error that it raised."""
    try:
        with connection.begin_nested():
            return query(connection), None
    except (FreepoolError, IntegrityError) as refusal:
        return None, refusal
    except Exception as error:
        raise _BatchFailed from error
