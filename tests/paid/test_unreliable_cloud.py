"""Clouds that answer and do not mean it, and clocks that jump: neither may keep the steward from ending a run."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from spawner.desk.paid.alarms import alarms
from spawner.errors import NoConsent, NotAllowed
from spawner.ledger.paid import bindings, orders
from spawner.ledger.paid.rows import (
    Binding,
    BindingState,
    Block,
    ConsentState,
    NoticeKind,
    Order,
    OrderState,
    StopReason,
)
from spawner.paid.accounts.binding import account_for
from spawner.paid.orders.executor import _Executor, read_snapshot
from spawner.paid.orders.policy import Action, NextAction
from spawner.paid.orders.results import CallFailed
from spawner.paid.paid import BINDING_LABEL, HUB_LABEL, ORDER_LABEL
from spawner.paid.providers.base import OutcomeUnknown, Request, Unavailable
from tests.cloud.steer import LI, SHANGHAI
from tests.paid.world import HANGZHOU, HUB, World


def binding_of(world: World, order: Order) -> Binding:
    """What it was made under."""
    return world.ledger.read(bindings.get, order.binding_id)


def alarms_of(world: World, order: Order) -> set[str]:
    """What an operator is told of it."""
    return {one.kind for one in alarms([world.order(order)], world.time, reaches=world.paid.reaches)}


async def stopped(world: World) -> Order:
    """One that ran, and is stopped."""
    order = await world.running()
    world.stop(order)
    return await world.until_state(order, OrderState.STOPPED)


# -- nobody can look


async def test_what_cannot_be_seen_is_stopped_where_it_could_not_be_armed(world: World) -> None:
    world.cloud.fault("CreateInstanceShutdownTimer", "close_before", times=-1)
    world.cloud.fault("GetInstance", "empty500", times=-1)
    order = await world.order_one()
    await world.run(300)
    assert world.billed()[0]["status"] == "Stopped"
    world.cloud.clear_faults()
    found = await world.until_state(order, OrderState.STOPPED)
    assert found.reason is StopReason.UNPROTECTED


async def test_a_stop_whose_answer_was_lost_is_asked_for_again_unseen(world: World) -> None:
    order = await world.running()
    world.cloud.fault("StopInstance", "close_before")
    world.cloud.fault("GetInstance", "empty500", times=-1)
    world.stop(order)
    await world.run(300)
    assert world.billed()[0]["status"] == "Stopped"
    assert len(world.cloud.calls(action="StopInstance")) >= 2
    world.cloud.clear_faults()
    await world.until_state(order, OrderState.STOPPED)


# -- taken, and without effect


@pytest.mark.parametrize("kind", ["ignored", "never_stops"])
async def test_a_stop_that_has_no_effect_is_told(world: World, kind: str) -> None:
    order = await world.running(hours=0.5)
    world.cloud.fault("StopInstance", kind, times=-1)
    world.cloud.fault("CreateInstanceShutdownTimer", "ignored", times=-1)
    world.cloud.console(order.name, "status", status="Running", held=True)  # its timer does nothing either
    await world.until_state(order, OrderState.STOPPING, seconds=2400)
    began = world.time
    await world.until(lambda: bool(world.notices(NoticeKind.STOP_FAILED)))
    assert world.time - began <= timedelta(seconds=world.rules.tell_after * world.rules.ask_again + 10)
    await world.run(180)
    found = world.order(order)
    assert (found.state, found.stop_wanted_at) == (OrderState.STOPPING, None), "its time was over"
    assert "stop_fails" in alarms_of(world, order)
    assert len(world.notices(NoticeKind.STOP_FAILED)) == 1


async def test_a_delete_that_has_no_effect_is_told(world: World) -> None:
    order = await world.running()
    world.cloud.fault("DeleteInstance", "ignored", times=-1)
    world.delete(order)
    await world.until_state(order, OrderState.DELETING)
    await world.until(lambda: bool(world.notices(NoticeKind.DELETE_FAILED)))


async def test_what_has_failed_has_its_limit_too(world: World) -> None:
    order = await world.running(hours=0.5)
    world.cloud.console(order.name, "status", status="Failed", held=True)
    await world.run(300)
    early = world.order(order)
    await world.run(300)
    assert Decimal(world.order(order).spent or 0) > Decimal(early.spent or 0), "it may bill"
    found = await world.until_state(order, OrderState.STOPPED, seconds=1800)
    assert found.reason is StopReason.TIME
    assert len(world.notices(NoticeKind.FAILED)) == 1


async def test_who_stops_what_has_failed_is_done_with_it(world: World) -> None:
    order = await world.running()
    world.cloud.console(order.name, "status", status="Failed", held=True)
    await world.run(60)
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED, seconds=60)
    since = world.cloud.last()
    await world.run(600)
    assert world.cloud.mutations(since=since) == []


# -- others are not in the way


async def test_accounts_that_do_not_answer_hold_up_nobodys_stop(world: World) -> None:
    order = await world.running()
    for number in range(30):
        world.link(f"user{number}", account=LI)
    world.cloud.fault("ListInstances", "hang_before", times=-1, seconds=0.9, account=LI)
    await world.crash()
    world.stop(order)
    for _ in range(100):
        await world.keeper.tick(patience=0)
        await asyncio.sleep(0.03)
        if "stop_taken" in world.record(order):
            break
    assert "stop_taken" in world.record(order)
    assert any(not world.keeper.has_discovered(one) for one in world.ledger.read(bindings.linked))
    world.cloud.clear_faults()


async def test_orders_that_only_wait_leave_room_for_others(world: World) -> None:
    world.keeper.at_once = 2
    world.cloud.fault("ListInstances", "empty500", times=-1, account=LI)
    for number in range(4):
        await world.order_one(world.link(f"user{number}", account=LI))
    order = await world.order_one()
    await world.until(lambda: world.order(order).state is OrderState.ACTIVE, seconds=15)


# -- unlinking


async def test_a_yes_is_worth_nothing_once_its_account_is_unlinked(world: World) -> None:
    link = world.link()
    consent = await world.accept(await world.ask(link))
    assert world.unlink(link)
    assert world.consent(consent).state is ConsentState.WITHDRAWN
    with pytest.raises(NoConsent):
        world.place(consent)


async def test_nothing_is_placed_where_nothing_may_be_made(world: World) -> None:
    link = world.link()
    consent = await world.accept(await world.ask(link))
    world.ledger.write(bindings.block, link.id, Block.AUTH_LOST, now=world.time)
    with pytest.raises(NotAllowed):
        world.place(consent)
    assert world.consent(consent).state is ConsentState.ACCEPTED, "both or neither"


async def test_what_cannot_be_reached_is_kept_until_its_timer_has_fired(world: World) -> None:
    link = world.link()
    order = await world.running(link, hours=1)
    still = await stopped_beside(world, link)
    world.cloud.drop_role(world.binding(link).role or "")
    await world.run(120)
    assert not world.unlink(link)
    assert world.binding(link).state is BindingState.BLOCKED
    await world.run(3600, step=60)
    assert world.unlink(link)
    assert {(one.state, one.reason) for one in (world.order(order), world.order(still))} == {
        (OrderState.GONE, StopReason.UNLINKED)
    }
    assert len(world.notices(NoticeKind.LEFT)) == 2
    again = world.link()
    await world.run(120)
    kept = world.ledger.read(orders.of_binding, again.id)
    assert {one.state for one in kept} == {OrderState.STOPPED}
    assert len(kept) == 2, "who links it again finds it again"


async def stopped_beside(world: World, link: Binding) -> Order:
    order = await world.running(link)
    world.stop(order)
    return await world.until_state(order, OrderState.STOPPED)


# -- stopped, and started again


async def test_a_stop_of_what_is_stopped_is_in_nobodys_way(world: World) -> None:
    order = await stopped(world)
    world.stop(order)
    assert world.order(order).stop_wanted_at is None
    consent = await world.ask(binding_of(world, order), order=world.order(order))
    world.place(await world.accept(consent))
    await world.until(lambda: world.is_running(order))


async def test_a_start_that_shows_late_is_the_run_that_was_paid_for(world: World) -> None:
    order = await stopped(world)
    world.cloud.fault("StartInstance", "ignored")
    world.place(await world.accept(await world.ask(binding_of(world, order), order=world.order(order))))
    await world.tick(3)
    world.pass_time(5)
    await world.tick()
    assert world.order(order).state is OrderState.ACTIVE, "taken, and not shown yet"
    world.cloud.console(order.name, "status", status="Running", held=False)
    await world.until(lambda: world.is_running(order), seconds=60)
    assert world.notices(NoticeKind.RECOVERED) == []


async def test_a_refused_restart_does_not_make_it_young(world: World) -> None:
    order = await stopped(world)
    since = world.order(order).stopped_at
    world.pass_time(3600)
    await world.tick()
    world.cloud.fault("StartInstance", "error", code="ValidationError", message="no")
    world.place(await world.accept(await world.ask(binding_of(world, order), order=world.order(order))))
    found = await world.until_state(order, OrderState.STOPPED)
    assert (found.reason, found.stopped_at) == (StopReason.REFUSED, since)


# -- access


async def test_access_is_not_regained_while_a_stop_is_refused(world: World) -> None:
    link = world.link()
    order = await world.running(link)
    world.cloud.fault("StopInstance", "error", times=-1, status=403, code="NoPermission")
    world.stop(order)
    await world.run(900, step=10)
    assert world.binding(link).state is BindingState.BLOCKED
    assert len(world.notices(NoticeKind.AUTH_LOST)) == 1
    world.cloud.clear_faults()
    await world.until(lambda: world.binding(link).state is BindingState.ACTIVE)
    world.cloud.drop_role(world.binding(link).role or "")
    await world.run(120)
    assert len(world.notices(NoticeKind.AUTH_LOST)) == 2, "a second loss is news"


# -- clocks


async def test_the_clouds_own_count_tells_its_timer_from_its_owner(world: World) -> None:
    order = await world.running(hours=0.5)
    world.cloud.advance(1750)  # their clock runs, and ours does not
    world.time += timedelta(seconds=60)
    world.cloud.advance(60)
    found = await world.until_state(order, OrderState.STOPPED)
    assert found.reason is StopReason.TIME


async def test_a_clock_that_is_set_back_delays_nothing(world: World) -> None:
    order = await world.running(hours=0.5)
    other = await stopped_beside(world, binding_of(world, order))
    since = world.cloud.last()
    world.time -= timedelta(hours=1)
    await world.tick()
    actions = [call.action for call in world.cloud.calls(since=since)]
    assert "GetInstance" in actions
    assert actions.count("ListInstances") == 2, "both regions"
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED, seconds=60)
    assert world.order(other).state is OrderState.STOPPED


async def test_a_day_of_patience_is_too_much_to_ask(world: World) -> None:
    order = await world.running()
    world.cloud.fault("StopInstance", "throttle", seconds=86400)
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED, seconds=180)
    world.cloud.fault("ListInstances", "throttle", times=2, seconds=86400)
    await world.crash()
    await world.until(lambda: world.keeper.has_discovered(binding_of(world, order)))


async def test_an_answer_that_does_not_come_is_one_that_was_lost(world: World) -> None:
    order = await world.running()
    world.paid = replace(world.paid, rules=replace(world.rules, call=0.05))
    moment = world.ledger.read(read_snapshot, order.id, has_discovered=True, now=world.time)
    executor = _Executor(
        world.paid, world.provider, account_for(moment.binding, moment.order), moment, NextAction(Action.STOP)
    )

    async def never() -> None:
        await asyncio.sleep(60)

    for was_sent, kind in ((True, OutcomeUnknown), (False, Unavailable)):
        outcome = await executor._call(never, was_sent=was_sent)
        assert isinstance(outcome, CallFailed)
        assert (type(outcome.error), outcome.was_sent) == (kind, was_sent)


# -- what the settings do not name any more


async def test_an_order_in_a_cloud_that_is_switched_off_is_given_up(world: World) -> None:
    order = await world.order_one()
    world.paid = replace(world.paid, providers={}, regions={})
    world.keeper = world.new_keeper()
    await world.run(30)
    assert world.order(order).state is OrderState.REJECTED


async def test_a_region_that_is_switched_off_is_not_in_the_way(world: World, caplog: pytest.LogCaptureFixture) -> None:
    link = world.link()
    world.ledger.write(bindings.activate, link.id, role=world.binding(link).role or "",
                       workspaces={"cn-elsewhere": "w"}, now=world.time)  # fmt: skip
    order = await world.order_one(world.binding(link))
    await world.until(lambda: world.is_running(order))
    assert sum("cn-elsewhere" in line.getMessage() for line in caplog.records) == 1


async def test_what_runs_in_a_region_that_is_switched_off_is_left_to_its_timer_and_shown(world: World) -> None:
    link = world.link()
    order = await world.running(link, hours=1)
    assert alarms_of(world, order) == set()
    world.paid = replace(world.paid, regions={"dsw": (SHANGHAI,)})
    world.keeper = world.new_keeper()
    since = world.cloud.last()
    world.stop(order)
    await world.run(120)
    assert [call.action for call in world.cloud.calls(since=since) if call.params.get("RegionId") == HANGZHOU] == []
    assert world.cloud.mutations(since=since) == []
    assert "switched_off" in alarms_of(world, order)
    assert not world.unlink(link), "it may still run"
    await world.run(3600, step=60)
    assert [row["status"] for row in world.billed()] == ["Stopped"], "by its timer"
    assert world.unlink(link)
    assert (world.order(order).state, world.order(order).reason) == (OrderState.GONE, StopReason.UNLINKED)


# -- the cloud's word for everything else


@pytest.mark.parametrize("status", [400, 404])
async def test_an_internal_error_is_neither_gone_nor_refused(world: World, status: int) -> None:
    order = await world.running()
    world.cloud.fault("GetInstance", "error", status=status, code="InternalError", times=3)
    await world.run(120)
    assert world.order(order).state is OrderState.ACTIVE
    world.cloud.fault("CreateInstance", "error", status=status, code="InternalError")
    another = await world.order_one(world.link("bob"))
    await world.until(lambda: world.is_running(another))


async def test_one_word_is_not_enough_to_be_gone(world: World) -> None:
    order = await world.running()
    world.cloud.fault("GetInstance", "error", status=404, code="ResourceNotFound")
    await world.run(40)
    assert world.order(order).state is OrderState.ACTIVE


async def test_what_was_ended_by_mistake_is_soon_found_again(world: World) -> None:
    order = await world.running()
    gone = {"state": OrderState.GONE, "ended_at": world.time}
    world.ledger.write(lambda c: orders.update_read(c, orders.get(c, order.id), gone))
    await world.run(world.rules.seen_within + 2 * world.rules.discovery_interval)
    assert world.order(order).state is OrderState.RECOVERED


# -- twins


async def twin(world: World, order: Order, workspace: str) -> str:
    found = world.order(order)
    account = replace(account_for(binding_of(world, found), found), workspace=workspace)
    labels = {HUB_LABEL: HUB, ORDER_LABEL: found.id, BINDING_LABEL: found.binding_id}
    return await world.provider.create(account, Request(found.name, found.instance_type, labels))


async def test_a_twin_is_seen_and_ended(world: World) -> None:
    order = await world.running()
    there = await twin(world, order, await elsewhere(world))
    await world.until(lambda: len(world.ledger.read(orders.alive)) == 2)
    (other,) = [one for one in world.ledger.read(orders.alive) if one.id != order.id]
    assert (other.remote_id, other.name, other.state) == (there, order.name, OrderState.RECOVERED)
    await world.until(lambda: world.order(other).auto_stop_set_at is not None)


async def elsewhere(world: World) -> str:
    """Another workspace of the same account."""
    (first,) = {one["workspace"] for one in world.billed()}
    world.cloud.account(workspaces={first: "one", "w2": "two"})
    return "w2"


async def test_unknown_twins_hide_neither_each_other_nor_anything_else(world: World) -> None:
    order = await world.running()
    room = await elsewhere(world)
    await twin(world, order, room)
    world.ledger.write(lambda c: c.exec_driver_sql("DELETE FROM orders"))
    await world.crash()
    await world.until(lambda: len(world.ledger.read(orders.alive)) == 2, seconds=120)
    assert len({one.remote_id for one in world.ledger.read(orders.alive)}) == 2


async def test_an_order_stays_in_its_workspace(world: World) -> None:
    link = world.link()
    role = world.binding(link).role or ""
    world.ledger.write(bindings.activate, link.id, role=role, workspaces={HANGZHOU: "w1"}, now=world.time)
    order = await world.order_one(world.binding(link))
    world.ledger.write(bindings.activate, link.id, role=role, workspaces={HANGZHOU: "w2"}, now=world.time)
    moment = world.ledger.read(read_snapshot, order.id, has_discovered=True, now=world.time)
    assert account_for(moment.binding, moment.order).workspace == "w1"
