"""What slots use, read once for all parts of the steward that look at it in the same minute."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta

from spawner.pool.backends.base import Usage
from spawner.pool.pool import Pool

FRESH = timedelta(seconds=20)
"""How long a reading serves again."""


class Readings:
    """The readings of one pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._reading = asyncio.Lock()
        self._last: tuple[datetime, frozenset[str], frozenset[int] | None, Usage] | None = None
        self._readers: set[str] = set()

    async def read(
        self, reader: str, slot_ids: Collection[str], *, ports: frozenset[int] | None = None
    ) -> tuple[datetime, Usage]:
        """What these slots use, and when that was read. With `ports` also names and places.

        No reader gets one reading twice.
        """
        async with self._reading:
            wanted = frozenset(slot_ids)
            if self._last is not None:
                at, slots, seen, usage = self._last
                is_enough = wanted <= slots and (ports is None or (seen is not None and ports <= seen))
                is_new = reader not in self._readers
                if is_enough and is_new and timedelta() <= self._pool.now() - at <= FRESH:
                    self._readers.add(reader)
                    return at, usage
            usage = await self._pool.backend.usage(list(slot_ids), ports=ports)
            at = self._pool.now()
            self._last = at, wanted, ports, usage
            self._readers = {reader}
            return at, usage
