"""Random starts, stops, deaths, late stewards, repeated work and clock steps: what is charged is what a model says."""

from __future__ import annotations

import contextlib
import itertools
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, insert

from spawner.catalog import Catalog
from spawner.errors import LostRace, Refusal
from spawner.ledger import EndReason, Instance, InstanceState, Ledger
from spawner.ledger.pool import instances
from spawner.ledger.time import charges
from spawner.ledger.time import holds as rows
from spawner.ledger.time.rows import Activity
from spawner.ledger.time.tables import instance_use
from spawner.pool.time import balance, settle
from tests.ledger.pool import SimulatedPool
from tests.unit import make

HOUR = 3600
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
WEIGHTS = {"gpu": 1.0, "large": 2.0}
NOTICED = [EndReason.CRASHED, EndReason.OUT_OF_MEMORY, EndReason.OUT_OF_DISK]
ASKED = [EndReason.STOPPED, EndReason.BANNED, EndReason.GUARD]
LENIENT = [EndReason.MAINTENANCE, EndReason.SHUTDOWN, EndReason.NOT_COLLECTED, EndReason.SUPERSEDED]
numbers = itertools.count()


def catalog() -> Catalog:
    flavors = [
        make.flavor(name, allowance={"class": "gpu", "weight": weight}, limit=10_000)
        for name, weight in WEIGHTS.items()
    ]
    allowances = {"classes": [{"id": "gpu", "title": make.TEXT, "hours": 6}]}
    return make.catalog(*flavors, allowances=allowances, instances_per_user=2)


@dataclass
class Life:
    """What really happened to one instance, in true seconds since the beginning."""

    weight: float
    usable: float | None = None
    lasts: float = 0
    ends: list[float] = field(default_factory=list)
    sign: float | None = None
    died: float | None = None
    is_recorded: bool = False
    is_free: bool = False

    @property
    def charge(self) -> int:
        if self.usable is None or self.is_free:
            return 0
        until = min([*self.ends, self.usable + self.lasts])
        return math.floor(self.weight * round(until - self.usable, 6))


