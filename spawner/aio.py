"""A wake-up that any number of tasks can wait for, each as often as it likes."""

from __future__ import annotations

import asyncio


class Signal:
    """`notify()` wakes everybody who is in `wait()` now."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """Wake all."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    def waiter(self) -> asyncio.Future[None]:
        """A future for the next `notify`. Take it *before* looking at what may have changed."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        return future

    def forget(self, waiter: asyncio.Future[None]) -> None:
        """Stop waiting with a future that `waiter` gave."""
        self._waiting.discard(waiter)
