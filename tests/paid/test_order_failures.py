"""Failures of creating, stopping and deleting an instance, with the real SDK against the stand-in cloud."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from spawner.errors import NotAllowed
from spawner.ledger.paid.rows import BindingState, Block, NoticeKind, OrderState, StopReason
from tests.paid.world import CAP, SLACK, World

# -- creating


async def test_a_steward_killed_during_a_create_adopts_the_instance(world: World) -> None:
    order = await world.new_order()
    await world.tick()  # discovery comes first
    world.cloud.fault("CreateInstance", "slow", seconds=0.8)
    working = asyncio.create_task(world.reconciler.tick())
    await asyncio.sleep(0.5)  # the cloud has created it, and has not answered yet
    working.cancel()
    await world.crash()
    assert world.order(order).state is OrderState.CREATING
    await world.until_running(order)
    assert len(world.cloud_instances()) == 1
    assert world.order(order).remote_id == world.cloud_instances()[0]["id"]
    assert world.requested_names() == [order.name]


@pytest.mark.parametrize("kind", ["close_after", "hang_after", "half_body"])
async def test_a_create_whose_answer_is_lost_makes_one_instance(world: World, kind: str) -> None:
    order = await world.new_order()
    await world.tick()
    world.cloud.fault("CreateInstance", kind, seconds=1.5)
    await world.tick()
    assert world.order(order).state is OrderState.UNKNOWN
    assert world.notices() == [], "no failure is reported"
    await world.until_running(order)
    assert [instance["id"] for instance in world.cloud_instances()] == [world.order(order).remote_id]
    assert world.requested_names() == [order.name]


@pytest.mark.parametrize("kind", ["close_before", "hang_before"])
async def test_a_create_lost_before_the_cloud_acted_is_sent_again_after_a_pause(world: World, kind: str) -> None:
    order = await world.new_order()
    await world.tick()
    world.cloud.fault("CreateInstance", kind, seconds=1.5)
    await world.tick()
    assert world.cloud_instances() == []
    await world.run(20)
    assert world.requested_names() == [order.name], "the second create comes after a pause"
    await world.until_running(order)
    assert len(world.cloud_instances()) == 1
    assert world.requested_names() == [order.name] * 2


async def test_a_lost_create_that_is_cancelled_is_not_sent_again(world: World) -> None:
    order = await world.new_order()
    await world.tick()
    world.cloud.fault("CreateInstance", "close_before")
    await world.tick()
    world.stop(order)
    await world.run(3600, step=60)
    assert world.order(order).state is OrderState.UNKNOWN, "the instance may still appear"
    await world.run(24 * 3600, step=1800)
    assert world.order(order).state is OrderState.REJECTED
    assert world.cloud_instances() == []
    assert world.requested_names() == [order.name]


async def test_an_instance_that_appears_late_is_adopted(world: World) -> None:
    order = await world.new_order()
    await world.tick()
    world.cloud.fault("CreateInstance", "late", seconds=20)
    await world.tick()
    await world.run(10)
    assert world.order(order).state is OrderState.UNKNOWN
    await world.until_running(order)
    assert len(world.cloud_instances()) == 1
    assert world.requested_names() == [order.name]


@pytest.mark.parametrize("why", ["cancelled", "expired"])
async def test_an_instance_that_appears_late_and_is_unwanted_is_deleted(world: World, why: str) -> None:
    order = await world.new_order()
    await world.tick()
    world.cloud.fault("CreateInstance", "late", seconds=900)
    await world.tick()
    if why == "cancelled":
        world.stop(order)
    else:
        world.cloud.fault("CreateInstance", "close_before", times=-1)
    await world.run(890, step=10)
    assert world.cloud_instances() == []
    await world.run(world.rules.discovery_interval + 120, step=5)
    assert world.cloud_instances() == [], "found, stopped and deleted"
    assert world.order(order).state is OrderState.GONE
    assert set(world.requested_names()) == {order.name}


@pytest.mark.parametrize(
    "kind", ["html502", "html502_before", "empty500", "list400", "not_json", "body_none", "no_id",
             "success_false_after", "ignored"],
)  # fmt: skip
async def test_after_an_unclear_answer_the_instance_is_looked_up_before_a_second_create(
    world: World, kind: str
) -> None:
    order = await world.new_order()
    await world.tick()
    world.cloud.fault("CreateInstance", kind)
    since = world.cloud.last()
    await world.tick()
    await world.until_running(order)
    actions = [call.action for call in world.cloud.calls(since=since)]
    first = actions.index("CreateInstance")
    if "CreateInstance" in actions[first + 1 :]:
        again = actions.index("CreateInstance", first + 1)
        assert "ListInstances" in actions[first:again], "looked up before the second create"
    assert [instance["id"] for instance in world.cloud_instances()] == [world.order(order).remote_id]
    assert set(world.requested_names()) == {order.name}


@pytest.mark.parametrize(
    ("message", "reason"), [("The resource is out of stock now", StopReason.REFUSED), ("no", StopReason.REFUSED)]
)
async def test_a_refused_create_rejects_the_order(world: World, message: str, reason: StopReason) -> None:
    order = await world.new_order()
    await world.tick()
    world.cloud.fault("CreateInstance", "error", status=400, code="ValidationError", message=message)
    await world.tick()
    await world.run(600, step=30)
    found = world.order(order)
    assert (found.state, found.reason) == (OrderState.REJECTED, reason)
    assert len(world.notices(NoticeKind.NOT_MADE)) == 1
    assert world.requested_names() == [order.name]


# -- stopping and deleting


@pytest.mark.parametrize("kind", ["error", "empty500", "close_before", "hang_before", "close_after", "html502"])
async def test_an_order_stays_deleting_until_its_instance_is_gone(world: World, kind: str) -> None:
    order = await world.running()
    world.cloud.fault("DeleteInstance", kind, times=5, seconds=1.5, status=409, code="Conflict")
    world.delete(order)
    await world.until_state(order, OrderState.DELETING)
    await world.until(
        lambda: kind.endswith("after") or kind == "html502" or bool(world.notices(NoticeKind.DELETE_FAILED))
    )
    assert world.order(order).state in (OrderState.DELETING, OrderState.GONE)
    if world.order(order).state is not OrderState.GONE:
        assert world.cloud_instances(), "not GONE while the instance exists"
    await world.until_state(order, OrderState.GONE, seconds=1800)
    assert world.cloud_instances() == []


async def test_an_order_is_gone_only_once_the_cloud_says_so(world: World) -> None:
    link = world.link()
    order = await world.running(link)
    world.delete(order)
    await world.until_state(order, OrderState.DELETING)
    role = world.binding(link).role
    assert role is not None
    world.cloud.drop_role(role)
    await world.run(600, step=30)
    assert world.cloud_instances() == []
    assert world.order(order).state is OrderState.DELETING, "the instance could not be described"
    world.cloud.role(link.external_id, name="Freepool-ann")
    await world.until_state(order, OrderState.GONE, seconds=600)


@pytest.mark.parametrize("kind", ["empty500", "close_before", "error"])
async def test_a_failed_stop_is_retried_and_reported_once(world: World, kind: str) -> None:
    order = await world.running()
    world.cloud.fault("StopInstance", kind, times=5, status=500)
    world.stop(order)
    await world.until(lambda: bool(world.notices(NoticeKind.STOP_FAILED)))
    assert world.order(order).state is OrderState.STOPPING
    (one,) = world.cloud_instances()
    assert one["status"] == "Running"
    assert one["due"] is not None, "auto-stop is still set"
    await world.until_state(order, OrderState.STOPPED)
    assert len(world.notices(NoticeKind.STOP_FAILED)) == 1
    assert world.cloud_instances()[0]["status"] == "Stopped"


@pytest.mark.parametrize("kind", ["ignored", "never_stops"])
async def test_a_stop_without_effect_is_reported_once(world: World, kind: str) -> None:
    order = await world.running()
    world.cloud.fault("StopInstance", kind, times=-1)
    world.stop(order)
    await world.until(lambda: bool(world.notices(NoticeKind.STOP_FAILED)), seconds=900)
    assert world.order(order).state is OrderState.STOPPING
    await world.run(300, step=10)
    assert len(world.notices(NoticeKind.STOP_FAILED)) == 1


async def test_a_stop_without_effect_is_sent_again(world: World) -> None:
    order = await world.running()
    world.cloud.fault("StopInstance", "ignored", times=3)
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED)
    assert len(world.cloud.calls(action="StopInstance")) == 4
    assert world.cloud_instances()[0]["status"] == "Stopped"


async def test_expired_sessions_are_replaced_once_per_region(world: World) -> None:
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


async def test_a_removed_role_blocks_the_account_until_it_is_back(world: World) -> None:
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
    assert len(world.cloud.calls()) > before, "the steward goes on trying"
    assert world.cloud_instances()[0]["status"] == "Stopped", "by auto-stop"
    assert world.cloud.owes() <= CAP + SLACK
    assert len(world.notices(NoticeKind.AUTH_LOST)) == 1
    world.cloud.role(link.external_id, name="Freepool-ann")
    await world.until_state(order, OrderState.STOPPED, seconds=1200)
    assert world.order(order).blocked is None
    await world.until(lambda: world.binding(link).state is BindingState.ACTIVE, seconds=1200)
    assert world.requested_names() == [order.name]


@pytest.mark.parametrize("act", ["stop", "delete"])
async def test_an_instance_ended_in_the_clouds_console_is_not_started_again(world: World, act: str) -> None:
    order = await world.running()
    world.cloud.console(order.name, act)
    to = OrderState.STOPPED if act == "stop" else OrderState.GONE
    found = await world.until_state(order, to)
    assert found.reason is StopReason.OUTSIDE
    since = world.cloud.last()
    await world.run(7200, step=60)
    assert world.order(order).state is to
    assert world.cloud.mutations(since=since) == []


async def test_a_restart_in_the_clouds_console_gets_a_new_auto_stop(world: World) -> None:
    """The stop removes auto-stop, so it is set again for the rest of the run."""
    order = await world.running(cap="0.65")
    await world.run(60)
    world.cloud.console(order.name, "stop")
    world.pass_time(120)
    world.cloud.console(order.name, "status", status="Creating", held=False)
    world.pass_time(60)
    await world.run(90)
    (one,) = world.cloud_instances()
    assert one["due"] is not None
    world.pass_time(3 * 3600)
    assert world.cloud_instances()[0]["status"] == "Stopped"
    assert world.cloud.owes() <= Decimal("0.65") + SLACK


async def test_an_instance_started_in_the_clouds_console_is_recovered_and_stopped(world: World) -> None:
    order = await world.running()
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED)
    world.cloud.console(order.name, "status", status="Creating", held=False)
    found = await world.until_state(order, OrderState.RECOVERED, seconds=1800)
    await world.until(lambda: world.order(order).auto_stop_set_at is not None)
    assert found.consent_id is None
    assert len(world.notices(NoticeKind.RECOVERED)) == 1
    await world.until_state(order, OrderState.STOPPED, seconds=3600)
