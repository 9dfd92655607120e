"""The cap of a run holds whatever fails, and throttled calls wait."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from spawner.ledger.paid.rows import NoticeKind, OrderState, StopReason
from tests.paid.world import PRICE, SLACK, World


@pytest.mark.parametrize("kind", ["error", "empty500", "close_before", "throttle"])
async def test_an_instance_without_auto_stop_is_stopped(world: World, kind: str) -> None:
    world.cloud.fault("CreateInstanceShutdownTimer", kind, times=-1, status=500, seconds=300)
    order = await world.new_order()
    found = await world.until_state(order, OrderState.STOPPED, seconds=180)
    assert found.reason is StopReason.UNPROTECTED
    assert world.cloud_instances()[0]["status"] == "Stopped"


async def test_auto_stop_is_set_once_the_instance_runs(world: World) -> None:
    world.cloud.quirk(timer_while_booting=False)
    order = await world.new_order()
    await world.until_running(order)
    assert world.cloud_instances()[0]["due"] is not None


async def test_an_instance_without_auto_stop_that_cannot_be_described_is_stopped(world: World) -> None:
    """A stop needs no describe and may be repeated, so it is sent."""
    world.cloud.fault("CreateInstanceShutdownTimer", "close_before", times=-1)
    world.cloud.fault("GetInstance", "empty500", times=-1)
    await world.new_order()
    await world.until(lambda: bool(world.cloud.calls(action="StopInstance")), seconds=180)
    await world.until(lambda: world.cloud_instances()[0]["status"] == "Stopped", seconds=60)


async def test_a_lost_stop_is_sent_again_though_describe_fails(world: World) -> None:
    order = await world.running()
    world.cloud.fault("GetInstance", "empty500", times=-1)
    world.cloud.fault("StopInstance", "close_before")
    world.stop(order)
    await world.until(lambda: world.cloud_instances()[0]["status"] == "Stopped", seconds=300)


async def test_the_cap_holds_while_no_steward_runs(world: World) -> None:
    order = await world.running(cap="0.65")
    world.pass_time(3 * 3600)
    assert world.cloud_instances()[0]["status"] == "Stopped"
    owed = world.cloud.owes()
    assert owed <= Decimal("0.65") + SLACK
    assert owed >= Decimal("0.55"), "not much earlier than the cap"
    await world.crash()
    found = await world.until_state(order, OrderState.STOPPED)
    assert found.reason is StopReason.CAP
    assert Decimal(found.spent or 0) <= Decimal("0.65")


async def test_the_steward_stops_at_the_cap_where_auto_stop_fails(world: World) -> None:
    order = await world.running(cap="0.65")
    world.cloud.fault("StopInstance", "slow", seconds=0.1)
    (one,) = world.cloud_instances()
    assert one["due"]
    world.cloud.console(order.name, "status", status="Running", held=True)  # auto-stop has no effect
    found = await world.until_state(order, OrderState.STOPPED, seconds=4000)
    assert found.reason is StopReason.CAP
    assert world.cloud.owes() <= Decimal("0.65")
    assert [notice.kind for notice in world.notices()].count(NoticeKind.MOST_SPENT) == 1


async def test_an_instance_stops_at_its_chosen_time(world: World) -> None:
    order = await world.running(cap="100", hours=0.5)
    found = await world.until_state(order, OrderState.STOPPED, seconds=2400)
    assert found.reason is StopReason.TIME
    assert world.cloud.owes() <= PRICE / 2 + SLACK


def pauses_after_faults(world: World, action: str, *, since: int) -> list[float]:
    """Seconds from each failed call of an action to the next call."""
    calls = world.cloud.calls(action=action, since=since)
    times = [datetime.fromisoformat(call.at) for call in calls]
    return [
        (after - before).total_seconds()
        for before, after, call in zip(times, times[1:], calls, strict=False)
        if call.fault
    ]


async def test_throttled_calls_wait_as_long_as_the_cloud_says(world: World) -> None:
    order = await world.running()
    world.cloud.fault("GetInstance", "throttle", times=4, seconds=40)
    since = world.cloud.last()
    await world.run(400, step=2)
    pauses = pauses_after_faults(world, "GetInstance", since=since)
    assert len(pauses) == 4
    assert min(pauses) >= 40
    assert max(pauses) <= 60, "not much longer than the cloud says"
    found = world.order(order)
    assert (found.state, found.tries, found.blocked) == (OrderState.ACTIVE, 0, None)


async def test_throttled_calls_without_a_delay_back_off_up_to_a_limit(world: World) -> None:
    """Each pause is about twice as long as the one before, up to `longest_pause`."""
    order = await world.running()
    world.cloud.fault("GetInstance", "throttle_plain", times=9)
    since = world.cloud.last()
    await world.run(1500, step=2)
    pauses = pauses_after_faults(world, "GetInstance", since=since)
    assert len(pauses) == 9
    for shorter, longer in pairwise(pauses):
        assert longer >= min(1.5 * shorter, world.rules.longest_pause / 2)
    assert max(pauses) <= world.rules.longest_pause + 4
    assert world.order(order).tries == 0


async def test_back_off_is_spread_by_jitter(world: World) -> None:
    """Two orders that were throttled together are not retried together."""
    rolls = iter([0.0, 1.0] * 500)
    await world.reconciler.rest()
    world.dice = lambda: next(rolls)
    world.paid = world.new_paid()
    world.reconciler = world.new_reconciler()
    link = world.link()
    orders = [await world.running(link) for _ in range(2)]
    world.cloud.fault("GetInstance", "throttle_plain", times=8)
    await world.until(lambda: all(world.order(order).tries >= 3 for order in orders))
    first, second = (world.order(order).next_try_at for order in orders)
    assert first is not None
    assert second is not None
    assert abs(first - second) >= timedelta(seconds=2)


async def test_throttled_discovery_waits(world: World) -> None:
    await world.running()
    world.cloud.fault("ListInstances", "throttle", times=4, seconds=100)
    since = world.cloud.last()
    await world.run(900, step=5)
    pauses = pauses_after_faults(world, "ListInstances", since=since)  # of both regions
    assert len(pauses) >= 3
    calls = [call for call in world.cloud.calls(action="ListInstances", since=since) if call.fault]
    for region in {call.region for call in calls}:
        times = [datetime.fromisoformat(call.at) for call in calls if call.region == region]
        assert all(b - a >= timedelta(seconds=100) for a, b in pairwise(times))


async def test_a_delay_of_a_day_does_not_delay_the_stop_at_the_cap(world: World) -> None:
    order = await world.running(cap="0.65")
    world.cloud.console(order.name, "status", status="Running", held=True)  # auto-stop has no effect
    world.cloud.fault("GetInstance", "throttle", seconds=24 * 3600)
    await world.until(lambda: bool(world.cloud.calls(action="StopInstance")), seconds=4000, step=20)
    assert world.cloud.owes() <= Decimal("0.65") + SLACK


async def test_stops_go_before_describes(world: World) -> None:
    link = world.link()
    several = [await world.running(link) for _ in range(3)]
    world.reconciler.at_once = 1
    world.pass_time(60)
    world.stop(several[2])
    since = world.cloud.last()
    await world.tick()
    actions = [call.action for call in world.cloud.calls(since=since) if call.action != "ListInstances"]
    assert actions[0] == "StopInstance"
