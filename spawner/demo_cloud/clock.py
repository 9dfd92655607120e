"""The cloud's virtual clock, which can be stopped, advanced, or run faster than real time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

ISO = "%Y-%m-%dT%H:%M:%SZ"


class Clock:
    """Virtual time. `speed`: virtual seconds per real second; 0 stops the clock."""

    def __init__(
        self, start: datetime | None = None, *, speed: float = 1.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._monotonic = monotonic
        self._base = start or datetime.now(UTC)
        self._since = monotonic()
        self._speed = speed

    def now(self) -> datetime:
        """The time in the cloud."""
        return self._base + timedelta(seconds=(self._monotonic() - self._since) * self._speed)

    def advance(self, seconds: float) -> datetime:
        """Advance the clock and return the new time."""
        if seconds < 0:
            raise ValueError("time does not run backwards")
        self._base += timedelta(seconds=seconds)
        return self.now()

    @property
    def speed(self) -> float:
        """Virtual seconds per real second."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._base, self._since, self._speed = self.now(), self._monotonic(), speed


def iso(when: datetime) -> str:
    """Format a time as the cloud does, to the second."""
    return when.strftime(ISO)
