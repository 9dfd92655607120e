"""A session's end moves at most as often as the catalog allows, for who may, and once for two clicks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from spawner.catalog import Catalog
from spawner.errors import (
    CannotExtend,
    ExtensionsUsed,
    LostRace,
    MaintenanceAhead,
    NoHoursToExtend,
    NotExtendable,
    NotRunning,
    OthersWait,
)
from spawner.ledger import Instance, Ledger
from spawner.ledger.pool import admin_settings, instances
from spawner.ledger.time import extensions, notices
from spawner.ledger.time.rows import Answer, ExtensionKind, NoticeKind, SessionNotice
from spawner.people_settings import ClassLimits, LimitsByClass, PeopleSettings
from spawner.pool.admin.settings import DRAIN
from spawner.pool.time.extensions import ONE_CLICK, Extensions
from spawner.pool.time.metered import Metered
from spawner.pool.time.metering import AllowanceState, Metering
from tests.ledger.conftest import Together
from tests.ledger.pool import SimulatedPool
from tests.unit import make

HOUR = timedelta(hours=1)


@dataclass
class Hours:
    """A person's hours: `left` seconds of this week, and what was taken from the next."""

    left: int = 3600
    debited: list[int] = field(default_factory=list)

    def rivals(self, flavor: str, /) -> frozenset[str]:
        return frozenset({flavor, "large"})

    def states(self, *_: Any) -> list[AllowanceState]:
        return []

    def state_for(self, *_: Any) -> AllowanceState | None:
        return None

    def covers(self, *arguments: Any) -> bool:
        return bool(arguments[2] <= self.left)

    def extend_hold(self, *arguments: Any) -> bool:
        if not self.covers(*arguments):
            return False
        self.left -= arguments[2]
        return True

    def debit_next_week(self, *arguments: Any) -> bool:
        self.debited.append(arguments[2])
        return True


@pytest.fixture
def pool(ledger: Ledger) -> SimulatedPool:
    """One instance of each flavor at a time."""
    return SimulatedPool(ledger, make.catalog(make.flavor(limit=1), make.flavor("large", limit=1)))


def rules(pool: SimulatedPool, metering: Metering | None = None, **limits: Any) -> Extensions:
    people = PeopleSettings(limits=LimitsByClass(new=ClassLimits(**limits)))
    metering = metering or Metered(pool.catalog, pool.new_id)
    return Extensions(pool.catalog, people, metering, lambda: pool.time, pool.new_id)


def extend(pool: SimulatedPool, instance: Instance, number: int | None = None, **options: Any) -> Instance:
    return pool.ledger.write(rules(pool, **options).extend, instance.id, number=number)


def end_of(pool: SimulatedPool, instance: Instance) -> datetime | None:
    return pool.ledger.read(instances.get, instance.id).ends_at


def look(pool: SimulatedPool, instance: Instance, **options: Any) -> CannotExtend | NotRunning | None:
    current = pool.ledger.read(instances.get, instance.id)
    return pool.ledger.read(rules(pool, **options).look, current).refusal


def refused(
    pool: SimulatedPool, instance: Instance, error: type[Exception], number: int | None = None, **options: Any
) -> None:
    """The page says so before, the click says so, too, and nothing is written."""
    before = end_of(pool, instance)
    assert isinstance(look(pool, instance, **options), error)
    with pytest.raises(error):
        extend(pool, instance, number, **options)
    assert end_of(pool, instance) == before


