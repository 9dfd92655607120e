"""How many slots of one flavor and image should wait, from how many people have just asked for one.

Pure. A slot that is taken is replaced after a lead time; whoever comes meanwhile lives on what waits besides. So the
target is that many as are hardly ever asked for within one lead time, at the rate of the last quarter of an hour.
`tests/bench/warm.py` shows what that is worth over whole days, and the numbers here were chosen with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, median

LOOKBACK_SECONDS = 900.0
"""Seconds. Whoever came longer ago says nothing about who comes next."""
MIN_WINDOW_SECONDS = 20.0
"""Seconds. Ten make as many starts warm, but half as many slots again are made for nothing: two or three people often
happen to come together."""
TARGET_SHARE = 0.95
"""The share of people who should find a slot that waits, as long as they come as they have lately. On a normal day 0.9
saves a fifth of the waiting slots, but makes three times as many starts cold; 0.99 wants a fifth more of them."""
DEFAULT_LEAD, SHORTEST_LEAD, LONGEST_LEAD = 10.0, 1.0, 300.0
"""Seconds. The longest is a node that pulls a large image: to wait longer than that for demand to show is no use."""
NORMAL_FROM = 100.0
"""From so many expected arrivals on, the normal distribution stands for Poisson's."""


def slots_to_keep(arrivals: Sequence[float], *, lead: float, floor: int, ceiling: int, planned: int = 0) -> int:
    """How many should wait now, those that are being made for nobody in particular included.

    `arrivals` are how many seconds ago people asked for one, in any order; `lead` is the seconds until a slot that is
    taken has been replaced. `planned` is what a schedule wants now. While nobody comes, the target only falls.
    Demand never goes above the ceiling. What an operator asks for may, be it a plan or a floor: they know of a class
    before anybody has come.
    """
    expected = arrival_rate(arrivals) * max(lead, SHORTEST_LEAD)
    demanded = 1 + _hardly_exceeded(expected) if expected else 0  # one for whoever comes, the rest for who came before
    return max(floor, planned, min(ceiling, demanded))


def arrival_rate(arrivals: Sequence[float]) -> float:
    """People per second: the highest rate over any time until now, back to each arrival.

    The highest of many estimates is too high, and one of few people is worth little. So each is taken one standard
    deviation low: n people count as n - √n, and somebody who comes alone is no rate at all.
    """
    ages = sorted(age for age in arrivals if age <= LOOKBACK_SECONDS)
    return max((_for_sure(number) / max(age, MIN_WINDOW_SECONDS) for number, age in enumerate(ages, 1)), default=0.0)


def lead_time(spans: Sequence[float]) -> float:
    """Seconds that a slot needs to become warm: the median of those that did lately, or a guess."""
    if not spans:
        return DEFAULT_LEAD
    return min(max(median(spans), SHORTEST_LEAD), LONGEST_LEAD)


def _for_sure(number: int) -> float:
    return number - math.sqrt(number)


def _hardly_exceeded(mean: float) -> int:
    """The smallest number that a Poisson variable with this mean stays within, as surely as `SURE`."""
    if mean > NORMAL_FROM:
        return math.ceil(NormalDist(mean, math.sqrt(mean)).inv_cdf(TARGET_SHARE))
    number, chance = 0, math.exp(-mean)
    total = chance
    while total < TARGET_SHARE:
        number += 1
        chance *= mean / number
        total += chance
    return number
