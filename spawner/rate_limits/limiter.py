"""The buckets of one process, by address and by person."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from spawner.client_address import network_of
from spawner.errors import RateLimited
from spawner.rate_limits.buckets import MOST_KEYS, Buckets
from spawner.rate_limits.rules import FAILED, Kind
from spawner.rate_limits.texts import ADDRESS, NEXT, NEXT_ONE, PERSON
from spawner.rate_settings import Rate, RateLimits

EVERYBODY = ""
LOG_LINES = Rate(burst=10, per_minute=10)
"""Lines about refusals: a flood must not fill the log."""


class RateLimiter:
    """Counts requests. `now` is a monotonic clock in seconds."""

    def __init__(self, limits: RateLimits, *, now: Callable[[], float] = time.monotonic, most: int = MOST_KEYS) -> None:
        self._limits = limits
        self._now = now
        self._by_address = {kind: Buckets(getattr(limits, f"{kind}_by_address"), most=most) for kind in Kind}
        self._by_person = {kind: Buckets(getattr(limits, f"{kind}_by_person"), most=most) for kind in Kind}
        self._failed = Buckets(limits.failed_logins)
        self._lines = Buckets(LOG_LINES)

    def seconds_for_address(self, kind: Kind, address: str) -> int:
        """Count one request of an address. Returns 0, or the seconds after which to try again."""
        return self._take(self._by_address[kind], network_of(address))

    def seconds_for_person(self, kind: Kind, person: str) -> int:
        """The same for a person, by whatever names them in this process."""
        return self._take(self._by_person[kind], person)

    def require(self, kind: Kind, person: str) -> None:
        """Count one request of a person. Raises `RateLimited`."""
        seconds = self.seconds_for_person(kind, person)
        if seconds:
            raise too_many(kind, seconds, by_person=True)

    def may_log(self) -> bool:
        """Whether a refusal may have a line in the log."""
        return self._lines.take(EVERYBODY, self._now()) == 0

    def note_status(self, kind: Kind | None, address: str, status: int) -> None:
        """A request was answered with this HTTP status: a refused login costs its address more."""
        if kind is not Kind.LOGIN or status not in FAILED or not self._limits.enabled:
            return
        now = self._now()
        is_flood = self._failed.take(EVERYBODY, now) > 0
        more = self._limits.failed_login_costs - 1
        self._by_address[kind].charge(network_of(address), now, more, drain=is_flood)

    def _take(self, buckets: Buckets, key: str) -> int:
        return math.ceil(buckets.take(key, self._now())) if self._limits.enabled else 0


def too_many(kind: Kind, seconds: int, *, by_person: bool = False) -> RateLimited:
    """The refusal of a request."""
    texts = PERSON if by_person else ADDRESS
    return RateLimited(texts[kind], next_step=NEXT_ONE if seconds == 1 else NEXT, seconds=seconds)
