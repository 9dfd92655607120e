"""How long somebody in line will wait: from when instances have ended so far, and from the deadlines of those that run.

Pure. A foretold wait is a range that holds in three of five cases by its own reckoning; `calibrated` then stretches it
to what past ranges were worth.
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
"""How many made-up sessions, evenly spread up to the longest, count beside those that were seen."""
EXACT_UP_TO = 12
"""Up to so many running instances the chance is reckoned exactly, above by the normal distribution."""
STEPS = 12
"""Halvings from the last deadline down: of four hours that is 4 s."""
MIN_PAST_WAITS = 8
"""Fewer past waits than this say nothing about how good the foretelling is."""


@dataclass(frozen=True)
class WaitEstimate:
    """A foretold wait: seconds."""

    low: float
    middle: float
    high: float

    @property
    def centre(self) -> float:
        """Half-way between its ends: what is kept of it."""
        return (self.low + self.high) / 2


@dataclass(frozen=True)
class Running:
    """An instance that holds a place: seconds that it runs already, and seconds to its deadline."""

    age: float
    left: float


class SessionLengths:
    """How long sessions of one flavor last. `seen` are lengths of past ones, `longest` the limit, in seconds."""

    def __init__(self, seen: Iterable[float], longest: float) -> None:
        made_up = [longest * (number + 0.5) / PRIOR_SESSIONS for number in range(PRIOR_SESSIONS)]
        self._lengths = sorted([min(length, longest) for length in seen] + made_up)

    @property
    def mean(self) -> float:
        """Of one session."""
        return sum(self._lengths) / len(self._lengths)

    def chance_to_end(self, running: Running, within: float) -> float:
        """That a running one is over within so many seconds."""
        if within >= running.left:
            return 1.0
        older = len(self._lengths) - bisect_right(self._lengths, running.age)
        if not older:  # it runs for longer than any before it: all that is known is its deadline
            return within / running.left
        return 1 - (len(self._lengths) - bisect_right(self._lengths, running.age + within)) / older


def estimate_wait(place: int, running: Sequence[Running], sessions: SessionLengths) -> WaitEstimate | None:
    """The wait of whoever has this place (from 1) in line. None where nothing runs whose end could be waited for."""
    if not running:
        return None
    odds = _Odds(running, sessions)
    rounds, rest = divmod(place - 1, len(running))
    later = rounds * sessions.mean
    low, middle, high = (later + odds.time_until(rest + 1, chance) for chance in (LOW, MIDDLE, HIGH))
    if rounds:  # nobody is told less than whoever stands before them: here the last one of the round before
        before = (rounds - 1) * sessions.mean
        low, middle, high = (
            max(wait, before + odds.time_until(len(running), chance))
            for wait, chance in ((low, LOW), (middle, MIDDLE), (high, HIGH))
        )
    return WaitEstimate(low, middle, high)


def calibrate(wait: WaitEstimate, past: Sequence[tuple[float, float]]) -> WaitEstimate:
    """Stretched to how far off past waits were. `past` are (centre as foretold, actual) in seconds.

    As foretold means before it was stretched, or what was learned once would be forgotten at the next look.
    """
    ratios = sorted(actual / foretold for foretold, actual in past if foretold > 0)
    if len(ratios) < MIN_PAST_WAITS:
        return wait
    low, middle, high = (ratios[round(chance * (len(ratios) - 1))] for chance in (LOW, MIDDLE, HIGH))
    return WaitEstimate(wait.centre * low, wait.centre * middle, wait.centre * high)


class _Odds:
    """How many of those that run will have ended by when. Each time is reckoned once: all questions share them."""

    def __init__(self, running: Sequence[Running], sessions: SessionLengths) -> None:
        self._running = running
        self._sessions = sessions
        self._last = max(0.0, *(one.left for one in running))  # the steward may be late to end one
        self._ended: dict[float, Callable[[int], float]] = {}

    def time_until(self, number: int, chance: float) -> float:
        """The time by which `number` of them have ended with this chance."""
        low, high = 0.0, self._last
        for _ in range(STEPS):
            middle = (low + high) / 2
            if self._by(middle)(number) >= chance:
                high = middle
            else:
                low = middle
        return high

    def _by(self, within: float) -> Callable[[int], float]:
        """The chance that at least so many have ended within so many seconds."""
        if within not in self._ended:
            self._ended[within] = at_least([self._sessions.chance_to_end(one, within) for one in self._running])
        return self._ended[within]


def at_least(chances: Sequence[float]) -> Callable[[int], float]:
    """The chance that at least so many, from 0, of independent events happen."""
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
