"""The paid path's promises, kept beside the pool's: in a task, with a lease and a ledger's connections of their own.

A cloud that is slow, or a mistake in here, holds nobody up who has nothing to do with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from spawner.errors import FreepoolError
from spawner.ledger import leases, open_ledger
from spawner.paid.build import close, make_paid
from spawner.paid.orders.reconciler import LEASE, Reconciler
from spawner.settings import Settings

log = logging.getLogger("freepool.paid")
TICK_SECONDS = 1.0
"""Between looks at what is due, at most: limits pass without any event."""
PATIENCE = 1.0
"""Seconds that a tick waits for the clouds. What takes longer goes on meanwhile, and the lease is renewed."""


@contextlib.asynccontextmanager
async def keeping_paid(settings: Settings, holder: str) -> AsyncIterator[None]:
    """Keep them until the block ends, where clouds are configured. Raises `SetupError` where they cannot be used."""
    if settings.paid is None:
        yield
        return
    ledger = open_ledger(settings.ledger)
    paid = make_paid(settings.paid, ledger)
    keeper = Reconciler(paid, holder=holder)
    task = asyncio.create_task(_keep(keeper), name="freepool-paid")
    try:
        yield
    finally:
        # What is under way is in the ledger, and whoever comes next goes on with it.
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await keeper.rest()
        with contextlib.suppress(FreepoolError):
            await ledger.awrite(leases.release, LEASE, holder=holder)
        await close(paid)
        ledger.close()


async def _keep(keeper: Reconciler) -> None:
    while True:
        try:
            await keeper.tick(patience=PATIENCE)
        except Exception:  # whatever it is: people's instances are to be looked after
            log.exception("a look at the paid orders failed, and is tried again")
        await asyncio.sleep(min(TICK_SECONDS, keeper.paid.rules.poll_soon))
