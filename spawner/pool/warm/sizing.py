"""How many slots of one flavor and image should be warm, from the latest requests. Pure.

A claimed slot is replaced after a lead time; requests within it need further warm slots. So the target is a number that
requests within one lead time rarely exceed, at the rate of the last quarter of an hour. The constants were chosen with
`tests/bench/warm.py`, which replays whole days.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, median

LOOKBACK_SECONDS = 900.0
"""Seconds. Older requests do not count."""
MIN_WINDOW_SECONDS = 20.0
"""Seconds. With 10 as many starts are warm, but half as many slots again are created for nothing: two or three requests
often coincide."""
TARGET_SHARE = 0.95
"""The share of starts that should be warm at the present rate. On a normal day 0.9 saves a fifth of the warm slots, but
triples the cold starts; 0.99 needs a fifth more warm slots."""
DEFAULT_LEAD, SHORTEST_LEAD, LONGEST_LEAD = 10.0, 1.0, 300.0
"""Bounds of the lead time, in seconds. The longest is a node that pulls a large image."""
NORMAL_FROM = 100.0
"""From so many expected requests on, the normal distribution approximates Poisson's."""


def slots_to_keep(arrivals: Sequence[float], *, lead: float, floor: int, ceiling: int, planned: int = 0) -> int:
    """The target now, unassigned slots that are being created included.

    `arrivals` are the seconds since each request, in any order; `lead` is the seconds until a claimed slot is replaced.
    `planned` is the number that a plan asks for now. Without requests the target only falls. Demand never exceeds the
    ceiling; an administrator's plan or floor may, because they know of a class in advance.
    """
    expected = arrival_rate(arrivals) * max(lead, SHORTEST_LEAD)
    # One for the next request, the others for those within the lead time.
    demanded = 1 + _hardly_exceeded(expected) if expected else 0
    return max(floor, planned, min(ceiling, demanded))


def arrival_rate(arrivals: Sequence[float]) -> float:
    """Requests per second: the highest rate over any period from an arrival until now.

    The maximum of many estimates is biased upwards, and few requests give poor estimates. So each is taken one standard
    deviation low: n requests count as n - √n, and a single request as none.
    """
    ages = sorted(age for age in arrivals if age <= LOOKBACK_SECONDS)
    return max((_for_sure(number) / max(age, MIN_WINDOW_SECONDS) for number, age in enumerate(ages, 1)), default=0.0)


def lead_time(spans: Sequence[float]) -> float:
    """Seconds until a slot is warm: the median of recent ones, else a default."""
    if not spans:
        return DEFAULT_LEAD
    return min(max(median(spans), SHORTEST_LEAD), LONGEST_LEAD)


def _for_sure(number: int) -> float:
    return number - math.sqrt(number)


def _hardly_exceeded(mean: float) -> int:
    """The smallest number that a Poisson variable with this mean does not exceed with probability `TARGET_SHARE`."""
    if mean > NORMAL_FROM:
        return math.ceil(NormalDist(mean, math.sqrt(mean)).inv_cdf(TARGET_SHARE))
    number, chance = 0, math.exp(-mean)
    total = chance
    while total < TARGET_SHARE:
        number += 1
        chance *= mean / number
        total += chance
    return number
