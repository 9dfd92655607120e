"""Token buckets, one for each key. Pure: the time is given. hub_config/proxy/buckets.js does the same in the proxy.

Not the library `limits`: it counts windows, has no debts for what turns out bad, and its memory has no bound.
"""

from __future__ import annotations

from collections import OrderedDict

from spawner.rate_settings import Rate

MOST_KEYS = 20_000
"""The most keys that are remembered: about 4 MB. Beyond it, keys that were idle longest are forgotten."""


class Buckets:
    """A bucket is full at first, and fills up again at the rate. Times are seconds of one monotonic clock."""

    def __init__(self, rate: Rate, *, most: int = MOST_KEYS) -> None:
        self._burst = float(rate.burst)
        self._per_second = rate.per_minute / 60
        self._most = most
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, key: str, now: float) -> float:
        """Take one token. Returns 0, or the seconds until there is one; then nothing is taken."""
        level = self._level(key, now)
        self._keep(key, level if level < 1 else level - 1, now)  # a key that is refused is not forgotten
        return (1 - level) / self._per_second if level < 1 else 0.0

    def charge(self, key: str, now: float, tokens: float, *, drain: bool = False) -> None:
        """Take what is due afterwards, at most down to minus one burst. `drain`: first take what is left."""
        level = self._level(key, now)
        if drain:
            level = min(level, 0.0)
        self._keep(key, max(level - tokens, -self._burst), now)

    def _level(self, key: str, now: float) -> float:
        level, at = self._levels.get(key, (self._burst, now))
        return min(self._burst, level + max(0.0, now - at) * self._per_second)

    def _keep(self, key: str, level: float, now: float) -> None:
        self._levels[key] = level, now
        self._levels.move_to_end(key)
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)