class World:
    """A pool, and the truth about it. Each world has people of its own, so that worlds share a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.pool = SimulatedPool(ledger, catalog=catalog(), time=MONDAY + timedelta(days=1), numbers=numbers)
        self.people = [f"p{next(numbers)}" for _ in range(2)]
        self.seconds, self.beginning = 0.0, self.pool.time
        self.lives: dict[str, Life] = {}

    def read(self, instance_id: str) -> Instance:
        return self.pool.ledger.read(instances.get, instance_id)

    def of(self, *states: InstanceState) -> list[Instance]:
        return [one for one in map(self.read, self.lives) if one.state in states]

    def act(self, name: str, choice: int) -> None:
        with contextlib.suppress(Refusal, LostRace):
            getattr(self, name)(choice)

    # Events. `choice` picks whom they are about.

    def start(self, choice: int) -> None:
        person, flavor = self.people[choice % 2], list(WEIGHTS)[choice // 2 % 2]
        instance = self.pool.ask_and_begin(person, flavor=flavor, server=str(choice // 4 % 2))
        self.lives[instance.id] = Life(WEIGHTS[flavor])

    def become_usable(self, choice: int) -> None:
        for one in self.of(InstanceState.STARTING)[: 1 + choice % 3]:
            running = self.pool.run(one)
            assert running.usable_at is not None
            assert running.ends_at is not None
            life = self.lives[one.id]
            life.usable, life.lasts = self.seconds, (running.ends_at - running.usable_at).total_seconds()

    def stop(self, choice: int) -> None:
        found = self.of(InstanceState.STARTING, InstanceState.RUNNING)
        if found:
            one, reason = found[choice % len(found)], [*ASKED, *LENIENT][choice % 7]
            self.pool.end(one, reason)
            life = self.lives[one.id]
            life.ends.append(self.seconds)
            life.is_free = reason in LENIENT

    def die(self, choice: int) -> None:
        """The program ends. Nobody notices yet; the keeper may record it."""
        found = [one for one in self.of(InstanceState.RUNNING) if self.lives[one.id].died is None]
        if found:
            life = self.lives[found[choice % len(found)].id]
            life.died, life.is_recorded = self.seconds, choice % 4 < 2

    def sample(self, _: int) -> None:
        """The steward sees what is alive."""
        for one in self.of(InstanceState.RUNNING):
            life = self.lives[one.id]
            if life.died is None:
                life.sign = self.seconds
                self.pool.ledger.write(_see, one.id, self.pool.time)

    def steward(self, choice: int) -> None:
        """A round: it notices what has died, and ends what is late."""
        for one in self.of(InstanceState.RUNNING):
            life = self.lives[one.id]
            if life.died is not None:
                died_at = self.beginning + timedelta(seconds=life.died) if life.is_recorded else None
                reason = EndReason.LOST if choice % 5 == 0 else NOTICED[choice % 3]
                self.pool.end(one, reason, died_at=died_at)
                best = life.died if life.is_recorded else life.sign
                life.ends += [self.seconds, *([] if best is None else [best])]
                life.is_free = reason is EndReason.LOST
            elif one.ends_at is not None and one.ends_at <= self.pool.time:
                self.pool.end(one, EndReason.DEADLINE)
                life.ends.append(self.seconds)

    def finish(self, _: int) -> None:
        self.pool.finish_endings()

    def settle_again(self, _: int) -> None:
        """A program that was killed after its work does it again."""
        for instance_id in self.lives:
            self.pool.ledger.write(settle.settle, instance_id, now=self.pool.time)
        self.pool.ledger.write(settle.settle_forgotten, now=self.pool.time)

    def wait(self, choice: int) -> None:
        self.pass_time([1.5, 60, 299, 900, 2 * HOUR, 5 * HOUR, 30 * HOUR][choice % 7])

    def pass_time(self, seconds: float) -> None:
        self.seconds += seconds
        self.pool.pass_time(seconds)

    def step_clock(self, choice: int) -> None:
        self.pool.pass_time([-7200, -60, 60, 7200, -80 * HOUR, 80 * HOUR][choice % 6])

    # Checks

    def check_bounds(self) -> None:
        for person in self.people:
            [found] = self.pool.ledger.read(balance.balances, self.pool.catalog, person, self.pool.time)
            assert found.total is not None
            assert found.left is not None
            assert found.left >= 0
            assert found.total == found.used + found.held + found.left
        for one in map(self.read, self.lives):
            hold, charge = self.pool.ledger.read(rows.get, one.id), self.pool.ledger.read(charges.get, one.id)
            is_live = one.state in (InstanceState.STARTING, InstanceState.RUNNING)
            assert (hold is not None and hold.released_at is None) == is_live
            assert (charge is not None) == (not is_live and one.usable_at is not None)
            if charge is not None and hold is not None:
                assert 0 <= charge.seconds <= hold.seconds

    def check_model(self) -> None:
        for instance_id, life in self.lives.items():
            one, charge = self.read(instance_id), self.pool.ledger.read(charges.get, instance_id)
            if charge is not None:
                assert charge.seconds - charge.refunded == life.charge, (one, charge, life)
                assert life.usable is not None
                assert charge.seconds <= life.weight * (self.seconds - life.usable)
        for person in self.people:
            [found] = self.pool.ledger.read(balance.balances, self.pool.catalog, person, self.pool.time)
            assert found.total is not None
            own = [one for one in map(self.read, self.lives) if one.person_id == person]
            this_week = [one for one in own if one.requested_at >= found.week_from]
            used = sum(self.lives[one.id].charge for one in this_week if one.state not in instances.LIVE)
            assert found.used == used
            assert found.used + found.held <= found.total == 6 * HOUR


def _see(connection: Connection, instance_id: str, now: datetime) -> None:
    connection.execute(delete(instance_use).where(instance_use.c.instance_id == instance_id))
    values: dict[str, Any] = {"activity": Activity.WORKING, "since": now, "stops_at": None, "samples": {}}
    connection.execute(insert(instance_use).values(instance_id=instance_id, seen_at=now, **values))


EVENTS = [
    "start", "start", "become_usable", "become_usable", "stop", "die", "die", "sample", "sample", "steward", "steward",
    "finish", "settle_again", "wait", "wait",
]  # fmt: skip
shared = settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes; the events are short enough
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def sqlite(sqlite_ledger: Ledger) -> Ledger:
    return sqlite_ledger


@shared
@given(events=st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 1000)), min_size=16, max_size=40))
def test_what_is_charged_is_what_was_used(sqlite: Ledger, events: list[tuple[str, int]]) -> None:
    world = World(sqlite)
    for name, choice in events:
        world.act(name, choice)
        world.check_bounds()
        world.check_model()


@shared
@given(
    events=st.lists(
        st.tuples(st.sampled_from([*EVENTS, "step_clock", "step_clock"]), st.integers(0, 1000)),
        min_size=16,
        max_size=40,
    )
)
def test_clock_steps_make_no_charge_negative_or_larger_than_the_hold(
    sqlite: Ledger, events: list[tuple[str, int]]
) -> None:
    world = World(sqlite)
    for name, choice in events:
        world.act(name, choice)
        world.check_bounds()


@pytest.mark.parametrize("is_recorded", [True, False])
def test_a_death_that_is_noticed_late_is_charged_to_its_record_or_to_the_last_sample(
    sqlite: Ledger, *, is_recorded: bool
) -> None:
    """The events of the properties above, in an order that is rare at random."""
    world = World(sqlite)
    die, wait = ("die", 0 if is_recorded else 2), ("wait", 3)
    for name, choice in [
        ("start", 0), ("become_usable", 2), wait, ("sample", 0), wait, die, wait, ("steward", 1), ("settle_again", 0),
        ("finish", 0), ("start", 0), ("become_usable", 0), ("stop", 0),
    ]:  # fmt: skip
        world.act(name, choice)
        world.check_bounds()
        world.check_model()
    assert [life.charge for life in world.lives.values()] == [1800 if is_recorded else 900, 0]
