"""`python -m tests.bench.warm`: what the warm target is worth, beside fixed numbers of waiting slots.

Days such as records show are lived through in simulation, second by second, with the pool's own target. Room is not
scarce in it: it is about when slots are made, not about how many fit.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from spawner.catalog import Limits
from spawner.pool.warm.sizing import LOOKBACK_SECONDS, lead_time, slots_to_keep
from tests.bench.table import percentile, render, show

SEEDS = range(3)
"""Every day is lived through with each of these dice."""
HOUR, MINUTE = 3600, 60
NINE = 9 * HOUR
FLOOR, CEILING = 1, 20
BEFORE_CLASS = 5 * MINUTE
"""How long before a class its slots are begun, as the steward does it."""
REMEMBERED = 50
"""How many of the last creations make the lead time."""


@dataclass(frozen=True)
class Site:
    """What slots are made on; times are seconds.

    Making one takes `lead`, give or take up to `spread` of that; where more than `processors` are being made, they
    share them. The pool decides once a second, and makes none for nobody within `pause` after somebody got one.
    """

    lead: float = 8.0
    spread: float = 0.25
    processors: int = 4
    pause: float = Limits().replenish_after_seconds


@dataclass(frozen=True)
class Planned:
    """An operator's plan for a class; times are seconds since the day began."""

    slots: int
    begins: float
    ends: float


@dataclass(frozen=True)
class Day:
    """When people come, in order, and what of that was known before. Seconds since it began."""

    name: str
    seconds: float
    arrivals: tuple[float, ...]
    plan: Planned | None = None


Policy = Callable[[float, Sequence[float], float], int]
"""How many should wait, from the time, the ages of recent arrivals, and the lead time: seconds."""


@dataclass
class Outcome:
    """`waits`: seconds, one for each start. `idle`: slot-seconds that warm slots waited. `given_up`: for nobody."""

    waits: list[float] = field(default_factory=list)
    idle: float = 0.0
    given_up: int = 0


def served_warm(outcomes: Iterable[Outcome]) -> float:
    """The share of starts, 0 to 1, that found a warm slot."""
    waits = [wait for outcome in outcomes for wait in outcome.waits]
    return sum(wait == 0 for wait in waits) / len(waits)


def idle_hours(outcomes: Iterable[Outcome]) -> float:
    """Slot-hours that warm slots waited on one day, on average."""
    return fmean(outcome.idle / HOUR for outcome in outcomes)


@dataclass
class Making:
    """A slot that is being made: since when, the seconds of work left, and since when somebody waits for it (if so)."""

    begun_at: float
    left: float
    asked_at: float | None = None


