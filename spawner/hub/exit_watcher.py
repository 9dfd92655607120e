"""Has JupyterHub clean up as soon as a running instance has ended.

JupyterHub itself polls each spawner every few seconds. The pool's view shows an end within milliseconds.
"""

from __future__ import annotations

import logging
from typing import Protocol

from spawner.aio import TaskSet
from spawner.pool.backends.base import Phase, Slots
from spawner.pool.slot_view import SlotView

log = logging.getLogger("freepool.hub")


class WatchedSpawner(Protocol):
    """The part of a running spawner that is used here."""

    slot_id: str | None

    async def poll_and_notify(self) -> int | None:
        """Poll, and clean up if the server has ended."""
        ...


class ExitWatcher:
    """The spawners of this hub whose servers run."""

    def __init__(self, view: SlotView) -> None:
        self._view = view
        self._spawners: set[WatchedSpawner] = set()
        self._cleanups = TaskSet(_log_failed_cleanup)

    def add(self, spawner: WatchedSpawner) -> None:
        """Watch a spawner's instance."""
        self._spawners.add(spawner)

    def remove(self, spawner: WatchedSpawner) -> None:
        """Stop watching: JupyterHub itself is stopping the server."""
        self._spawners.discard(spawner)

    async def run(self) -> None:
        """Check the watched spawners at every change of the pool, until cancelled."""
        while True:
            self._look(await self._view.changed())

    def _look(self, found: Slots) -> None:
        for spawner in list(self._spawners):
            status = found.get(spawner.slot_id or "")
            if spawner.slot_id is not None and (status is None or status.phase is Phase.DEAD):
                self._spawners.discard(spawner)
                self._cleanups.start(spawner.poll_and_notify())


def _log_failed_cleanup(subject: str, error: BaseException) -> None:  # noqa: ARG001
    log.error("the cleanup after an ended instance failed", exc_info=error)
