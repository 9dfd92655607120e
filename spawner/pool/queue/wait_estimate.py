"""Estimates a queued ticket's wait from the lengths of past sessions and the deadlines of running instances.

Pure. An estimate is a range with a nominal probability of 60 %; `calibrate` stretches it by how past estimates fared.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist

LOW, MIDDLE, HIGH = 0.2, 0.5, 0.8
PRIOR_SESSIONS = 8
"""Number of prior sessions, evenly spread up to the longest, that count beside the observed ones."""
EXACT_UP_TO = 12
"""Up to so many running instances the probability is exact; above, the normal distribution approximates it."""
STEPS = 12
"""Bisection steps below the last deadline: a precision of 4 s for four hours."""
MIN_PAST_WAITS = 8
"""The least number of past waits for a calibration."""


@dataclass(frozen=True)
class WaitEstimate:
    """An estimated wait, in seconds."""

    low: float
    middle: float
    high: float

    @property
    def centre(self) -> float:
        """The middle of the range, which the ledger keeps."""
        return (self.low + self.high) / 2


@dataclass(frozen=True)
class Running:
    """A running instance: seconds since its start, and seconds to its deadline."""

    age: float
    left: float


class SessionLengths:
    """The distribution of session lengths of one flavor. `seen` are past lengths, `longest` the limit, in seconds."""

    def __init__(self, seen: Iterable[float], longest: float) -> None:
        made_up = [longest * (number + 0.5) / PRIOR_SESSIONS for number in range(PRIOR_SESSIONS)]
        self._lengths = sorted([min(length, longest) for length in seen] + made_up)

    @property
    def mean(self) -> float:
        """Of a session's length, in seconds."""
        return sum(self._lengths) / len(self._lengths)

    def longer_than(self, seconds: float) -> int:
        """The number of sessions that were longer."""
        return len(self._lengths) - bisect_right(self._lengths, seconds)

    def chances_to_end(self, running: Sequence[Running]) -> Callable[[float], list[float]]:
        """Returns, of each running instance, the probability that it ends within so many seconds."""
        known = [(one.age, one.left, self.longer_than(one.age)) for one in running]
        lengths, count = self._lengths, len(self._lengths)

        def within(seconds: float) -> list[float]:
            # Of an instance longer than any observed session only its deadline is known.
            return [
                1.0
                if seconds >= left
                else 1 - (count - bisect_right(lengths, age + seconds)) / older
                if older
                else seconds / left
                for age, left, older in known
            ]

        return within


def estimate_wait(place: int, running: Sequence[Running], sessions: SessionLengths) -> WaitEstimate | None:
    """The wait at this place (from 1) in the queue. None where no running instance could end."""
    if not running:
        return None
    odds = _Odds(running, sessions)
    rounds, rest = divmod(place - 1, len(running))
    later = rounds * sessions.mean
    low, middle, high = (later + odds.time_until(rest + 1, chance) for chance in (LOW, MIDDLE, HIGH))
    if rounds:  # not less than the estimate of the place before: here the last place of the previous round
        before = (rounds - 1) * sessions.mean
        low, middle, high = (
            max(wait, before + odds.time_until(len(running), chance))
            for wait, chance in ((low, LOW), (middle, MIDDLE), (high, HIGH))
        )
    return WaitEstimate(low, middle, high)


def calibrate(wait: WaitEstimate, past: Sequence[tuple[float, float]]) -> WaitEstimate:
    """The range stretched by the errors of past estimates. `past` are (estimated centre, actual) in seconds.

    The estimated centre is the one before calibration: else a calibration would undo itself the next time.
    """
    ratios = sorted(actual / foretold for foretold, actual in past if foretold > 0)
    if len(ratios) < MIN_PAST_WAITS:
        return wait
    low, middle, high = (ratios[round(chance * (len(ratios) - 1))] for chance in (LOW, MIDDLE, HIGH))
    return WaitEstimate(wait.centre * low, wait.centre * middle, wait.centre * high)


class _Odds:
    """How many running instances will have ended by a time. Results are cached per time."""

    def __init__(self, running: Sequence[Running], sessions: SessionLengths) -> None:
        self._chances = sessions.chances_to_end(running)
        self._last = max(0.0, *(one.left for one in running))  # the steward may end one late
        self._ended: dict[float, Callable[[int], float]] = {}

    def time_until(self, number: int, chance: float) -> float:
        """The time by which `number` instances have ended with this probability."""
        low, high = 0.0, self._last
        for _ in range(STEPS):
            middle = (low + high) / 2
            if self._by(middle)(number) >= chance:
                high = middle
            else:
                low = middle
        return high

    def _by(self, within: float) -> Callable[[int], float]:
        """The probability that at least so many have ended within so many seconds."""
        if within not in self._ended:
            self._ended[within] = at_least(self._chances(within))
        return self._ended[within]


def at_least(chances: Sequence[float]) -> Callable[[int], float]:
    """Returns the probability that at least so many (from 0) of independent events happen."""
    if len(chances) > EXACT_UP_TO:
        mean = sum(chances)
        spread = math.sqrt(sum(chance * (1 - chance) for chance in chances))
        if spread == 0:
            return lambda number: float(mean >= number)
        by_chance = NormalDist(mean, spread)
        return lambda number: 1 - by_chance.cdf(number - 0.5) if number else 1.0
    happened = [1.0] + [0.0] * len(chances)
    for known, chance in enumerate(chances):
        for count in range(known + 1, 0, -1):
            happened[count] += (happened[count - 1] - happened[count]) * chance
        happened[0] *= 1 - chance
    tails = list(accumulate(reversed(happened)))[::-1]
    return tails.__getitem__