class Pool:
    """One flavor and image, at one moment of the simulation."""

    def __init__(self, site: Site, dice: random.Random, *, warm: int) -> None:
        self.outcome = Outcome()
        self.lead = lead_time(())
        self.making: list[Making] = []
        self._site = site
        self._dice = dice
        self._warm = warm
        self._now = 0.0
        self._claims: deque[float] = deque()
        self._spans: deque[float] = deque(maxlen=REMEMBERED)

    @property
    def waiting(self) -> int:
        """Warm or being made, for nobody in particular."""
        return self._warm + sum(1 for _ in self._for_nobody())

    def pass_to(self, moment: float) -> None:
        """Let the time pass, and what is being made get on."""
        while self.making and (done_at := self._next_done_at()) <= moment:
            self._work_until(done_at)
            first = min(self.making, key=lambda one: one.left)
            self.making.remove(first)
            self._is_made(first)
        self._work_until(moment)

    def start(self) -> None:
        """Somebody comes. They get a warm slot, or what is being made for nobody, or have one made."""
        if self._warm:
            self._warm -= 1
            self._claims.append(self._now)
            self.outcome.waits.append(0.0)
        else:
            slot = next(self._for_nobody(), None) or self._make()
            slot.asked_at = self._now

    def decide(self, wanted: int) -> None:
        """Bring what waits to the target: what is begun last is given up first."""
        surplus = max(0, self.waiting - wanted)
        missing = max(0, wanted - self.waiting)
        self.outcome.given_up += surplus
        for slot in [*self._for_nobody()][::-1][:surplus]:
            self.making.remove(slot)
            surplus -= 1
        self._warm -= surplus
        while self._claims and self._now - self._claims[0] >= self._site.pause:
            self._claims.popleft()
        for _ in range(missing - len(self._claims)):
            self._make()

    def finish(self) -> None:
        """The day is over, but not for those who still wait."""
        self._warm = 0
        self.making = [slot for slot in self.making if slot.asked_at is not None]
        while self.making:
            self.pass_to(self._next_done_at())

    def _for_nobody(self) -> Iterator[Making]:
        return (slot for slot in self.making if slot.asked_at is None)

    def _make(self) -> Making:
        work = self._site.lead * self._dice.uniform(1 - self._site.spread, 1 + self._site.spread)
        self.making.append(Making(self._now, work))
        return self.making[-1]

    def _speed(self) -> float:
        return min(1.0, self._site.processors / len(self.making))

    def _next_done_at(self) -> float:
        return self._now + max(0.0, min(slot.left for slot in self.making)) / self._speed()

    def _work_until(self, moment: float) -> None:
        passed = moment - self._now
        self._now = moment
        self.outcome.idle += self._warm * passed
        if self.making:
            done = passed * self._speed()
            for slot in self.making:
                slot.left -= done

    def _is_made(self, slot: Making) -> None:
        self._spans.append(self._now - slot.begun_at)
        self.lead = lead_time(self._spans)
        if slot.asked_at is None:
            self._warm += 1
        else:
            self.outcome.waits.append(self._now - slot.asked_at)


def live(day: Day, policy: Policy, *, seed: int, site: Site | None = None) -> Outcome:
    """One day with one policy."""
    pool = Pool(site or Site(), random.Random(seed), warm=policy(0, (), lead_time(())))
    coming = deque(day.arrivals)
    recent: deque[float] = deque()
    now = 0

    def wanted(moment: int) -> int:
        return policy(moment, [moment - arrival for arrival in recent], pool.lead)

    while now < day.seconds:
        while coming and coming[0] <= now:
            recent.append(coming.popleft())
            pool.pass_to(recent[-1])
            pool.start()
        pool.pass_to(now)
        while recent and recent[0] < now - LOOKBACK_SECONDS:
            recent.popleft()
        number = wanted(now)
        pool.decide(number)
        # While nobody comes a target only falls: where it is the same at the end, there is nothing to do until then.
        then = math.ceil(min(_to_come(now, coming, day.plan), default=day.seconds))
        is_at_rest = not pool.making and pool.waiting == number == wanted(then - 1)
        now = max(now + 1, then if is_at_rest else 0)
    pool.pass_to(day.seconds)
    pool.finish()
    return pool.outcome


def _to_come(now: float, coming: deque[float], plan: Planned | None) -> Iterator[float]:
    if coming:
        yield coming[0]
    if plan:
        yield from (moment for moment in (plan.begins - BEFORE_CLASS, plan.ends) if moment > now)


def fixed(number: int) -> Policy:
    """So many, whoever comes."""
    return lambda now, ages, lead: number


def ours(plan: Planned | None = None, *, floor: int = FLOOR, ceiling: int = CEILING) -> Policy:
    """The pool's own target, with or without a plan."""

    def wanted(now: float, ages: Sequence[float], lead: float) -> int:
        holds = plan is not None and plan.begins - BEFORE_CLASS <= now < plan.ends
        planned = plan.slots if plan is not None and holds else 0
        return slots_to_keep(ages, lead=lead, floor=floor, ceiling=ceiling, planned=planned)

    return wanted


