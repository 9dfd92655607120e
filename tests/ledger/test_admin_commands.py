"""Administrators' settings are stored with name and time in both databases; invalid ones are not stored."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from spawner.errors import BadOption
from spawner.ledger import Ledger, StartStep, TicketState, leases
from spawner.ledger.pool import admin_settings, instances, tickets
from spawner.ledger.pool.tables import controls as table
from spawner.ledger.pool.tables import tickets as tickets_table
from spawner.pool.admin import commands
from spawner.pool.admin.commands import DrainChange, EmptyCommand, FlavorChange, FloorChange, PlanChange, PlanName
from spawner.pool.admin.settings import AdminSettings
from spawner.pool.statistics import read_day
from tests.ledger.rows import NOW, later, request
from tests.unit import make
from tests.unit.test_statistics import ticket

HOUR = timedelta(hours=1)
LONG = "a" + "-long" * 6
CATALOG = make.catalog(make.flavor("small", limit=10), make.flavor(LONG), images=(make.image("cpu"), make.image(LONG)))


@pytest.fixture(autouse=True)
def empty(ledger: Ledger) -> None:
    """PostgreSQL's is used by many tests."""
    ledger.write(lambda connection: [connection.execute(each_table.delete()) for each_table in (table, tickets_table)])


def change(ledger: Ledger, apply: Any, request: Any, by: str = "ann") -> AdminSettings:
    ledger.write(apply, CATALOG, request, now=NOW, by=by)
    return AdminSettings(ledger.read(admin_settings.all_of))


def plan(**changes: Any) -> PlanChange:
    values = {"name": "a", "flavor": "small", "image": "cpu", "slots": 3, "begins": NOW + HOUR, "ends": NOW + 2 * HOUR}
    return PlanChange.model_validate(values | changes)


def test_a_floor_is_set_changed_and_removed(ledger: Ledger) -> None:
    found = change(ledger, commands.set_floor, FloorChange(flavor="small", image="cpu", slots=3))
    assert found.floor("small", "cpu") == 3
    row = found.rows["floor:small:cpu"]
    assert (row.set_by, row.set_at) == ("ann", NOW)
    found = change(ledger, commands.set_floor, FloorChange(flavor="small", image="cpu", slots=0), by="bob")
    assert (found.floor("small", "cpu"), found.rows["floor:small:cpu"].set_by) == (0, "bob")
    assert change(ledger, commands.set_floor, FloorChange(flavor="small", image="cpu", slots=None)).rows == {}


def test_the_longest_names_fit(ledger: Ledger) -> None:
    assert len(LONG) == 31
    assert change(ledger, commands.set_floor, FloorChange(flavor=LONG, image=LONG, slots=1)).floor(LONG, LONG) == 1
    assert "x" * 40 in change(ledger, commands.plan, plan(name="x" * 40)).plans


def test_pause_and_resume(ledger: Ledger) -> None:
    assert change(ledger, commands.pause, FlavorChange(flavor="small")).is_paused("small")
    again = change(ledger, commands.pause, FlavorChange(flavor="small"), by="bob")
    assert again.rows["pause:small"].set_by == "ann", "who paused it is who is asked"
    assert not change(ledger, commands.resume, FlavorChange(flavor="small")).is_paused("small")
    assert change(ledger, commands.resume, FlavorChange(flavor="gone")).rows == {}


def test_drain_and_open_again(ledger: Ledger) -> None:
    drain = change(ledger, commands.drain, DrainChange(at=NOW + HOUR, reason=" new\n disks ")).drain
    assert drain is not None
    assert (drain.at, drain.reason) == (NOW + HOUR, "new disks")
    changed = change(ledger, commands.drain, DrainChange()).drain
    assert changed is not None
    assert (changed.at, changed.reason) == (None, "")
    assert change(ledger, commands.end_drain, EmptyCommand()).drain is None


