"""Moves the people of a hub that drains to another one, as soon as they have no notebook. Nothing is ended."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from spawner.hub_settings import HubSettings
from spawner.ledger.people import moves
from spawner.pool.pool import Pool

log = logging.getLogger("freepool.steward")
EVERY = timedelta(seconds=10)
AT_ONCE = 200
"""People who are moved in one transaction."""


class Drain:
    """Moves people while `drain_to` is set."""

    def __init__(self, pool: Pool, hub: HubSettings) -> None:
        self._pool = pool
        self._hub = hub
        self._next_at: datetime | None = None

    @property
    def is_due(self) -> bool:
        """Whether it is time to look for people who can be moved."""
        is_time = self._next_at is None or self._next_at <= self._pool.now()
        return self._hub.drain_to is not None and is_time

    async def move(self) -> None:
        """Move some. At once again where there may be more."""
        name, to, now = self._hub.name, self._hub.drain_to, self._pool.now()
        assert to is not None
        self._next_at = now + EVERY
        if not await self._pool.ledger.aread(moves.movable, name, to=to, now=now, limit=1):
            return
        count = await self._pool.ledger.awrite(moves.move, name, to=to, now=now, limit=AT_ONCE)
        if count:
            log.info("%d users are moved from hub %s to %s", count, name, to)
        if count == AT_ONCE:
            self._next_at = now