def days(seed: int) -> list[Day]:
    """One of each kind."""
    dice = random.Random(seed)
    few = 6
    night = _at_rate(dice, 9 * HOUR, 1, lambda now: 1)
    lecture = [*_at_rate(dice, 12 * HOUR, few, lambda now: few), *_between(dice, 60, NINE, NINE + 3 * MINUTE)]
    burst = [*_at_rate(dice, 12 * HOUR, few, lambda now: few), *[NINE + 0.5] * 20]
    decline = _at_rate(dice, 12 * HOUR, 120, lambda now: 120 * 0.5 ** (now / HOUR))
    normal = _at_rate(dice, 24 * HOUR, 60, lambda now: 30 - 30 * math.cos(2 * math.pi * (now / HOUR - 4) / 24))
    week = [
        *_at_rate(dice, 7 * 24 * HOUR, few, lambda now: few if _is_work(now) else 0.1),
        *_between(dice, 30, NINE - 2 * MINUTE, NINE + 3 * MINUTE),
    ]
    return [
        Day("quiet night (9 h)", 9 * HOUR, _sorted(night)),
        Day("lecture (12 h)", 12 * HOUR, _sorted(lecture), Planned(20, NINE, NINE + 5 * MINUTE)),
        Day("burst (12 h)", 12 * HOUR, _sorted(burst), Planned(20, NINE, NINE + MINUTE)),
        Day("decline (12 h)", 12 * HOUR, _sorted(decline)),
        Day("normal day (24 h)", 24 * HOUR, _sorted(normal)),
        Day("weekly class (7 d)", 7 * 24 * HOUR, _sorted(week), Planned(10, NINE, NINE + 5 * MINUTE)),
    ]


def _is_work(now: float) -> bool:
    day, second = divmod(now, 24 * HOUR)
    return day < 5 and 9 * HOUR <= second < 18 * HOUR


def _sorted(arrivals: Iterable[float]) -> tuple[float, ...]:
    return tuple(sorted(arrivals))


def _between(dice: random.Random, people: int, begins: float, ends: float) -> Iterator[float]:
    return (dice.uniform(begins, ends) for _ in range(people))


def _at_rate(dice: random.Random, seconds: float, most: float, per_hour: Callable[[float], float]) -> Iterator[float]:
    """Independent people: `per_hour` of them at a time, never more than `most`."""
    now = dice.expovariate(most / HOUR)
    while now < seconds:
        if dice.random() * most < per_hour(now):
            yield now
        now += dice.expovariate(most / HOUR)


def policies(day: Day) -> dict[str, Policy]:
    """Those that are compared, by name."""
    found = {f"fixed {number}": fixed(number) for number in (1, 2, 5, 10)} | {"ours": ours()}
    return found | ({"ours, planned": ours(day.plan)} if day.plan else {})


def main() -> None:
    """Print the table."""
    lines = [["day", "policy", "starts", "served warm", "wait p95", "idle slot-hours", "given up"]]
    for same in zip(*(days(seed) for seed in SEEDS), strict=True):
        for name in policies(same[0]):
            outcomes = [live(day, policies(day)[name], seed=seed) for seed, day in zip(SEEDS, same, strict=True)]
            lines.append([same[0].name, name, *_row(outcomes)])
    site = Site()
    print(
        f"Each day {len(SEEDS)} times, with other dice: the mean of starts, of hours that slots waited, and of slots "
        f"that nobody got.\nA slot takes {site.lead:.0f} s, longer where more than {site.processors} are made. "
        f"Ours: from {FLOOR} to {CEILING}.\n"
    )
    print(render(lines))


def _row(outcomes: Sequence[Outcome]) -> list[str]:
    waits = [wait for outcome in outcomes for wait in outcome.waits]
    return [
        f"{len(waits) / len(outcomes):.0f}",
        f"{served_warm(outcomes):.1%}",
        show(percentile(waits, 0.95), "s"),
        f"{idle_hours(outcomes):.1f}",
        f"{fmean(outcome.given_up for outcome in outcomes):.0f}",
    ]


if __name__ == "__main__":
    main()
