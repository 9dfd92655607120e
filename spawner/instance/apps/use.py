"""Whether a request to an app is use by somebody, or a page that polls by itself. Pure.

A page that is left open asks at regular times: a heartbeat, a reload of curves. People do not. So what changes
something, or opens a page, is use, unless it comes at the same distance as the times before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from itertools import pairwise

from spawner.instance.apps.same_origin import READS, is_navigation

REMEMBERED = 3
"""Distances between requests that must be alike for a poll."""
TOLERANCE = 0.2
"""How far each may be from their mean, as a part of it."""
SHORTEST = 1.0
"""Seconds. Faster than this is one action with several requests, such as typing, and counts once."""
MOST = 1000
"""Of browsers and addresses that are remembered."""


def changes_something(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a request can be somebody's: it sends something, or opens a page."""
    return method not in (*READS, "OPTIONS") or is_navigation(headers)


class Uses:
    """Remembers when each browser asked for what."""

    def __init__(self) -> None:
        self._times: OrderedDict[int, list[float]] = OrderedDict()  # by a hash: an address may have 64 KiB

    def is_use(self, browser: str, what: str, now: float) -> bool:
        """Note a request. `now` is seconds of a clock that only grows."""
        key = hash((browser, what))
        times = self._times.pop(key, [])
        if not times or now - times[-1] >= SHORTEST:
            times = [*times[-REMEMBERED:], now]
        self._times[key] = times
        while len(self._times) > MOST:
            self._times.popitem(last=False)
        return not _is_regular(times)


def _is_regular(times: list[float]) -> bool:
    distances = [later - earlier for earlier, later in pairwise(times)]
    if len(distances) < REMEMBERED:
        return False
    mean = sum(distances) / len(distances)
    return all(abs(one - mean) <= TOLERANCE * mean for one in distances)
