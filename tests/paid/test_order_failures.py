"""What goes wrong, row by row, with the invariant of each, through the real SDK against the stand-in.

B is what the account has in the cloud; `creates` are the names that the cloud was asked to make.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from spawner.errors import NotAllowed
from spawner.ledger.paid.rows import BindingState, Block, NoticeKind, OrderState, StopReason
from tests.paid.world import CAP, SLACK, World

# -- making it


async def test_row_01_killed_between_the_request_and_the_ledger(world: World) -> None:
    order = await world.order_one()
    await world.tick()  # looks through the account first
    world.cloud.fault("CreateInstance", "slow", seconds=0.8)
    working = asyncio.create_task(world.keeper.tick())
    await asyncio.sleep(0.5)  # the cloud has it by now and is slow to say so
    working.cancel()
    await world.crash()
    assert world.order(order).state is OrderState.CREATING
    await world.settles(order)
    assert len(world.billed()) == 1
    assert world.order(order).remote_id == world.billed()[0]["id"]
    assert world.creates() == [order.name]


@pytest.mark.parametrize("kind", ["close_after", "hang_after", "half_body"])
async def test_row_02_done_and_the_answer_lost(world: World, kind: str) -> None:
    order = await world.order_one()
    await world.tick()
    world.cloud.fault("CreateInstance", kind, seconds=1.5)
    await world.tick()
    assert world.order(order).state is OrderState.UNKNOWN
    assert world.notices() == [], "nobody is told that it failed"
    await world.settles(order)
    assert [one["id"] for one in world.billed()] == [world.order(order).remote_id]
    assert world.creates() == [order.name]


@pytest.mark.parametrize("kind", ["close_before", "hang_before"])
async def test_row_03_not_done_and_the_answer_lost(world: World, kind: str) -> None:
    order = await world.order_one()
    await world.tick()
    world.cloud.fault("CreateInstance", kind, seconds=1.5)
    await world.tick()
    assert world.billed() == []
    await world.run(20)
    assert world.creates() == [order.name], "not before it was quiet for a while"
    await world.settles(order)
    assert len(world.billed()) == 1
    assert world.creates() == [order.name] * 2


async def test_row_03_and_cancelled_meanwhile(world: World) -> None:
    order = await world.order_one()
    await world.tick()
    world.cloud.fault("CreateInstance", "close_before")
    await world.tick()
    world.stop(order)
    await world.run(3600, step=60)
    assert world.order(order).state is OrderState.UNKNOWN, "it may still come"
    await world.run(24 * 3600, step=1800)
    assert world.order(order).state is OrderState.REJECTED
    assert world.billed() == []
    assert world.creates() == [order.name]


async def test_row_04_it_appears_late_and_is_wanted(world: World) -> None:
    order = await world.order_one()
    await world.tick()
    world.cloud.fault("CreateInstance", "late", seconds=20)
    await world.tick()
    await world.run(10)
    assert world.order(order).state is OrderState.UNKNOWN
    await world.settles(order)
    assert len(world.billed()) == 1
    assert world.creates() == [order.name]


@pytest.mark.parametrize("why", ["cancelled", "nobody waits any more"])
async def test_row_04_it_appears_late_and_nobody_wants_it(world: World, why: str) -> None:
    order = await world.order_one()
    await world.tick()
    world.cloud.fault("CreateInstance", "late", seconds=900)
    await world.tick()
    if why == "cancelled":
        world.stop(order)
    else:
        world.cloud.fault("CreateInstance", "close_before", times=-1)
    await world.run(890, step=10)
    assert world.billed() == []
    await world.run(world.rules.discovery_interval + 120, step=5)
    assert world.billed() == [], "found, stopped and deleted"
    assert world.order(order).state is OrderState.GONE
    assert set(world.creates()) == {order.name}


@pytest.mark.parametrize(
    "kind", ["html502", "html502_before", "empty500", "list400", "not_json", "body_none", "no_id",
             "success_false_after", "ignored"],
)  # fmt: skip
async def test_row_05_an_answer_that_says_nothing(world: World, kind: str) -> None:
    order = await world.order_one()
    await world.tick()
    world.cloud.fault("CreateInstance", kind)
    since = world.cloud.last()
    await world.tick()
    await world.settles(order)
    actions = [call.action for call in world.cloud.calls(since=since)]
    first = actions.index("CreateInstance")
    if "CreateInstance" in actions[first + 1 :]:
        again = actions.index("CreateInstance", first + 1)
        assert "ListInstances" in actions[first:again], "looked for before it was asked for again"
    assert [one["id"] for one in world.billed()] == [world.order(order).remote_id]
    assert set(world.creates()) == {order.name}


@pytest.mark.parametrize(
    ("message", "reason"), [("The resource is out of stock now", StopReason.REFUSED), ("no", StopReason.REFUSED)]
)
async def test_row_05_a_definite_no_is_the_end(world: World, message: str, reason: StopReason) -> None:
    order = await world.order_one()
    await world.tick()
    world.cloud.fault("CreateInstance", "error", status=400, code="ValidationError", message=message)
    await world.tick()
    await world.run(600, step=30)
    found = world.order(order)
    assert (found.state, found.reason) == (OrderState.REJECTED, reason)
    assert len(world.notices(NoticeKind.NOT_MADE)) == 1
    assert world.creates() == [order.name]


# -- ending it


@pytest.mark.parametrize("kind", ["error", "empty500", "close_before", "hang_before", "close_after", "html502"])
async def test_row_06_the_delete_fails(world: World, kind: str) -> None:
    order = await world.running()
    world.cloud.fault("DeleteInstance", kind, times=5, seconds=1.5, status=409, code="Conflict")
    world.delete(order)
    await world.until_state(order, OrderState.DELETING)
    await world.until(
        lambda: kind.endswith("after") or kind == "html502" or bool(world.notices(NoticeKind.DELETE_FAILED))
    )
    assert world.order(order).state in (OrderState.DELETING, OrderState.GONE)
    if world.order(order).state is not OrderState.GONE:
        assert world.billed(), "not GONE while it is there"
    await world.until_state(order, OrderState.GONE, seconds=1800)
    assert world.billed() == []


async def test_row_06_gone_only_by_the_clouds_own_word(world: World) -> None:
    link = world.link()
    order = await world.running(link)
    world.delete(order)
    await world.until_state(order, OrderState.DELETING)
    role = world.binding(link).role
    assert role is not None
    world.cloud.drop_role(role)
    await world.run(600, step=30)
    assert world.billed() == []
    assert world.order(order).state is OrderState.DELETING, "we could not look"
    world.cloud.role(link.external_id, name="Freepool-ann")
    await world.until_state(order, OrderState.GONE, seconds=600)


@pytest.mark.parametrize("kind", ["empty500", "close_before", "error"])
async def test_row_07_the_stop_fails(world: World, kind: str) -> None:
    order = await world.running()
    world.cloud.fault("StopInstance", kind, times=5, status=500)
    world.stop(order)
    await world.until(lambda: bool(world.notices(NoticeKind.STOP_FAILED)))
    assert world.order(order).state is OrderState.STOPPING
    (one,) = world.billed()
    assert one["status"] == "Running"
    assert one["due"] is not None, "the timer is still armed"
    await world.until_state(order, OrderState.STOPPED)
    assert len(world.notices(NoticeKind.STOP_FAILED)) == 1
    assert world.billed()[0]["status"] == "Stopped"


@pytest.mark.parametrize("kind", ["ignored", "never_stops"])
async def test_row_07_the_stop_is_taken_and_has_no_effect(world: World, kind: str) -> None:
    order = await world.running()
    world.cloud.fault("StopInstance", kind, times=-1)
    world.stop(order)
    await world.until(lambda: bool(world.notices(NoticeKind.STOP_FAILED)), seconds=900)
    assert world.order(order).state is OrderState.STOPPING
    await world.run(300, step=10)
    assert len(world.notices(NoticeKind.STOP_FAILED)) == 1


async def test_row_07_a_stop_that_was_taken_is_asked_for_again(world: World) -> None:
    order = await world.running()
    world.cloud.fault("StopInstance", "ignored", times=3)
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED)
    assert len(world.cloud.calls(action="StopInstance")) == 4
    assert world.billed()[0]["status"] == "Stopped"


async def test_row_08_the_session_ends_in_the_middle(world: World) -> None:
    order = await world.running()
    since = world.cloud.last()
    world.cloud.expire_sessions()
    await world.run(120)
    actions = [call.action for call in world.cloud.calls(since=since)]
    assert actions.count("AssumeRole") == 2, "one for each region"
    found = world.order(order)
    assert (found.state, found.blocked, found.tries) == (OrderState.ACTIVE, None, 0)
    world.cloud.expire_sessions()
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED)


async def test_row_09_the_role_is_taken_away(world: World) -> None:
    link = world.link()
    order = await world.running(link)
    role = world.binding(link).role
    assert role is not None
    world.cloud.drop_role(role)
    await world.run(1200, step=20)
    found = world.order(order)
    assert (found.state, found.blocked) == (OrderState.ACTIVE, Block.AUTH_LOST)
    assert world.binding(link).state is BindingState.BLOCKED
    assert len(world.notices(NoticeKind.AUTH_LOST)) == 1
    with pytest.raises(NotAllowed):
        await world.ask(world.binding(link))
    before = len(world.cloud.calls())
    await world.run(5 * 3600, step=120)
    assert len(world.cloud.calls()) > before, "we go on trying"
    assert world.billed()[0]["status"] == "Stopped", "the cloud's timer"
    assert world.cloud.owes() <= CAP + SLACK
    assert len(world.notices(NoticeKind.AUTH_LOST)) == 1
    world.cloud.role(link.external_id, name="Freepool-ann")
    await world.until_state(order, OrderState.STOPPED, seconds=1200)
    assert world.order(order).blocked is None
    await world.until(lambda: world.binding(link).state is BindingState.ACTIVE, seconds=1200)
    assert world.creates() == [order.name]


@pytest.mark.parametrize("act", ["stop", "delete"])
async def test_row_10_ended_in_the_clouds_console(world: World, act: str) -> None:
    order = await world.running()
    world.cloud.console(order.name, act)
    to = OrderState.STOPPED if act == "stop" else OrderState.GONE
    found = await world.until_state(order, to)
    assert found.reason is StopReason.OUTSIDE
    since = world.cloud.last()
    await world.run(7200, step=60)
    assert world.order(order).state is to
    assert world.cloud.mutations(since=since) == []


async def test_row_10_stopped_and_started_again_while_nobody_looks(world: World) -> None:
    """It has lost its timer by that, and gets another one, for what is left of the run."""
    order = await world.running(cap="0.65")
    await world.run(60)
    world.cloud.console(order.name, "stop")
    world.pass_time(120)
    world.cloud.console(order.name, "status", status="Creating", held=False)
    world.pass_time(60)
    await world.run(90)
    (one,) = world.billed()
    assert one["due"] is not None
    world.pass_time(3 * 3600)
    assert world.billed()[0]["status"] == "Stopped"
    assert world.cloud.owes() <= Decimal("0.65") + SLACK


async def test_row_10_started_in_the_clouds_console(world: World) -> None:
    order = await world.running()
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED)
    world.cloud.console(order.name, "status", status="Creating", held=False)
    found = await world.until_state(order, OrderState.RECOVERED, seconds=1800)
    await world.until(lambda: world.order(order).auto_stop_set_at is not None)
    assert found.consent_id is None
    assert len(world.notices(NoticeKind.RECOVERED)) == 1
    await world.until_state(order, OrderState.STOPPED, seconds=3600)
