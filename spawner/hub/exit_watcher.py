"""Has JupyterHub clean up as soon as a running instance has ended.

The pool's view shows an end within milliseconds. What it does not show, such as an end that only the ledger knows, is
found by one look at all of them every few seconds. JupyterHub would poll each server by itself: 200 a second of 2,000.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Protocol

from spawner.aio import TaskSet
from spawner.errors import BackendUnavailable, LedgerError
from spawner.pool.backends.base import Phase, Slots, SlotStatus
from spawner.pool.slot_view import SlotView

log = logging.getLogger("freepool.hub")
LOOK_SECONDS = 10.0


class WatchedSpawner(Protocol):
    """The part of a running spawner that is used here."""

    slot_id: str | None

    @property
    def server_key(self) -> tuple[str, str]:
        """Person and server name, as far as known: an unknown person's id is empty."""
        ...

    async def poll_and_notify(self) -> int | None:
        """Poll, and clean up if the server has ended."""
        ...


class ExitWatcher:
    """The spawners of this hub whose servers run. Each is watched until JupyterHub stops it."""

    def __init__(self, view: SlotView) -> None:
        self._view = view
        self._spawners: set[WatchedSpawner] = set()
        self._polled: set[WatchedSpawner] = set()
        self._polls = TaskSet(_log_failed_cleanup)

    def add(self, spawner: WatchedSpawner) -> None:
        """Watch a spawner's instance."""
        self._spawners.add(spawner)

    def remove(self, spawner: WatchedSpawner) -> None:
        """Stop watching: JupyterHub itself is stopping the server."""
        self._spawners.discard(spawner)

    async def run(self) -> None:
        """Check the watched spawners at every change of the pool, until cancelled."""
        while True:
            self._poll(self._without_slot(await self._view.changed()))

    async def look_at_all(self, running: Callable[[], Awaitable[Collection[tuple[str, str]]]]) -> None:
        """Poll the servers that are not `running` by the ledger, or have no slot, every `LOOK_SECONDS`, until
        cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)  # ends that are only in the ledger are rare, and have no event
            try:
                keys = await running()
                self._poll([one for one in self._spawners if one.server_key not in keys])
                self._poll(self._without_slot(await self._view.now()))
            except (LedgerError, BackendUnavailable) as error:
                log.warning("ended servers cannot be looked for: %s", error)

    def _without_slot(self, found: Slots) -> list[WatchedSpawner]:
        return [one for one in self._spawners if one.slot_id is not None and _is_gone(found.get(one.slot_id))]

    def _poll(self, spawners: Iterable[WatchedSpawner]) -> None:
        """Poll each, and not twice at a time. One whose state is unknown stays watched."""
        for spawner in spawners:
            if spawner not in self._polled:
                self._polled.add(spawner)
                self._polls.start(self._poll_one(spawner))

    async def _poll_one(self, spawner: WatchedSpawner) -> None:
        try:
            await spawner.poll_and_notify()
        finally:
            self._polled.discard(spawner)


def _is_gone(status: SlotStatus | None) -> bool:
    return status is None or status.phase is Phase.DEAD


def _log_failed_cleanup(subject: str, error: BaseException) -> None:  # noqa: ARG001
    log.error("the cleanup after an ended instance failed", exc_info=error)
