"""The target of warm slots follows demand between floor and ceiling, and serves better than a fixed number."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.pool.warm.sizing import (
    DEFAULT_LEAD,
    LONGEST_LEAD,
    LOOKBACK_SECONDS,
    NORMAL_FROM,
    SHORTEST_LEAD,
    TARGET_SHARE,
    arrival_rate,
    lead_time,
    slots_to_keep,
)
from tests.bench.warm import (
    HOUR,
    MINUTE,
    SEEDS,
    Day,
    Outcome,
    Planned,
    Policy,
    Pool,
    Site,
    days,
    fixed,
    idle_hours,
    live,
    ours,
    served_warm,
)
from tests.unit.make import quick

ages = st.floats(0, 2 * LOOKBACK_SECONDS)
arrivals = st.lists(ages, max_size=80)
leads = st.floats(0, 2 * LONGEST_LEAD)
numbers = st.integers(0, 30)


def wanted(arrivals: list[float], *, lead: float = 8, floor: int = 0, ceiling: int = 1000, planned: int = 0) -> int:
    return slots_to_keep(arrivals, lead=lead, floor=floor, ceiling=ceiling, planned=planned)


def every(seconds: float, *, since: float = LOOKBACK_SECONDS) -> list[float]:
    return [number * seconds for number in range(1, int(since / seconds) + 1)]


def later(arrivals: list[float], seconds: float) -> list[float]:
    return [age + seconds for age in arrivals]


@pytest.mark.parametrize("floor", [0, 1, 7])
def test_without_requests_the_target_is_the_floor(floor: int) -> None:
    assert wanted([], floor=floor) == floor


def test_a_single_request_changes_nothing() -> None:
    assert wanted([0.0]) == 0


def test_a_few_requests_an_hour_need_one_warm_slot() -> None:
    assert wanted(every(300)) == 1


def test_a_higher_rate_raises_the_target() -> None:
    assert [wanted(every(seconds)) for seconds in (300, 60, 10, 3, 1)] == [1, 2, 3, 6, 14]


def test_a_longer_lead_time_raises_the_target() -> None:
    assert [wanted(every(10), lead=lead) for lead in (1, 5, 20, 60, 300)] == [2, 3, 5, 10, 37]


def test_a_burst_is_met_within_seconds() -> None:
    calm = every(300)
    assert wanted(calm) == 1
    assert wanted([*calm, *[1.0] * 10]) >= 5


def test_the_larger_of_short_and_long_demand_sets_the_target() -> None:
    busy = every(30)
    assert arrival_rate([*busy, *[1.0] * 10]) > 3 * arrival_rate(busy)
    assert arrival_rate(later(busy, 60)) == pytest.approx(arrival_rate(busy), rel=0.1)


@pytest.mark.parametrize(("floor", "ceiling", "planned", "expected"), [(0, 5, 0, 5), (0, 5, 9, 9), (7, 5, 0, 7)])
def test_demand_stops_at_the_ceiling_but_administrators_may_exceed_it(
    floor: int, ceiling: int, planned: int, expected: int
) -> None:
    assert wanted(every(1), floor=floor, ceiling=ceiling, planned=planned) == expected


def test_a_plan_is_not_added_to_demand() -> None:
    assert wanted(every(1), planned=3) == wanted(every(1))


@pytest.mark.parametrize("mean", [0.02, 0.5, 2.7, 20.0, NORMAL_FROM - 1, NORMAL_FROM + 1, 10 * NORMAL_FROM])
def test_the_target_is_one_more_than_a_high_quantile_of_requests_in_one_lead_time(mean: float) -> None:
    number = wanted(every(60), lead=mean / arrival_rate(every(60)), ceiling=10_000) - 1
    slack = 0.003 if mean > NORMAL_FROM else 0  # the normal distribution is not quite Poisson's
    assert _chance_of_at_most(number, mean) >= TARGET_SHARE - slack
    assert _chance_of_at_most(number - 1, mean) < TARGET_SHARE + slack


def _chance_of_at_most(number: int, mean: float) -> float:
    return math.fsum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(number + 1))


@quick
@given(arrivals, leads, numbers, numbers, numbers)
def test_the_target_is_never_below_the_floor_nor_above_what_is_allowed(
    arrivals: list[float], lead: float, floor: int, above: int, planned: int
) -> None:
    number = slots_to_keep(arrivals, lead=lead, floor=floor, ceiling=floor + above, planned=planned)
    assert max(floor, planned) <= number <= max(floor + above, planned)


@quick
@given(arrivals, ages, leads)
def test_a_further_request_never_lowers_the_target(arrivals: list[float], one: float, lead: float) -> None:
    assert wanted([*arrivals, one], lead=lead) >= wanted(arrivals, lead=lead)


@quick
@given(arrivals, leads, leads)
def test_a_longer_lead_time_never_lowers_the_target(arrivals: list[float], one: float, other: float) -> None:
    assert wanted(arrivals, lead=min(one, other)) <= wanted(arrivals, lead=max(one, other))


@quick
@given(arrivals, st.floats(0, LOOKBACK_SECONDS), leads)
def test_without_requests_the_target_only_falls(arrivals: list[float], seconds: float, lead: float) -> None:
    assert wanted(later(arrivals, seconds), lead=lead) <= wanted(arrivals, lead=lead)


@quick
@given(arrivals, leads, numbers)
def test_a_quarter_of_an_hour_after_the_last_request_the_target_is_the_floor(
    arrivals: list[float], lead: float, floor: int
) -> None:
    assert wanted(later(arrivals, LOOKBACK_SECONDS + 1), lead=lead, floor=floor) == floor


@quick
@given(st.permutations(every(40)))
def test_the_order_of_arrivals_does_not_matter(arrivals: list[float]) -> None:
    assert wanted(arrivals) == wanted(every(40))


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], DEFAULT_LEAD),
        ([3.0, 90.0, 5.0], 5.0),
        ([4.0, 6.0], 5.0),
        ([0.01], SHORTEST_LEAD),
        ([5000.0], LONGEST_LEAD),
    ],
)
def test_the_lead_time_is_the_middle_of_those_seen_within_reason(spans: list[float], expected: float) -> None:
    assert lead_time(spans) == expected


MORNING = 2 * HOUR


def lectures(plan: Planned | None = None) -> list[Day]:
    """Two hours, with sixty requests within three minutes after the first hour."""
    found = []
    for seed in SEEDS:
        dice = random.Random(seed)
        people = [dice.uniform(HOUR, HOUR + 3 * MINUTE) for _ in range(60)]
        few = [dice.uniform(0, MORNING) for _ in range(12)]
        found.append(Day("lecture", MORNING, tuple(sorted(people + few)), plan))
    return found


def lived(days: list[Day], policy: Policy) -> list[Outcome]:
    return [live(day, policy, seed=seed) for seed, day in enumerate(days)]


def test_more_starts_are_warm_than_with_a_fixed_number_that_wastes_as_much() -> None:
    fixed_number, adaptive = lived(lectures(), fixed(2)), lived(lectures(), ours())
    assert idle_hours(adaptive) < idle_hours(fixed_number)
    assert served_warm(adaptive) > served_warm(fixed_number) + 0.1


def test_fewer_slots_are_wasted_than_with_a_fixed_number_that_serves_as_many() -> None:
    decline = [next(day for day in days(seed) if day.name.startswith("decline")) for seed in SEEDS]
    fixed_number, adaptive = lived(decline, fixed(2)), lived(decline, ours())
    assert served_warm(adaptive) > served_warm(fixed_number) - 0.02
    assert idle_hours(adaptive) < 0.7 * idle_hours(fixed_number)


def test_a_planned_class_is_served_by_warm_slots() -> None:
    plan = Planned(20, HOUR, HOUR + 5 * MINUTE)
    assert served_warm(lived(lectures(plan), ours(plan))) > 0.97


def test_a_quiet_night_costs_no_more_than_the_floor() -> None:
    night = Day("night", MORNING, (10 * MINUTE, 50 * MINUTE, 100 * MINUTE))
    adaptive = lived([night], ours(floor=1))
    assert served_warm(adaptive) == 1
    assert idle_hours(adaptive) <= MORNING / HOUR


def test_the_simulation_counts_warm_and_new_slots() -> None:
    """One slot is warm from the start. The first request gets it, the second its replacement, the third a new slot."""
    site = Site(lead=10, spread=0, processors=1, pause=0)
    day = Day("three", 100, (50.0, 52.0, 52.0))
    outcome = live(day, fixed(1), seed=0, site=site)
    # At 50 the second slot is begun, at 52 the third (requested) and a fourth (warm): they share the processor.
    assert [round(wait) for wait in outcome.waits] == [0, 24, 28]
    assert round(outcome.idle) == 50 + (100 - 82 + 2)
    assert outcome.given_up == 0


def test_the_simulation_removes_the_youngest_slot_first() -> None:
    pool = Pool(Site(spread=0), random.Random(0), warm=2)
    pool.decide(4)
    pool.pass_to(1)
    pool.decide(3)
    assert (pool.waiting, len(pool.making)) == (3, 1)
    pool.decide(0)
    assert (pool.waiting, pool.making, pool.outcome.given_up) == (0, [], 4)
