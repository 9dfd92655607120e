"""The steward's watch on idleness by a clock of the test's, as if hours passed between its looks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import aiohttp

from spawner.ledger import EndReason
from spawner.pool.build import make_pool
from spawner.pool.pool import Pool
from spawner.pool.time.idle.rules import Rules
from spawner.steward.activity_reports import ActivityReports
from spawner.steward.idle import IdleWatch
from spawner.steward.readings import Readings
from tests.stack import Stack

QUICK = Rules(present=0.1, waiting=0.1, busy_least=0, prompt=0.2, longest_gap=1e9)
"""Limits of minutes are the catalog's: a look with this clock counts as many seconds as the test says."""


class Later:
    """Its clock moves with each look only."""

    def __init__(self, pool: Pool, session: aiohttp.ClientSession) -> None:
        self.pool = pool
        self.reports = ActivityReports(session, pool.master_key)
        self._now = pool.now()
        vars(pool).update(now=lambda: self._now, end_soon=self._leave_to_steward)
        self._watch = IdleWatch(pool, Readings(pool), self.reports, QUICK, monotonic=self._monotonic)

    async def _leave_to_steward(self, instance_id: str, reason: EndReason) -> None:
        """The stack's own has read that it is to end. It keeps changed files first, which this pool would not."""

    def _monotonic(self) -> float:
        return self._now.timestamp()

    async def look(self, **later: float) -> None:
        """A look, so much later."""
        self._now += timedelta(**later)
        await self._watch.look()

    async def until_notice(self) -> None:
        """An hour without use: the notice of it is written. The next look ends what nobody answered for."""
        await self.look(seconds=1)
        await self.look(minutes=30)
        await self.look(minutes=31)


@asynccontextmanager
async def watching(stack: Stack) -> AsyncIterator[Later]:
    """The watch of one more steward of a stack."""
    async with aiohttp.ClientSession() as session:
        pool = make_pool(stack.settings, session=session, epoch="test")
        try:
            yield Later(pool, session)
        finally:
            await pool.close()