def test_plans_are_added_replaced_and_removed(ledger: Ledger) -> None:
    assert change(ledger, commands.plan, plan()).plans["a"].slots == 3
    assert change(ledger, commands.plan, plan(slots=5)).plans["a"].slots == 5
    assert change(ledger, commands.unplan, PlanName(name="a")).plans == {}


def test_the_number_of_plans_is_limited(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "MAX_PLANS", 1)
    change(ledger, commands.plan, plan())
    with pytest.raises(BadOption, match="There are already 1 plans"):
        change(ledger, commands.plan, plan(name="b"))
    assert change(ledger, commands.plan, plan(slots=9)).plans["a"].slots == 9


YEAR = timedelta(days=400)
MISTAKES: list[tuple[Any, Any, str]] = [
    (commands.set_floor, FloorChange(flavor="x", image="cpu", slots=1), "Unknown flavor: 'x'."),
    (commands.set_floor, FloorChange(flavor="small", image="x", slots=1), "Unknown image: 'x'."),
    (commands.set_floor, FloorChange(flavor="small", image="cpu", slots=11), "The limit for small is 10."),
    (commands.pause, FlavorChange(flavor="x"), "Unknown flavor: 'x'."),
    (commands.drain, DrainChange(at=NOW), "2026-03-01 12:00+00:00 is over."),
    (commands.drain, DrainChange(at=NOW + YEAR), "2027-04-05 12:00+00:00 is more than a year away."),
    (commands.plan, plan(flavor="x"), "Unknown flavor: 'x'."),
    (commands.plan, plan(slots=11), "The limit for small is 10."),
    (commands.plan, plan(ends=NOW + HOUR), "The plan ends before it starts."),
    (commands.plan, plan(begins=NOW - 2 * HOUR, ends=NOW), "The plan is in the past."),
    (
        commands.plan,
        plan(ends=NOW + HOUR + timedelta(weeks=1), weekly=True),
        "A weekly plan must be shorter than a week.",
    ),
    (commands.plan, plan(begins=NOW - YEAR), "2025-01-25 12:00+00:00 is more than a year away."),
    (commands.plan, plan(ends=NOW.replace(year=9999)), "9999-03-01 12:00+00:00 is more than a year away."),
    (commands.unplan, PlanName(name="x"), "Unknown plan: 'x'."),
]


@pytest.mark.parametrize(("apply", "request_", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_an_invalid_setting_is_refused_with_a_remedy_and_not_stored(
    ledger: Ledger, apply: Any, request_: Any, message: str
) -> None:
    with pytest.raises(BadOption) as refused:
        change(ledger, apply, request_)
    assert refused.value.message == message
    assert refused.value.next_step
    assert ledger.read(admin_settings.all_of) == {}


def test_a_day_is_read_with_all_its_rows(ledger: Ledger) -> None:
    request(ledger, "i1")
    for step in (StartStep.REQUESTED, StartStep.SLOT_CREATING, StartStep.RUNNING):
        ledger.write(instances.add_event, "i1", step, now=later(1))
    ledger.write(instances.mark_running, "i1", url="http://x", now=later(1), ends_at=later(60))
    ledger.write(tickets.join, ticket("old", joined=3 * 86_400, called=3 * 86_400, ended_at=NOW - 3 * 24 * HOUR))
    ledger.write(tickets.join, ticket("long", joined=2 * 86_400, called=50, ended_at=NOW))
    ledger.write(tickets.join, ticket("waits", TicketState.WAITING, joined=2 * 86_400))
    found = ledger.read(read_day, now=later(2))
    assert [entry.id for entry in found.tickets] == ["long", "waits"]
    assert [entry.id for entry in found.started] == ["i1"]
    assert found.steps == {"i1": {StartStep.SLOT_CREATING}}
    assert ledger.read(read_day, now=later(86_500)).started == []


def test_the_end_of_a_lease_is_known(ledger: Ledger) -> None:
    assert ledger.read(leases.ends_at, "steward") is None
    ledger.write(leases.hold, "steward", holder="a", now=NOW, duration=timedelta(seconds=5))
    assert ledger.read(leases.ends_at, "steward") == later(5)
