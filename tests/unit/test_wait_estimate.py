"""Wait estimates are ranges that hold as often as promised; without data there is none."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.pool.queue.wait_estimate import (
    EXACT_UP_TO,
    MIN_PAST_WAITS,
    Running,
    SessionLengths,
    WaitEstimate,
    at_least,
    calibrate,
    estimate_wait,
)
from tests.unit.make import quick

HOUR = 3600.0
LONGEST = 4 * HOUR


def fresh(count: int) -> list[Running]:
    return [Running(age=0, left=LONGEST)] * count


lengths = st.lists(st.floats(0, 2 * LONGEST), max_size=30)
ages = st.floats(0, LONGEST + 60)  # the steward may be a little late
running_ones = st.lists(ages.map(lambda age: Running(age=age, left=LONGEST - age)), min_size=1, max_size=20)


def test_without_running_instances_there_is_no_estimate() -> None:
    assert estimate_wait(1, [], SessionLengths([], LONGEST)) is None


def test_no_estimate_exceeds_the_last_deadline() -> None:
    running = [Running(age=3 * HOUR, left=HOUR), Running(age=0, left=LONGEST)]
    for place in (1, 2):
        wait = estimate_wait(place, running, SessionLengths([LONGEST] * 50, LONGEST))
        assert wait is not None
        assert wait.high <= LONGEST


def test_an_instance_near_its_deadline_makes_a_short_wait() -> None:
    wait = estimate_wait(1, [Running(age=LONGEST - 10, left=10), *fresh(3)], SessionLengths([LONGEST] * 50, LONGEST))
    assert wait is not None
    assert wait.high < 11


def test_an_instance_past_its_deadline_makes_a_wait_of_zero() -> None:
    assert estimate_wait(1, [Running(age=LONGEST + 5, left=-5)], SessionLengths([], LONGEST)) == WaitEstimate(0, 0, 0)


def test_short_sessions_make_a_short_wait() -> None:
    short, long = (estimate_wait(1, fresh(4), SessionLengths([minutes * 60.0] * 100, LONGEST)) for minutes in (10, 200))
    assert short is not None
    assert long is not None
    assert short.middle < 15 * 60 < long.middle


def test_for_a_session_longer_than_all_others_only_the_deadline_counts() -> None:
    sessions = SessionLengths([60.0] * 50, LONGEST)
    old = Running(age=LONGEST * 0.99, left=LONGEST * 0.01)
    assert sessions.chances_to_end([old])(old.left)[0] == 1
    assert sessions.chances_to_end([old])(0)[0] == 0
    assert 0 < sessions.chances_to_end([old])(old.left / 2)[0] < 1


@quick
@given(lengths, ages, st.floats(0, LONGEST), st.floats(0, LONGEST))
def test_probabilities_are_valid_and_grow_with_time(seen: list[float], age: float, one: float, other: float) -> None:
    sessions, running = SessionLengths(seen, LONGEST), Running(age=age, left=LONGEST - age)
    sooner, later = (sessions.chances_to_end([running])(within)[0] for within in sorted((one, other)))
    assert 0 <= sooner <= later <= 1


def tails(chances: list[float]) -> list[float]:
    chance = at_least(chances)
    return [chance(number) for number in range(len(chances) + 1)]


@quick
@given(st.lists(st.floats(0, 1), max_size=8))
def test_probabilities_of_several_match_all_combinations(chances: list[float]) -> None:
    by_hand = [0.0] * (len(chances) + 1)
    for outcome in product((0, 1), repeat=len(chances)):
        chance = math.prod(
            chance_of_one if ended else 1 - chance_of_one for chance_of_one, ended in zip(chances, outcome, strict=True)
        )
        for number in range(sum(outcome) + 1):
            by_hand[number] += chance
    assert tails(chances) == pytest.approx(by_hand, abs=1e-9)


def test_the_approximation_is_near_the_exact_probabilities() -> None:
    for chance in (0.1, 0.5, 0.9):
        number = EXACT_UP_TO + 8
        exact = [
            sum(math.comb(number, k) * chance**k * (1 - chance) ** (number - k) for k in range(least, number + 1))
            for least in range(number + 1)
        ]
        assert tails([chance] * number) == pytest.approx(exact, abs=0.04)
    assert tails([1.0] * 20) == [1.0] * 21
    assert tails([0.0] * 20) == [1.0] + [0.0] * 20


@quick
@given(lengths, running_ones, st.integers(1, 100))
def test_a_range_is_in_order_and_finite(seen: list[float], running: list[Running], place: int) -> None:
    wait = estimate_wait(place, running, SessionLengths(seen, LONGEST))
    assert wait is not None
    assert 0 <= wait.low <= wait.middle <= wait.high < math.inf


@quick
@given(lengths, running_ones)
def test_a_later_place_never_has_a_shorter_estimate(seen: list[float], running: list[Running]) -> None:
    sessions = SessionLengths(seen, LONGEST)
    waits = [estimate_wait(place, running, sessions) for place in range(1, 3 * len(running) + 2)]
    for before, after in pairwise(waits):
        assert before is not None
        assert after is not None
        assert before.low <= after.low
        assert before.middle <= after.middle
        assert before.high <= after.high


# Calibration

ESTIMATE = WaitEstimate(60, 100, 180)
"""The middle of this range is 120."""


def test_few_past_waits_do_not_calibrate() -> None:
    assert calibrate(ESTIMATE, [(100, 1000)] * (MIN_PAST_WAITS - 1)) == ESTIMATE
    assert calibrate(ESTIMATE, [(0, 1000)] * 100) == ESTIMATE


def test_right_estimates_are_not_stretched() -> None:
    assert calibrate(ESTIMATE, [(100, 100)] * 20) == WaitEstimate(120, 120, 120)


def test_waits_of_twice_the_estimate_double_the_estimate() -> None:
    assert calibrate(ESTIMATE, [(100, 200)] * 20) == WaitEstimate(240, 240, 240)


def test_larger_past_errors_widen_the_range() -> None:
    good = calibrate(ESTIMATE, [(100, 100 + 2 * number) for number in range(-10, 11)])
    bad = calibrate(ESTIMATE, [(100, 100 + 9 * number) for number in range(-10, 11)])
    assert good.middle == bad.middle == 120
    assert bad.low < good.low < good.middle < good.high < bad.high


@quick
@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), max_size=40))
def test_calibration_keeps_the_range_in_order(past: list[tuple[float, float]]) -> None:
    wait = calibrate(ESTIMATE, past)
    assert 0 <= wait.low <= wait.middle <= wait.high


# Simulation: a full pool, sessions of known lengths, and users who arrive at random


@dataclass(frozen=True)
class EstimatedWait:
    """A user's estimate on arrival and the real wait."""

    wait: WaitEstimate
    actual: float

    @property
    def holds(self) -> bool:
        return self.wait.low <= self.actual <= self.wait.high


