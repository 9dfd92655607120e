"""What exists in the pool, kept up to date by the backend's wake-ups: wait on it instead of polling.

A view that could not be refreshed says so (`BackendUnavailable`) instead of showing what was true once.
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
"""A view older than this is refreshed before it is believed."""


class SlotView:
    """The newest `Backend.list()`, shared by everybody in this process."""

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
                log.warning("the pool cannot be watched, trying again: %s", error)
            await asyncio.sleep(RETRY_SECONDS)  # a backend that is away must not be asked in a tight loop

    async def refresh(self) -> Slots:
        """Ask the backend now."""
        failures = self._failures
        async with self._refreshing:
            if self._failures != failures:
                # To learn that may have taken its full timeout: all who waited are told, not one after the other.
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
        """Wait until something is different from now."""
        async with self._changed:
            await self._changed.wait()
            return self._slots

    @property
    def last_seen(self) -> Slots:
        """What existed at the last look, however long ago that was."""
        return self._slots

    async def now(self) -> Slots:
        """What exists; at most `STALE_SECONDS` old. Raises `BackendUnavailable` if that cannot be had."""
        if asyncio.get_running_loop().time() - self._seen_at > STALE_SECONDS:
            return await self.refresh()
        return self._slots

    async def wait_until(self, holds: Callable[[Slots], bool], *, seconds: float) -> Slots:
        """Wait until `holds(slots)`. Raises `TimeoutError`."""
        async with asyncio.timeout(seconds), self._changed:
            while not holds(self._slots):
                await self._changed.wait()
            return self._slots
