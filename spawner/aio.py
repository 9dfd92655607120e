"""Wake-ups and background tasks: the parts of asyncio that every process of Freepool needs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")
LogFailure = Callable[[str, BaseException], None]
"""Called with a task's subject and its exception."""


class Signal:
    """`notify()` wakes every task that waits in `wait()` at that time. Any number may wait, any number of times."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """Wake all waiting tasks."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    def waiter(self) -> asyncio.Future[None]:
        """A future for the next `notify`. Create it *before* reading the state that may change."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        return future

    def forget(self, waiter: asyncio.Future[None]) -> None:
        """Drop a future that `waiter` returned."""
        self._waiting.discard(waiter)


class Recent(Generic[T]):
    """What `read` returned, for `seconds`: however many ask at the same time, it is read once."""

    def __init__(
        self, read: Callable[[], Awaitable[T]], *, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._seconds = seconds
        self._clock = clock
        self._reading = asyncio.Lock()
        self._last: tuple[float, T] | None = None

    async def get(self) -> T:
        """It, or what was read a moment ago. Raises what `read` raises, which is not kept."""
        async with self._reading:
            if self._last is None or self._clock() - self._last[0] >= self._seconds:
                found = await self._read()
                self._last = self._clock(), found
            return self._last[1]


class TaskSet:
    """Background tasks of one owner. Holds a reference to each until it ends, and has failures logged."""

    def __init__(self, log_failure: LogFailure) -> None:
        self._log_failure = log_failure
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T], *, subject: str = "") -> asyncio.Task[T]:
        """Run `work` in a task. `subject` names it for `log_failure`."""
        task = asyncio.create_task(work, name=f"freepool-{subject}" if subject else None)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._end(subject, done))
        return task

    def _end(self, subject: str, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log_failure(subject, error)

    async def join(self) -> None:
        """Wait until all tasks have ended. Raises none of their exceptions."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cancel(self) -> None:
        """Cancel all tasks and wait until they have ended."""
        for task in self._tasks:
            task.cancel()
        await self.join()


class KeyedTaskSet(TaskSet):
    """Background tasks, at most one per subject at a time."""

    def __init__(self, log_failure: LogFailure) -> None:
        super().__init__(log_failure)
        self._subjects: set[str] = set()

    def begin(self, subject: str, work: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T] | None:
        """Start `work` for a subject; None where a task for it has not ended yet."""
        if subject in self._subjects:
            return None
        self._subjects.add(subject)
        return self.start(work(), subject=subject)

    def _end(self, subject: str, task: asyncio.Task[Any]) -> None:
        self._subjects.discard(subject)
        super()._end(subject, task)
