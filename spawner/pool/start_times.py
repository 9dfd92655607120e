"""Where the time of one start goes, part by part."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

PARTS = ("hub", "admission", "slot", "ready", "ledger", "claim", "server")
"""In order. `hub`: JupyterHub's work before it calls the pool. `admission` writes the intent. `slot` reserves one.
`ready` waits until it takes its claim; a new one is created meanwhile. `claim` pushes the claim. `server` waits for the
server's first answer. `ledger`: the other writes."""


class StartTimes:
    """Adds up the seconds of each part. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self._seconds = dict.fromkeys(PARTS, 0.0)

    def spent_before(self, seconds: float) -> None:
        """What JupyterHub took before the pool was called."""
        self._seconds["hub"] += seconds

    def end(self, part: str) -> None:
        """The part is over: the time since the last end is its."""
        now = self._clock()
        self._seconds[part] += now - self._last
        self._last = now

    @property
    def seconds(self) -> Mapping[str, float]:
        """By part, in their order."""
        return dict(self._seconds)

    def __str__(self) -> str:
        """`164 ms: hub 40, admission 12, …`, in milliseconds."""
        parts = ", ".join(f"{part} {seconds * 1000:.0f}" for part, seconds in self._seconds.items())
        return f"{sum(self._seconds.values()) * 1000:.0f} ms: {parts}"


def parse(text: str) -> Mapping[str, float]:
    """Seconds by part, of a text that `StartTimes` made, which may end a line of a log."""
    _, _, parts = text.rpartition(" ms: ")
    return {part: int(number) / 1000 for part, number in (one.split() for one in parts.split("[")[0].split(", "))}
