"""A named server that is an instance in its person's own cloud: JupyterHub's verbs, turned into rows of the ledger.

JupyterHub's own record of it may be lost at any moment, and nothing is: the ledger has it, and the steward acts on it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import datetime
from typing import Any

from spawner.errors import FreepoolError, LedgerError, NoConsent, NotOffered, StartFailed
from spawner.ledger import Ledger
from spawner.ledger.paid import orders
from spawner.ledger.paid.rows import Order
from spawner.paid.orders import service as order_service
from spawner.paid.orders.progress import Line, ending, lines

log = logging.getLogger("freepool.hub")
SHOWN_SECONDS = 120
"""How long a start waits for the instance: far from JupyterHub's own limit. The desk's page shows the rest."""
LOOK_SECONDS = 0.4
"""Between looks at an order: the steward is another process, and SQLite has no notifications."""
INSIST_SECONDS = 2.0
HUB = "hub"


class PaidServer:
    """One person's `paid-…` server. `url` is the desk's, whose gate lets its owner in; `key` makes start words.

    `user_since` is when JupyterHub made this user: what somebody of the same name had before is not theirs.
    """

    def __init__(
        self,
        ledger: Ledger,
        user_name: str,
        server_name: str,
        *,
        user_since: str,
        url: str,
        key: Callable[[], str],
        is_offered: bool,
        now: Callable[[], datetime],
        is_hub_ending: Callable[[], bool],
        in_background: Callable[[Coroutine[Any, Any, None]], None],
        note_activity: Callable[[], None],
    ) -> None:
        self.url = url
        self._ledger, self._key, self._now, self._is_offered = ledger, key, now, is_offered
        self._who, self._user_since = {"user_name": user_name, "server_name": server_name}, user_since
        self._is_hub_ending, self._in_background = is_hub_ending, in_background
        self._note_activity = note_activity

    async def start(self, *, by_owner: bool, word: object) -> str:
        """Spend the person's consent, and wait a while for the instance. The gate's URL. Raises `Refusal`."""
        if not self._is_offered:
            raise NotOffered("Paid instances are not offered here.")
        if not by_owner:
            raise NoConsent("Only its owner can start a paid instance.", next_step="They start it on the desk.")
        word = word if isinstance(word, str) else ""
        try:
            order = await self._ledger.awrite(
                order_service.begin,
                **self._who,
                user_since=self._user_since,
                token=word,
                key=self._key(),
                now=self._now(),
            )
            return await self._until_open(order)
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # where the hub ends everything is cancelled at once: that shows one turn later
            if not self._is_hub_ending():
                await self.stop()  # after what was being written: the ledger's writes are one after the other
            raise

    async def _until_open(self, order: Order) -> str:
        loop = asyncio.get_running_loop()
        until = loop.time() + SHOWN_SECONDS
        while not order_service.is_open(order) and loop.time() < until:
            if not order_service.is_wanted(order):
                raise StartFailed(ending(order), next_step="Look at what has come of it, or ask again.")
            await asyncio.sleep(LOOK_SECONDS)
            try:
                order = await self._ledger.aread(orders.get, order.id)
            except LedgerError:
                log.warning("a paid order cannot be looked at just now; it is waited for")
        return self.url

    async def stop(self) -> None:
        """SpawnRequest its end. Never raises: what cannot be written now is written as soon as it can."""
        try:
            await self._wish_end()
        except Exception:
            log.exception("the wish to stop a paid instance of %s is not written yet", self._who["user_name"])
            self._in_background(self._insist())

    async def _wish_end(self) -> None:
        await self._ledger.awrite(order_service.end, **self._who, by=HUB, now=self._now())

    async def _insist(self) -> None:
        while True:
            await asyncio.sleep(INSIST_SECONDS)  # the ledger cannot tell us that it is back
            try:
                return await self._wish_end()
            except FreepoolError as error:
                log.warning("the wish to stop a paid instance is still not written: %s", error.message)

    async def poll(self) -> int | None:
        """0 when the ledger says that it is over; else None, also when that cannot be read.

        Nobody's use of it passes JupyterHub's proxy. So that no culler of idle servers ends what its owner pays for,
        it counts as active as long as it is there: what nobody uses, the cloud's own culler stops.
        """
        try:
            order = await self._mine()
        except Exception:
            log.exception("poll of a paid instance: unknown")
            return None
        if order_service.is_over(order):
            return 0
        self._note_activity()
        return None

    async def _mine(self) -> Order | None:
        order = await self._ledger.aread(orders.of_server, **self._who)
        return order if order is not None and order.user_since == self._user_since else None

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """The lines of this start from the first one on, for every tab that asks."""
        told: list[Line] = []
        while True:
            order = await self._mine()
            if order is not None and (told or not order_service.is_over(order)):
                found = lines(await self._ledger.aread(order_service.read_progress, order.id))
                for line in found:
                    if line not in told:
                        told.append(line)
                        percent, template, words = line
                        yield {"progress": percent, "message": template.format(**words)}
                if found and found[-1][0] == 100:
                    return
            await asyncio.sleep(LOOK_SECONDS)
