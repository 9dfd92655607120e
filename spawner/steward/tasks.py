"""What the steward has begun and does not wait for, one thing at a time for each subject."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from spawner.errors import BackendUnavailable

log = logging.getLogger("freepool.steward")


class Tasks:
    """Tasks by what they are about: the id of a slot, an instance, a ticket."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, subject: str, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None] | None:
        """Begin it, unless something about this subject is under way. What fails is logged; a later round retries."""
        if subject in self._tasks:
            return None
        task = asyncio.create_task(work(), name=f"freepool-{subject}")
        self._tasks[subject] = task
        task.add_done_callback(lambda task: self._done(subject, task))
        return task

    def _done(self, subject: str, task: asyncio.Task[None]) -> None:
        del self._tasks[subject]
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, BackendUnavailable):
            log.warning("what was begun for %s is tried again: %s", subject, error)
        else:
            log.error("what was begun for %s failed, and is tried again", subject, exc_info=error)

    async def cancel(self) -> None:
        """End all of them."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
