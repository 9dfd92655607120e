"""Each person does some things one after the other, from however many tabs they ask for them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

from spawner.errors import TooMany

MOST_WAITING = 4
"""Tabs that ask for the same at once; whoever has more is no person."""


class UserLocks:
    """Who asks, and who of the same name waits for that."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._here: Counter[str] = Counter()

    def is_taken(self, user_name: str) -> bool:
        """Whether somebody of this name is at it."""
        return user_name in self._here

    @contextlib.asynccontextmanager
    async def take(self, user_name: str) -> AsyncIterator[None]:
        """Wait for one's turn. Raises `TooMany`."""
        if self._here[user_name] > MOST_WAITING:
            raise TooMany("You ask too much at once.", next_step="Try again in a minute.")
        lock = self._locks.setdefault(user_name, asyncio.Lock())
        self._here[user_name] += 1
        try:
            async with lock:
                yield
        finally:
            self._here[user_name] -= 1
            if not self._here[user_name]:
                del self._here[user_name], self._locks[user_name]