def test_a_click_adds_an_hour_twice(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    assert ann.ends_at is not None
    found = pool.ledger.read(rules(pool).look, ann)
    assert (found.seconds, found.left, found.number, found.refusal) == (3600, 2, 1, None)
    assert extend(pool, ann, 1).ends_at == ann.ends_at + HOUR
    assert extend(pool, ann, 2).ends_at == ann.ends_at + 2 * HOUR
    assert [(one.kind, one.seconds) for one in pool.ledger.read(extensions.of_instance, ann.id)] == [
        (ExtensionKind.CLICK, 3600)
    ] * 2
    pool.pass_time(60)
    refused(pool, ann, ExtensionsUsed)


def test_two_tabs_that_extend_at_once_extend_once(pool: SimulatedPool, together: Together[Instance]) -> None:
    ann = pool.start("ann")
    assert ann.ends_at is not None

    def click() -> Instance:
        for _ in range(8):
            try:
                return extend(pool, ann, 1)
            except LostRace:
                continue
        raise AssertionError("it never came through")

    assert {one.ends_at for one in together([click] * 8)} == {ann.ends_at + HOUR}
    assert len(pool.ledger.read(extensions.of_instance, ann.id)) == 1


def test_clicks_without_a_number_within_seconds_are_one(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    assert ann.ends_at is not None
    extend(pool, ann)
    pool.pass_time(ONE_CLICK.total_seconds())
    assert extend(pool, ann).ends_at == ann.ends_at + HOUR
    pool.pass_time(1)
    assert extend(pool, ann).ends_at == ann.ends_at + 2 * HOUR


def test_an_extension_answers_the_notice_of_the_end(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    assert ann.ends_at is not None
    notice = SessionNotice("n1", ann.id, "ann", NoticeKind.DEADLINE, "deadline:1:10", ann.ends_at, pool.time, {})
    pool.ledger.write(notices.write, notice)
    pool.ledger.write(notices.write, replace(notice, id="n2", kind=NoticeKind.IDLE, mark="idle"))
    extend(pool, ann)
    assert [one.answer for one in pool.ledger.read(notices.of_instance, ann.id)] == [Answer.EXTENDED, None]


def test_nobody_extends_while_others_wait_for_the_machines(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    pool.ask("bob")
    refused(pool, ann, OthersWait)


def test_who_waits_for_another_flavor_of_the_class_counts(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    pool.start("carl", flavor="large")
    pool.ask("bob", flavor="large")
    assert look(pool, ann) is None
    refused(pool, ann, OthersWait, metering=Hours())


def test_ones_own_ticket_is_nobody_else(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    pool.start("carl", flavor="large")
    pool.ask("ann", flavor="large")
    assert look(pool, ann, metering=Hours()) is None


def test_hours_that_do_not_cover_it_refuse_it(pool: SimulatedPool) -> None:
    ann, hours = pool.start("ann"), Hours(left=3600)
    extend(pool, ann, 1, metering=hours)
    assert hours.left == 0
    refused(pool, ann, NoHoursToExtend, number=2, metering=hours)


def test_the_limit_of_ones_class_holds(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    refused(pool, ann, NotExtendable, session_minutes=299)
    assert look(pool, ann, session_minutes=300) is None


def test_who_lost_the_flavor_does_not_extend(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    staff_only = {"for": {"groups": ["staff"]}, "flavors": ["small", "large"]}
    pool.catalog = make.catalog(make.flavor(limit=1), make.flavor("large"), policies=[staff_only])
    refused(pool, ann, NotExtendable)


def test_maintenance_refuses_extensions(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    pool.ledger.write(admin_settings.put, DRAIN, {"at": None, "reason": ""}, by="root", now=pool.time)
    refused(pool, ann, MaintenanceAhead)


def test_a_catalog_without_extensions_has_none(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    pool.catalog = with_sessions(pool.catalog, extensions=0)
    refused(pool, ann, ExtensionsUsed)


def test_an_instance_that_is_ending_is_not_extended(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    pool.end(ann)
    refused(pool, ann, NotRunning)


def test_grace_is_given_once_and_costs_hours_of_next_week(pool: SimulatedPool) -> None:
    ann, hours = pool.start("ann"), Hours()
    assert ann.ends_at is not None
    pool.time = ann.ends_at
    notice = pool.ledger.write(rules(pool, hours).give_grace, ann.id, expected=ann.ends_at)
    assert notice is not None
    ends_at = end_of(pool, ann)
    assert (ends_at, notice.due_at, hours.debited) == (ann.ends_at + timedelta(minutes=10), ends_at, [600])
    assert (notice.params, hours.left) == ({"minutes": 10, "debited": True}, 3600)
    assert ends_at is not None
    assert pool.ledger.write(rules(pool, hours).give_grace, ann.id, expected=ends_at) is None
    assert (end_of(pool, ann), hours.debited) == (ends_at, [600])


def test_grace_is_not_given_while_somebody_waits_or_after_the_end_was_moved(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    assert ann.ends_at is not None
    with pytest.raises(LostRace):
        pool.ledger.write(rules(pool).give_grace, ann.id, expected=ann.ends_at - HOUR)
    assert pool.ledger.read(extensions.of_instance, ann.id) == [], "nothing of it stays"
    pool.ask("bob")
    assert pool.ledger.write(rules(pool).give_grace, ann.id, expected=ann.ends_at) is None
    assert end_of(pool, ann) == ann.ends_at


def with_sessions(catalog: Catalog, **changes: Any) -> Catalog:
    return catalog.model_copy(update={"sessions": catalog.sessions.model_copy(update=changes)})
