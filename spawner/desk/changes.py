"""Notifies open pages of changes of the ledger."""

from __future__ import annotations

import asyncio
import contextlib

from spawner.aio import Signal
from spawner.errors import LedgerError
from spawner.ledger import Ledger
from spawner.ledger.transitions import revision

POLL_SECONDS = 0.15
"""Other processes write to the ledger, and SQLite has no notifications. One query serves all open pages; without open
pages there is none."""


class ChangeNotifier:
    """Polls the ledger's revision once for any number of listeners."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._signal = Signal()
        self._seen: int | None = None
        self._task: asyncio.Task[None] | None = None
        self.listeners = 0
        self.number = 0
        """Number of changes seen so far."""

    async def next(self, *, seconds: float, after: int | None = None) -> bool:
        """Wait for a change; False if there was none within `seconds`.

        With `after`, return at once if `number` is not that any more: nothing between two waits is missed.
        """
        if after is not None and after != self.number:
            return True
        self.listeners += 1
        waiter = self._signal.waiter()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll())
        try:
            done, _ = await asyncio.wait([waiter], timeout=seconds)
            return bool(done)
        finally:
            self._signal.forget(waiter)
            self.listeners -= 1

    async def _poll(self) -> None:
        while self.listeners:
            with contextlib.suppress(LedgerError):
                current = await self._ledger.aread(revision)
                if current != self._seen:
                    self._seen = current
                    self.number += 1
                    self._signal.notify()
                    await asyncio.sleep(0)  # so that woken listeners register again before they are counted
            await asyncio.sleep(POLL_SECONDS)
