"""A paid named server: JupyterHub's verbs as rows of the ledger. The steward acts on the rows; the hub calls no cloud.

The ledger holds the state, so nothing is lost where JupyterHub loses its own record of the server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from spawner.errors import FreepoolError, LedgerError, NoConsent, NotOffered, StartFailed
from spawner.ledger import Ledger
from spawner.ledger.paid import orders
from spawner.ledger.paid.rows import Order
from spawner.paid.orders import service as order_service
from spawner.paid.orders.progress import Line, ending, lines

log = logging.getLogger("freepool.hub")
START_WAIT_SECONDS = 120
"""How long a start waits for the instance: well below JupyterHub's own limit. The desk's page shows the rest."""
POLL_SECONDS = 0.4
"""Between reads of an order: the steward is another process, and SQLite has no notifications."""
RETRY_SECONDS = 2.0
HUB = "hub"


@dataclass(frozen=True)
class PaidServerKey:
    """Which server of which person."""

    person_id: str
    server_name: str


@dataclass(frozen=True)
class HubServices:
    """What a paid server uses of its hub.

    `url` is the desk's: its gate lets the owner in. `signing_key` returns the key that one-time start tokens are signed
    with. `in_background` starts a task that the hub keeps.
    """

    url: str
    signing_key: Callable[[], str]
    is_offered: bool
    now: Callable[[], datetime]
    is_ending: Callable[[], bool]
    in_background: Callable[[Coroutine[Any, Any, None]], object]
    note_activity: Callable[[], None]


class PaidServer:
    """One user's `paid-…` server."""

    def __init__(self, ledger: Ledger, key: PaidServerKey, hub: HubServices) -> None:
        self._ledger = ledger
        self._key = key
        self._hub = hub
        self._server = {"person_id": key.person_id, "server_name": key.server_name}

    @property
    def url(self) -> str:
        """The desk's URL, without the server's path."""
        return self._hub.url

    async def start(self, *, by_owner: bool, token: object) -> str:
        """Spend the user's consent and wait up to `START_WAIT_SECONDS` for the instance. Returns the gate's URL.

        `token` is the one-time start token. Raises `Refusal`.
        """
        if not self._hub.is_offered:
            raise NotOffered("Paid notebooks are not available here.")
        if not by_owner:
            raise NoConsent(
                "Only the owner can start a paid notebook.", next_step="The owner starts it on the home page."
            )
        token = token if isinstance(token, str) else ""
        try:
            order = await self._ledger.awrite(
                order_service.begin,
                **self._server,
                token=token,
                key=self._hub.signing_key(),
                now=self._hub.now(),
            )
            return await self._until_open(order)
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # Yield once so that hub shutdown is visible.
            if not self._hub.is_ending():
                await self.stop()  # The ledger serializes writes, so this follows the one that was cancelled.
            raise

    async def _until_open(self, order: Order) -> str:
        loop = asyncio.get_running_loop()
        until = loop.time() + START_WAIT_SECONDS
        while not order_service.is_open(order) and loop.time() < until:
            if not order_service.is_wanted(order):
                raise StartFailed(ending(order), next_step="Check its status, or start over.")
            await asyncio.sleep(POLL_SECONDS)
            try:
                order = await self._ledger.aread(orders.get, order.id)
            except LedgerError:
                log.warning("a paid order cannot be read; trying again")
        return self.url

    async def stop(self) -> None:
        """Write the request to stop it. Never raises: a failed write is retried in the background."""
        try:
            await self._request_end()
        except Exception:
            log.exception("the stop request for a paid instance of %s is not written yet", self._key.person_id)
            self._hub.in_background(self._retry_end())

    async def _request_end(self) -> None:
        await self._ledger.awrite(order_service.end, **self._server, by=HUB, now=self._hub.now())

    async def _retry_end(self) -> None:
        while True:
            await asyncio.sleep(RETRY_SECONDS)  # The ledger has no event for its return.
            try:
                return await self._request_end()
            except FreepoolError as error:
                log.warning("the stop request for a paid instance is still not written: %s", error.message)

    async def poll(self) -> int | None:
        """0 where the ledger says that the instance has ended; else None, also where the ledger cannot be read.

        Traffic to a paid instance does not pass JupyterHub's proxy. So each poll notes activity: else an idle culler
        of the hub would stop it. The cloud's own idle timer stops unused instances.
        """
        try:
            order = await self._order()
        except Exception:
            log.exception("a paid instance cannot be polled; its state is unknown")
            return None
        if order_service.is_over(order):
            return 0
        self._hub.note_activity()
        return None

    async def _order(self) -> Order | None:
        return await self._ledger.aread(orders.of_server, **self._server)

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """The progress events of this start, from the first, for each caller."""
        sent: list[Line] = []
        while True:
            order = await self._order()
            if order is not None and (sent or not order_service.is_over(order)):
                current = lines(await self._ledger.aread(order_service.read_progress, order.id))
                for line in current:
                    if line not in sent:
                        sent.append(line)
                        percent, template, words = line
                        yield {"progress": percent, "message": template.format(**words)}
                if current and current[-1][0] == 100:
                    return
            await asyncio.sleep(POLL_SECONDS)
