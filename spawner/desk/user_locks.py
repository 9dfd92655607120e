"""A lock for each user: concurrent requests of one user, such as from several tabs, run one after the other."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

from spawner.errors import TooManyRequests

MAX_WAITING = 4
"""Maximum concurrent requests per user that wait for the lock."""


class UserLocks:
    """One lock per user name. A lock exists only while a request holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._requests: Counter[str] = Counter()

    def is_held(self, person_id: str) -> bool:
        """Whether a request of this user holds the lock."""
        return person_id in self._requests

    @contextlib.asynccontextmanager
    async def hold(self, person_id: str) -> AsyncIterator[None]:
        """Wait for the lock, then hold it. Raises `TooManyRequests`."""
        if self._requests[person_id] > MAX_WAITING:
            raise TooManyRequests("Too many requests at once.", next_step="Try again in a minute.")
        lock = self._locks.setdefault(person_id, asyncio.Lock())
        self._requests[person_id] += 1
        try:
            async with lock:
                yield
        finally:
            self._requests[person_id] -= 1
            if not self._requests[person_id]:
                del self._requests[person_id], self._locks[person_id]
