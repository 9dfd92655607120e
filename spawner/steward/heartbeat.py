"""Files in the state folder by which a probe sees that the steward works: it serves no port."""

from __future__ import annotations

from pathlib import Path

READY = "steward.ready"
"""There since the first round that saw ledger and backend."""
ALIVE = "steward.alive"
"""Touched after each round, also after one that the backend or the database did not let finish: a restart helps
neither."""


class Heartbeat:
    """The two files of one steward."""

    def __init__(self, folder: Path) -> None:
        self._ready, self._alive = folder / READY, folder / ALIVE
        self.is_ready = False
        self._ready.unlink(missing_ok=True)  # an earlier steward's, where the folder outlives it

    def ready(self) -> None:
        """A round has seen ledger and backend."""
        self.is_ready = True
        self._ready.touch()

    def beat(self) -> None:
        """A round is over."""
        self._alive.touch()
