"""Notices at once when a running instance has ended, whoever ended it, and lets JupyterHub clean up after it.

JupyterHub itself asks each spawner every few seconds. The pool's view wakes us sooner: the route is gone, and the desk
right, within milliseconds of the end.
"""

from __future__ import annotations

import logging
from typing import Protocol

from spawner.aio import TaskSet
from spawner.pool.backends.base import Phase, Slots
from spawner.pool.slot_view import SlotView

log = logging.getLogger("freepool.hub")


class WatchedSpawner(Protocol):
    """What we need of a running spawner."""

    slot_id: str | None

    async def poll_and_notify(self) -> int | None:
        """Look, and clean up if it is over."""
        ...


class ExitWatcher:
    """The spawners of this hub whose servers run."""

    def __init__(self, view: SlotView) -> None:
        self._view = view
        self._spawners: set[WatchedSpawner] = set()
        self._cleanups = TaskSet(_log_failed_cleanup)

    def add(self, spawner: WatchedSpawner) -> None:
        """Begin to look after a spawner."""
        self._spawners.add(spawner)

    def remove(self, spawner: WatchedSpawner) -> None:
        """Its server is being stopped by JupyterHub itself."""
        self._spawners.discard(spawner)

    async def run(self) -> None:
        """Look at every change of the pool."""
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
