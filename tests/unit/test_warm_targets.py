"""Targets of warm slots and their reasons. No administrator's setting stops the steward."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.catalog import Catalog
from spawner.ledger import EndReason, SlotState, Ticket, TicketState
from spawner.ledger.pool.admin_settings import AdminSetting
from spawner.pool.admin.settings import AdminSettings, Plan
from spawner.pool.capacity import capacity_of, room_for, slot_to_preempt
from spawner.pool.warm.actions import CreateSlot, decide
from spawner.pool.warm.demand import NO_DEMAND, Demand
from spawner.pool.warm.targets import PLAN_LEAD, TARGET_REASONS, TargetReason, WarmTarget, back_off, warm_targets
from tests.unit import make
from tests.unit.make import NOW, SimulatedBackend, quick
from tests.unit.test_statistics import ticket

HOUR = timedelta(hours=1)
TEMPLATE = ("small", "cpu")


def settings(values: dict[str, Any]) -> AdminSettings:
    return AdminSettings({name: AdminSetting(name, value, NOW, "ann") for name, value in values.items()})


def plan(begins: datetime = NOW - HOUR, ends: datetime = NOW + HOUR, **changes: Any) -> dict[str, Any]:
    values = {"flavor": "small", "image": "cpu", "slots": 4, "begins": begins, "ends": ends}
    return Plan.model_validate(values | changes).model_dump(mode="json")


def targets(
    catalog: Catalog | None = None,
    values: dict[str, Any] | None = None,
    *,
    demand: Demand = NO_DEMAND,
    tickets: tuple[Ticket, ...] = (),
    backend: SimulatedBackend | None = None,
) -> dict[tuple[str, str], WarmTarget]:
    return warm_targets(
        catalog or make.catalog(make.flavor(warm=({"floor": 1, "ceiling": 3},))),
        backend or SimulatedBackend(),
        demand=demand,
        controls=settings(values or {}),
        tickets=tickets,
        now=NOW,
    )


def target_and_reason(found: WarmTarget) -> tuple[int, TargetReason]:
    return found.slots, found.why


BUSY = Demand({TEMPLATE: [10.0] * 20}, {TEMPLATE: [2.0]})
VERY_BUSY = Demand({TEMPLATE: [10.0] * 200}, {TEMPLATE: [60.0]})


@pytest.mark.parametrize(
    ("values", "demand", "expected"),
    [
        ({}, NO_DEMAND, (1, TargetReason.CATALOG)),
        ({"floor:small:cpu": 0}, NO_DEMAND, (0, TargetReason.FLOOR)),
        ({"floor:small:cpu": 7}, NO_DEMAND, (7, TargetReason.FLOOR)),
        ({"floor:small:cpu": 7}, VERY_BUSY, (7, TargetReason.FLOOR)),
        ({"floor:small:cpu": 0}, VERY_BUSY, (3, TargetReason.CEILING)),
        ({}, VERY_BUSY, (3, TargetReason.CEILING)),
        ({"plan:a": plan()}, NO_DEMAND, (4, TargetReason.PLAN)),
        ({"plan:a": plan(), "plan:b": plan(slots=2)}, NO_DEMAND, (6, TargetReason.PLAN)),
        ({"plan:a": plan(), "floor:small:cpu": 4}, NO_DEMAND, (4, TargetReason.FLOOR)),
        ({"plan:a": plan(NOW + HOUR, NOW + 2 * HOUR)}, NO_DEMAND, (1, TargetReason.CATALOG)),
        ({"pause:small": True, "floor:small:cpu": 7}, BUSY, (0, TargetReason.PAUSED)),
        ({"drain": {}, "pause:small": True}, BUSY, (0, TargetReason.DRAIN)),
    ],
)
def test_the_deciding_reason_is_reported(
    values: dict[str, Any], demand: Demand, expected: tuple[int, TargetReason]
) -> None:
    assert target_and_reason(targets(values=values, demand=demand)[TEMPLATE]) == expected


def test_demand_below_the_ceiling_is_reported_as_demand() -> None:
    catalog = make.catalog(make.flavor(warm=({"ceiling": 500},), limit=1000))
    found = targets(catalog, demand=BUSY)[TEMPLATE]
    assert 1 < found.slots < 500
    assert found.why is TargetReason.DEMAND
    assert target_and_reason(targets(catalog)[TEMPLATE]) == (0, TargetReason.QUIET)


def test_no_slot_is_kept_warm_while_queued_tickets_need_its_room() -> None:
    waiting = ticket("t", TicketState.WAITING, joined=5)
    assert target_and_reason(targets(tickets=(waiting,))[TEMPLATE]) == (0, TargetReason.LINE)


def test_a_flavor_that_cannot_be_served_has_no_target() -> None:
    assert target_and_reason(targets(backend=SimulatedBackend(refused=("small",)))[TEMPLATE]) == (
        0,
        TargetReason.NOT_SERVED,
    )


def test_administrators_may_name_a_flavor_that_the_catalog_does_not_keep_warm() -> None:
    found = targets(make.catalog(), {"floor:small:torch": 2, "plan:a": plan()})
    assert target_and_reason(found["small", "torch"]) == (2, TargetReason.FLOOR)
    assert target_and_reason(found["small", "cpu"]) == (4, TargetReason.PLAN)


def test_every_reason_has_a_sentence() -> None:
    assert set(TARGET_REASONS) == set(TargetReason)


GONE: dict[str, Any] = {
    "floor:gone:cpu": 3,
    "floor:small:gone": 3,
    "plan:flavor": plan(flavor="gone"),
    "plan:image": plan(image="gone"),
    "pause:gone": True,
    "plan:older": {"flavor": "small"},
    "plan:naive": plan() | {"begins": "2026-01-01T09:00", "ends": "2027-01-01T09:00"},
    "floor:small:cpu": "many",
}


def test_settings_for_dropped_flavors_and_images_are_ignored_and_listed() -> None:
    assert target_and_reason(targets(values=GONE)[TEMPLATE]) == (1, TargetReason.CATALOG)
    found = {ignored.control.name: ignored.missing for ignored in settings(GONE).ignored(make.catalog())}
    assert found == {
        "floor:gone:cpu": "gone",
        "floor:small:gone": "gone",
        "plan:flavor": "gone",
        "plan:image": "gone",
        "pause:gone": "gone",
        "plan:older": None,
        "plan:naive": None,
        "floor:small:cpu": None,
    }


def test_valid_settings_are_not_listed_as_ignored() -> None:
    good = {"floor:small:cpu": 3, "plan:a": plan(), "pause:small": True, "drain": {}}
    assert list(settings(good).ignored(make.catalog())) == []


def test_an_unreadable_drain_setting_counts_as_a_drain() -> None:
    assert settings({"drain": {"at": "soon"}}).drain is not None


def test_no_setting_stops_the_steward() -> None:
    """The catalog may have dropped a flavor with running or queued instances, or with an administrator's plan."""
    catalog, backend = make.catalog(make.flavor(warm=1)), SimulatedBackend(8 * make.GIB)
    slots = [make.slot("a", flavor="gone"), make.slot("b", SlotState.CLAIMED, image="gone", holder_id="i")]
    waiting = ticket("t", TicketState.WAITING, joined=5, flavor="gone", image="gone")
    actions = decide(
        catalog=catalog,
        backend=backend,
        slots=slots,
        failures=[make.slot("f", SlotState.GONE, flavor="gone", reason=EndReason.START_FAILED)],
        now=NOW,
        demand=Demand({("gone", "cpu"): [1.0], ("small", "gone"): [1.0]}, {("gone", "gone"): [1.0]}),
        controls=settings(GONE),
        tickets=[waiting],
    )
    assert [action for action in actions if isinstance(action, CreateSlot)] == [
        CreateSlot(catalog.flavors[0], catalog.images[0])
    ]
    flavor, image = catalog.flavors[0], catalog.images[0]
    assert room_for(catalog, flavor, slots, backend.memory()) == 7
    assert capacity_of(catalog, backend, flavor, slots).available == 7
    assert slot_to_preempt(catalog, flavor, image, slots, 2 * make.GIB) == slots[0]


