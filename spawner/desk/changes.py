"""Tells open pages when there is something new to show."""

from __future__ import annotations

import asyncio
import contextlib

from spawner.aio import Signal
from spawner.errors import LedgerError
from spawner.ledger import Ledger
from spawner.ledger.transitions import revision

POLL_SECONDS = 0.15
"""The ledger's writers are other processes, and SQLite has no notifications: so one tiny query for all open pages
together, and only while there are any."""


class ChangeNotifier:
    """One look at the ledger's revision for any number of listeners."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._signal = Signal()
        self._seen: int | None = None
        self._task: asyncio.Task[None] | None = None
        self.listeners = 0
        self.number = 0
        """How many changes were noticed."""

    async def next(self, *, seconds: float, after: int | None = None) -> bool:
        """Wait for the next change, or the first `after` that many; False if there was none within `seconds`."""
        if after is not None and after != self.number:
            return True
        self.listeners += 1
        waiter = self._signal.waiter()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        try:
            done, _ = await asyncio.wait([waiter], timeout=seconds)
            return bool(done)
        finally:
            self._signal.forget(waiter)
            self.listeners -= 1

    async def _look(self) -> None:
        while self.listeners:
            with contextlib.suppress(LedgerError):
                current = await self._ledger.aread(revision)
                if current != self._seen:
                    self._seen = current
                    self.number += 1
                    self._signal.notify()
                    await asyncio.sleep(0)  # lets the woken listeners register again before we count them
            await asyncio.sleep(POLL_SECONDS)
