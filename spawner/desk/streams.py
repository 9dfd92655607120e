"""Limits how many streams one user has open: a request that never ends is counted once, and costs again and again."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from spawner.rate_limits.limiter import too_many
from spawner.rate_limits.rules import Kind

MOST = 100
"""Of one person, in all tabs and notebooks together. A notebook server has one for each of its languages."""
WAIT_SECONDS = 60


class Streams:
    """The open streams of one process."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    @contextlib.contextmanager
    def place(self, person_id: str) -> Iterator[None]:
        """One stream of a person, while the block runs. Raises `RateLimited`."""
        if self._open[person_id] >= self._most:
            raise too_many(Kind.API, WAIT_SECONDS, by_person=True)
        self._open[person_id] += 1
        try:
            yield
        finally:
            self._open[person_id] -= 1
            if not self._open[person_id]:
                del self._open[person_id]