def test_a_pause_is_reported_with_its_failures_and_its_end() -> None:
    bad = [make.slot(f"f{age}", SlotState.GONE, created_at=NOW - timedelta(seconds=age)) for age in (1, 2, 3)]
    found = back_off("small", "cpu", bad, NOW)
    assert found is not None
    assert (found.slot, found.failures, found.until) == (bad[0], 3, NOW + timedelta(seconds=7))
    assert back_off("small", "cpu", bad, found.until) is None


weeks = st.integers(-3, 60)
minutes = st.integers(-30, 30 * 24 * 60)


@quick
@given(st.integers(1, 7 * 24 * 60 - 6), minutes, weeks)
def test_a_weekly_plan_holds_every_week_from_its_first_time_on(length: int, minute: int, week: int) -> None:
    weekly = Plan.model_validate(plan(NOW, NOW + timedelta(minutes=length), weekly=True))
    now = NOW + timedelta(minutes=minute % (7 * 24 * 60), weeks=week)
    into = (now - NOW + PLAN_LEAD) % timedelta(weeks=1)
    expected = now >= NOW - PLAN_LEAD and into < timedelta(minutes=length) + PLAN_LEAD
    assert weekly.holds(now, lead=PLAN_LEAD) == expected
    begins, ends = weekly.next(now)
    assert ends > now
    assert (begins - NOW) % timedelta(weeks=1) == timedelta()
    assert ends - begins == timedelta(minutes=length)


def test_a_single_plan_ends_at_its_end() -> None:
    once = Plan.model_validate(plan(NOW - 2 * HOUR, NOW - HOUR))
    assert not once.holds(NOW, lead=PLAN_LEAD)
    assert once.next(NOW) == (NOW - 2 * HOUR, NOW - HOUR)
