"""The steward's part of weekly hours: the float of each week, and the charges of what ended without one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from spawner.catalog import AllowanceClass, Week
from spawner.ledger.pool import instances
from spawner.ledger.time import charges, grants
from spawner.ledger.time.rows import FloatShare
from spawner.pool.pool import Pool
from spawner.pool.time.settle import settle_forgotten
from spawner.pool.time.shares import share_of


class AllowanceKeeper:
    """Called in each round. It remembers the week whose float is written, so that a round costs one short read."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._written: datetime | None = None

    async def round(self) -> None:
        """Settle what is left over, and write the float once a week."""
        pool = self._pool
        now = pool.now()
        if await pool.ledger.aread(has_forgotten):
            await pool.ledger.awrite(settle_forgotten, now=now)
        week = pool.catalog.allowances.week(now)
        if self._written == week.start:
            return
        for one in pool.catalog.allowances.classes:
            if one.float_share:
                share = await pool.ledger.aread(read_share, one, pool.catalog.allowances.week_before(week), week)
                if share is not None:
                    await pool.ledger.awrite(grants.write_float, share)
        self._written = week.start


def has_forgotten(connection: Connection) -> bool:
    """Whether something ended and still has a hold."""
    return bool(instances.ended_with_hold(connection, at_most=1))


def read_share(connection: Connection, one: AllowanceClass, last: Week, week: Week) -> FloatShare | None:
    """The float of a week out of the one before; None where it was written before."""
    if grants.float_of(connection, one.id, week.start) is not None:
        return None
    people, promised = grants.promised(connection, one.id, valid_until=week.start)
    used = charges.used_between(connection, one.id, last.start, last.end)
    return share_of(one, week, people=people, promised=promised, used=used)
