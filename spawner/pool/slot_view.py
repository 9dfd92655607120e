"""The backend's slots, refreshed at each of its events: callers wait on the view instead of polling.

A view that cannot be refreshed raises `BackendUnavailable` instead of returning old slots.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

from spawner.errors import BackendUnavailable
from spawner.pool.backends.base import Backend, Slots

log = logging.getLogger("freepool.pool")
RETRY_SECONDS = 1.0
STALE_SECONDS = 5.0
"""A view older than this is refreshed before `now` returns it."""


class SlotView:
    """The newest `Backend.list()`, shared by all of this process."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._slots: Slots = {}
        self._seen_at = float("-inf")
        self._changed = asyncio.Condition()
        self._refreshing = asyncio.Lock()
        self._failures = 0

    @asynccontextmanager
    async def following(self) -> AsyncIterator[SlotView]:
        """Keep the view fresh while the block runs."""
        task = asyncio.create_task(self._follow(), name="freepool-view")
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def start(self) -> asyncio.Task[None]:
        """Keep the view fresh until the returned task is cancelled."""
        return asyncio.create_task(self._follow(), name="freepool-view")

    async def _follow(self) -> None:
        while True:
            try:
                async with aclosing(self._backend.watch()) as wakes:
                    async for _ in wakes:
                        await self.refresh()
            except (BackendUnavailable, OSError) as error:
                log.warning("the backend cannot be watched, trying again: %s", error)
            await asyncio.sleep(RETRY_SECONDS)  # an unreachable backend is not asked in a tight loop

    async def refresh(self) -> Slots:
        """List the slots now. Concurrent callers share a failure. Raises `BackendUnavailable`."""
        failures = self._failures
        async with self._refreshing:
            if self._failures != failures:
                # A failure takes the backend's full timeout, so callers that waited for it share it.
                raise BackendUnavailable("The pool did not answer just now.")
            try:
                slots = await self._backend.list()
            except BackendUnavailable:
                self._failures += 1
                raise
            self._seen_at = asyncio.get_running_loop().time()
        if slots != self._slots:
            async with self._changed:
                self._slots = slots
                self._changed.notify_all()
        return slots

    async def changed(self) -> Slots:
        """Wait for the next change."""
        async with self._changed:
            await self._changed.wait()
            return self._slots

    @property
    def last_seen(self) -> Slots:
        """The slots of the last refresh, of any age."""
        return self._slots

    async def now(self) -> Slots:
        """The slots, at most `STALE_SECONDS` old. Raises `BackendUnavailable`."""
        if asyncio.get_running_loop().time() - self._seen_at > STALE_SECONDS:
            return await self.refresh()
        return self._slots

    async def wait_until(self, holds: Callable[[Slots], bool], *, seconds: float) -> Slots:
        """Wait until `holds(slots)`. Raises `TimeoutError`."""
        async with asyncio.timeout(seconds), self._changed:
            while not holds(self._slots):
                await self._changed.wait()
            return self._slots
