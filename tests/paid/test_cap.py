"""Rows 17 to 20 of `test_order_failures`: the cap of a run, and a cloud that throttles."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from spawner.ledger.paid.rows import NoticeKind, OrderState, StopReason
from tests.paid.world import PRICE, SLACK, World


@pytest.mark.parametrize("kind", ["error", "empty500", "close_before", "throttle"])
async def test_row_17_the_timer_cannot_be_armed(world: World, kind: str) -> None:
    world.cloud.fault("CreateInstanceShutdownTimer", kind, times=-1, status=500, seconds=300)
    order = await world.order_one()
    found = await world.until_state(order, OrderState.STOPPED, seconds=180)
    assert found.reason is StopReason.UNPROTECTED
    assert world.billed()[0]["status"] == "Stopped"


async def test_row_17_the_timer_can_only_be_armed_once_it_runs(world: World) -> None:
    world.cloud.quirk(timer_while_booting=False)
    order = await world.order_one()
    await world.settles(order)
    assert world.billed()[0]["due"] is not None


async def test_row_17_it_cannot_be_looked_at_either(world: World) -> None:
    """A stop can be asked for without a look, and twice: so it is, rather than let it run with nothing to end it."""
    world.cloud.fault("CreateInstanceShutdownTimer", "close_before", times=-1)
    world.cloud.fault("GetInstance", "empty500", times=-1)
    await world.order_one()
    await world.until(lambda: bool(world.cloud.calls(action="StopInstance")), seconds=180)
    await world.until(lambda: world.billed()[0]["status"] == "Stopped", seconds=60)


async def test_row_17_a_stop_is_asked_for_again_though_it_cannot_be_looked_at(world: World) -> None:
    order = await world.running()
    world.cloud.fault("GetInstance", "empty500", times=-1)
    world.cloud.fault("StopInstance", "close_before")
    world.stop(order)
    await world.until(lambda: world.billed()[0]["status"] == "Stopped", seconds=300)


async def test_row_18_the_cap_is_reached_while_we_are_away(world: World) -> None:
    order = await world.running(cap="0.65")
    world.pass_time(3 * 3600)
    assert world.billed()[0]["status"] == "Stopped"
    owed = world.cloud.owes()
    assert owed <= Decimal("0.65") + SLACK
    assert owed >= Decimal("0.55"), "not long before the cap"
    await world.crash()
    found = await world.until_state(order, OrderState.STOPPED)
    assert found.reason is StopReason.CAP
    assert Decimal(found.spent or 0) <= Decimal("0.65")


async def test_row_18_our_own_stop_is_the_second_line(world: World) -> None:
    order = await world.running(cap="0.65")
    world.cloud.fault("StopInstance", "slow", seconds=0.1)
    (one,) = world.billed()
    assert one["due"]
    world.cloud.console(order.name, "status", status="Running", held=True)  # nothing in the cloud stops it any more
    found = await world.until_state(order, OrderState.STOPPED, seconds=4000)
    assert found.reason is StopReason.CAP
    assert world.cloud.owes() <= Decimal("0.65")
    assert [one.kind for one in world.notices()].count(NoticeKind.MOST_SPENT) == 1


async def test_row_18_the_chosen_time_is_a_limit_too(world: World) -> None:
    order = await world.running(cap="100", hours=0.5)
    found = await world.until_state(order, OrderState.STOPPED, seconds=2400)
    assert found.reason is StopReason.TIME
    assert world.cloud.owes() <= PRICE / 2 + SLACK


def waited(world: World, action: str, *, since: int) -> list[float]:
    """Seconds from each call of an action that the cloud refused to the next one."""
    calls = world.cloud.calls(action=action, since=since)
    times = [datetime.fromisoformat(call.at) for call in calls]
    return [
        (after - before).total_seconds()
        for before, after, call in zip(times, times[1:], calls, strict=False)
        if call.fault
    ]


async def test_row_19_the_cloud_says_how_long_to_wait(world: World) -> None:
    order = await world.running()
    world.cloud.fault("GetInstance", "throttle", times=4, seconds=40)
    since = world.cloud.last()
    await world.run(400, step=2)
    pauses = waited(world, "GetInstance", since=since)
    assert len(pauses) == 4
    assert min(pauses) >= 40
    assert max(pauses) <= 60, "not much longer than it says"
    found = world.order(order)
    assert (found.state, found.tries, found.blocked) == (OrderState.ACTIVE, 0, None)


async def test_row_19_or_does_not_say(world: World) -> None:
    """Twice as long each time, and no more than so long."""
    order = await world.running()
    world.cloud.fault("GetInstance", "throttle_plain", times=9)
    since = world.cloud.last()
    await world.run(1500, step=2)
    pauses = waited(world, "GetInstance", since=since)
    assert len(pauses) == 9
    for shorter, longer in pairwise(pauses):
        assert longer >= min(1.5 * shorter, world.rules.longest_pause / 2)
    assert max(pauses) <= world.rules.longest_pause + 4
    assert world.order(order).tries == 0


async def test_row_19_not_all_at_the_same_moment(world: World) -> None:
    """Two who were refused together do not come back together."""
    rolls = iter([0.0, 1.0] * 500)
    await world.keeper.rest()
    world.dice = lambda: next(rolls)
    world.paid = world.new_paid()
    world.keeper = world.new_keeper()
    link = world.link()
    orders = [await world.running(link) for _ in range(2)]
    world.cloud.fault("GetInstance", "throttle_plain", times=8)
    await world.until(lambda: all(world.order(one).tries >= 3 for one in orders))
    first, second = (world.order(one).next_try_at for one in orders)
    assert first is not None
    assert second is not None
    assert abs(first - second) >= timedelta(seconds=2)


async def test_row_19_looking_through_an_account_waits_as_well(world: World) -> None:
    await world.running()
    world.cloud.fault("ListInstances", "throttle", times=4, seconds=100)
    since = world.cloud.last()
    await world.run(900, step=5)
    pauses = waited(world, "ListInstances", since=since)  # of two regions, in turn
    assert len(pauses) >= 3
    calls = [one for one in world.cloud.calls(action="ListInstances", since=since) if one.fault]
    for region in {one.region for one in calls}:
        times = [datetime.fromisoformat(one.at) for one in calls if one.region == region]
        assert all(b - a >= timedelta(seconds=100) for a, b in pairwise(times))


async def test_row_19_a_cloud_that_says_a_day(world: World) -> None:
    order = await world.running(cap="0.65")
    world.cloud.console(order.name, "status", status="Running", held=True)  # nothing in the cloud stops it any more
    world.cloud.fault("GetInstance", "throttle", seconds=24 * 3600)
    await world.until(lambda: bool(world.cloud.calls(action="StopInstance")), seconds=4000, step=20)
    assert world.cloud.owes() <= Decimal("0.65") + SLACK


async def test_row_19_what_ends_goes_before_what_is_looked_at(world: World) -> None:
    link = world.link()
    several = [await world.running(link) for _ in range(3)]
    world.keeper.at_once = 1
    world.pass_time(60)
    world.stop(several[2])
    since = world.cloud.last()
    await world.tick()
    actions = [call.action for call in world.cloud.calls(since=since) if call.action != "ListInstances"]
    assert actions[0] == "StopInstance"