@dataclass
class Pool:
    """`length` draws a session's length, `size` sessions run at once. Past waits calibrate the estimates."""

    length: Callable[[], float]
    size: int
    now: float = 0.0
    line: list[tuple[float, WaitEstimate | None, float]] = field(default_factory=list)
    running: list[tuple[float, float]] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)
    past: list[tuple[float, float]] = field(default_factory=list)
    waits: list[EstimatedWait] = field(default_factory=list)

    def come(self, at: float) -> None:
        """A user arrives and gets the pool's estimate."""
        self._until(at)
        running = [Running(age=at - began, left=began + LONGEST - at) for _, began in self.running]
        raw = None
        if len(self.running) == self.size:
            raw = estimate_wait(len(self.line) + 1, running, SessionLengths(self.seen[-200:], LONGEST))
        wait = None if raw is None else calibrate(raw, self.past[-200:])
        self.line.append((at, wait, 0.0 if raw is None else raw.centre))
        self._fill()

    def _until(self, at: float) -> None:
        while self.running and self.running[0][0] <= at:
            self.now, began = heapq.heappop(self.running)
            self.seen.append(self.now - began)
            self._fill()
        self.now = at

    def _fill(self) -> None:
        while self.line and len(self.running) < self.size:
            came, wait, raw = self.line.pop(0)
            if wait is not None:
                self.waits.append(EstimatedWait(wait, self.now - came))
                self.past.append((raw, self.now - came))
            heapq.heappush(self.running, (self.now + min(self.length(), LONGEST), self.now))


def memoryless(dice: random.Random) -> float:
    """Most leave soon."""
    return dice.expovariate(1 / HOUR)


def in_classes(dice: random.Random) -> float:
    """Short visits, or whole lessons."""
    return dice.gauss(1.5 * HOUR, 600) if dice.random() < 0.5 else dice.uniform(60, 900)


def to_the_end(dice: random.Random) -> float:
    """Most stay until the deadline."""
    return LONGEST if dice.random() < 0.7 else dice.uniform(600, LONGEST)


@pytest.mark.parametrize("length", [memoryless, in_classes, to_the_end], ids=lambda one: one.__name__)
@pytest.mark.parametrize("size", [2, 5, 20])
def test_estimates_hold_about_as_often_as_promised(
    length: Callable[[random.Random], float], size: int, record_property: Callable[[str, object], None]
) -> None:
    """Ranges should hold in three of five cases. Arrivals match departures, so queues of all lengths occur."""
    dice = random.Random(f"{length.__name__} {size}")
    mean = sum(length(dice) for _ in range(1000)) / 1000
    pool = Pool(lambda: length(dice), size)
    at = 0.0
    for _ in range(500):
        at += dice.expovariate(0.98 * size / mean)
        pool.come(at)
    later = pool.waits[len(pool.waits) // 4 :]
    coverage = sum(estimate.holds for estimate in later) / len(later)
    record_property("coverage", coverage)
    print(f"{length.__name__}, {size} at once: {coverage:.0%} of {len(later)} waits were within their estimate")
    assert 0.4 <= coverage <= 0.85
