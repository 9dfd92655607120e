"""Runs the reconciler of paid orders beside the steward: in its own task, with its own lease and ledger connections.

So neither a slow cloud nor a defect here delays the pool.
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
"""The longest pause between ticks: deadlines pass without an event."""
PATIENCE = 1.0
"""Seconds that a tick waits for the clouds. Slower calls go on while the lease is renewed."""


@contextlib.asynccontextmanager
async def keeping_paid(settings: Settings, holder: str) -> AsyncIterator[None]:
    """Reconcile while the block runs, where clouds are configured. Raises `SetupError` where they cannot be used."""
    if settings.paid is None:
        yield
        return
    ledger = open_ledger(settings.ledger)
    paid = make_paid(settings.paid, ledger)
    reconciler = Reconciler(paid, holder=holder)
    task = asyncio.create_task(_reconcile(reconciler), name="freepool-paid")
    try:
        yield
    finally:
        # Work in progress is in the ledger, and the next holder of the lease continues it.
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await reconciler.rest()
        with contextlib.suppress(FreepoolError):
            await ledger.awrite(leases.release, LEASE, holder=holder)
        await close(paid)
        ledger.close()


async def _reconcile(reconciler: Reconciler) -> None:
    while True:
        try:
            await reconciler.tick(patience=PATIENCE)
        except Exception:  # of any kind: paid instances must be looked after
            log.exception("a tick of the paid orders failed and is tried again")
        await asyncio.sleep(min(TICK_SECONDS, reconciler.paid.rules.poll_soon))
