"""A run ends in spite of calls without effect, unreachable accounts, removed regions, duplicates and wrong clocks."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from spawner.desk.paid.alarms import alarms, read_alarms
from spawner.errors import NoConsent, NotAllowed
from spawner.ledger.paid import bindings, consents, orders
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
    return world.ledger.read(bindings.get, order.binding_id)


def alarms_of(world: World, order: Order) -> set[str]:
    """The kinds of the alarms that administrators see for an order."""
    return {alarm.kind for alarm in alarms([world.order(order)], world.time, reaches=world.paid.reaches)}


async def stopped(world: World) -> Order:
    """An order whose instance ran and was stopped."""
    order = await world.running()
    world.stop(order)
    return await world.until_state(order, OrderState.STOPPED)


# -- describe fails


async def test_an_instance_without_auto_stop_is_stopped_though_describe_fails(world: World) -> None:
    world.cloud.fault("CreateInstanceShutdownTimer", "close_before", times=-1)
    world.cloud.fault("GetInstance", "empty500", times=-1)
    order = await world.new_order()
    await world.run(300)
    assert world.cloud_instances()[0]["status"] == "Stopped"
    world.cloud.clear_faults()
    found = await world.until_state(order, OrderState.STOPPED)
    assert found.reason is StopReason.UNPROTECTED


async def test_a_lost_stop_is_sent_again_though_describe_fails(world: World) -> None:
    order = await world.running()
    world.cloud.fault("StopInstance", "close_before")
    world.cloud.fault("GetInstance", "empty500", times=-1)
    world.stop(order)
    await world.run(300)
    assert world.cloud_instances()[0]["status"] == "Stopped"
    assert len(world.cloud.calls(action="StopInstance")) >= 2
    world.cloud.clear_faults()
    await world.until_state(order, OrderState.STOPPED)


# -- calls without effect


@pytest.mark.parametrize("kind", ["ignored", "never_stops"])
async def test_a_stop_without_effect_raises_an_alarm_and_one_notice(world: World, kind: str) -> None:
    order = await world.running(hours=0.5)
    world.cloud.fault("StopInstance", kind, times=-1)
    world.cloud.fault("CreateInstanceShutdownTimer", "ignored", times=-1)
    world.cloud.console(order.name, "status", status="Running", held=True)  # auto-stop has no effect, either
    await world.until_state(order, OrderState.STOPPING, seconds=2400)
    began = world.time
    await world.until(lambda: bool(world.notices(NoticeKind.STOP_FAILED)))
    assert world.time - began <= timedelta(seconds=world.rules.tell_after * world.rules.ask_again + 10)
    await world.run(180)
    found = world.order(order)
    assert (found.state, found.stop_wanted_at) == (OrderState.STOPPING, None), "the chosen time is over"
    assert "stop_fails" in alarms_of(world, order)
    consent = world.ledger.read(consents.get, found.consent_id or "")
    assert world.ledger.read(read_alarms).caps == {consent.id: consent.cap}
    assert len(world.notices(NoticeKind.STOP_FAILED)) == 1


async def test_a_delete_without_effect_is_reported(world: World) -> None:
    order = await world.running()
    world.cloud.fault("DeleteInstance", "ignored", times=-1)
    world.delete(order)
    await world.until_state(order, OrderState.DELETING)
    await world.until(lambda: bool(world.notices(NoticeKind.DELETE_FAILED)))


async def test_a_failed_instance_is_stopped_at_its_chosen_time(world: World) -> None:
    order = await world.running(hours=0.5)
    world.cloud.console(order.name, "status", status="Failed", held=True)
    await world.run(300)
    early = world.order(order)
    await world.run(300)
    assert Decimal(world.order(order).spent or 0) > Decimal(early.spent or 0), "it may cost money"
    found = await world.until_state(order, OrderState.STOPPED, seconds=1800)
    assert found.reason is StopReason.TIME
    assert len(world.notices(NoticeKind.FAILED)) == 1


async def test_a_stopped_failed_instance_gets_no_further_calls(world: World) -> None:
    order = await world.running()
    world.cloud.console(order.name, "status", status="Failed", held=True)
    await world.run(60)
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED, seconds=60)
    since = world.cloud.last()
    await world.run(600)
    assert world.cloud.mutations(since=since) == []


# -- other accounts and orders


async def test_hanging_accounts_do_not_delay_a_stop(world: World) -> None:
    order = await world.running()
    for number in range(30):
        world.link(f"user{number}", account=LI)
    world.cloud.fault("ListInstances", "hang_before", times=-1, seconds=0.9, account=LI)
    await world.crash()
    world.stop(order)
    for _ in range(100):
        await world.reconciler.tick(patience=0)
        await asyncio.sleep(0.03)
        if "stop_taken" in world.events(order):
            break
    assert "stop_taken" in world.events(order)
    assert any(not world.reconciler.has_discovered(link) for link in world.ledger.read(bindings.linked))
    world.cloud.clear_faults()


async def test_waiting_orders_do_not_delay_others(world: World) -> None:
    world.reconciler.at_once = 2
    world.cloud.fault("ListInstances", "empty500", times=-1, account=LI)
    for number in range(4):
        await world.new_order(world.link(f"user{number}", account=LI))
    order = await world.new_order()
    await world.until(lambda: world.order(order).state is OrderState.ACTIVE, seconds=15)


# -- unlinking


async def test_unlinking_withdraws_accepted_consents(world: World) -> None:
    link = world.link()
    consent = await world.accept(await world.ask(link))
    assert world.unlink(link)
    assert world.consent(consent).state is ConsentState.WITHDRAWN
    with pytest.raises(NoConsent):
        world.place(consent)


async def test_a_blocked_account_refuses_an_order_and_keeps_its_consent(world: World) -> None:
    link = world.link()
    consent = await world.accept(await world.ask(link))
    world.ledger.write(bindings.block, link.id, Block.AUTH_LOST, now=world.time)
    with pytest.raises(NotAllowed):
        world.place(consent)
    assert world.consent(consent).state is ConsentState.ACCEPTED, "order and consent change together or not at all"


async def test_an_unreachable_account_is_unlinked_once_auto_stop_is_due(world: World) -> None:
    link = world.link()
    order = await world.running(link, hours=1)
    still = await second_stopped(world, link)
    world.cloud.drop_role(world.binding(link).role or "")
    await world.run(120)
    assert not world.unlink(link)
    assert world.binding(link).state is BindingState.BLOCKED
    await world.run(3600, step=60)
    assert world.unlink(link)
    assert {(ended.state, ended.reason) for ended in (world.order(order), world.order(still))} == {
        (OrderState.GONE, StopReason.UNLINKED)
    }
    assert len(world.notices(NoticeKind.LEFT)) == 2
    again = world.link()
    await world.run(120)
    kept = world.ledger.read(orders.of_binding, again.id)
    assert {order.state for order in kept} == {OrderState.STOPPED}
    assert len(kept) == 2, "the next binding of the account adopts both"


async def second_stopped(world: World, link: Binding) -> Order:
    order = await world.running(link)
    world.stop(order)
    return await world.until_state(order, OrderState.STOPPED)


# -- restarts


async def test_a_stop_of_a_stopped_instance_does_not_prevent_a_restart(world: World) -> None:
    order = await stopped(world)
    world.stop(order)
    assert world.order(order).stop_wanted_at is None
    consent = await world.ask(binding_of(world, order), order=world.order(order))
    world.place(await world.accept(consent))
    await world.until(lambda: world.is_running(order))


async def test_a_start_that_takes_effect_late_is_not_a_recovery(world: World) -> None:
    order = await stopped(world)
    world.cloud.fault("StartInstance", "ignored")
    world.place(await world.accept(await world.ask(binding_of(world, order), order=world.order(order))))
    await world.tick(3)
    world.pass_time(5)
    await world.tick()
    assert world.order(order).state is OrderState.ACTIVE, "the start has no effect yet"
    world.cloud.console(order.name, "status", status="Running", held=False)
    await world.until(lambda: world.is_running(order), seconds=60)
    assert world.notices(NoticeKind.RECOVERED) == []


async def test_a_refused_restart_keeps_the_time_of_the_stop(world: World) -> None:
    order = await stopped(world)
    since = world.order(order).stopped_at
    world.pass_time(3600)
    await world.tick()
    world.cloud.fault("StartInstance", "error", code="ValidationError", message="no")
    world.place(await world.accept(await world.ask(binding_of(world, order), order=world.order(order))))
    found = await world.until_state(order, OrderState.STOPPED)
    assert (found.reason, found.stopped_at) == (StopReason.REFUSED, since)


# -- access


async def test_an_account_stays_blocked_while_a_stop_is_refused(world: World) -> None:
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
    assert len(world.notices(NoticeKind.AUTH_LOST)) == 2, "a second loss is reported"


# -- clocks


async def test_a_stop_by_auto_stop_is_recognized_by_the_clouds_running_time(world: World) -> None:
    order = await world.running(hours=0.5)
    world.cloud.advance(1750)  # only the cloud's clock runs
    world.time += timedelta(seconds=60)
    world.cloud.advance(60)
    found = await world.until_state(order, OrderState.STOPPED)
    assert found.reason is StopReason.TIME


async def test_a_clock_that_is_set_back_delays_no_call(world: World) -> None:
    order = await world.running(hours=0.5)
    other = await second_stopped(world, binding_of(world, order))
    since = world.cloud.last()
    world.time -= timedelta(hours=1)
    await world.tick()
    actions = [call.action for call in world.cloud.calls(since=since)]
    assert "GetInstance" in actions
    assert actions.count("ListInstances") == 2, "both regions"
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED, seconds=60)
    assert world.order(other).state is OrderState.STOPPED


async def test_a_throttle_delay_of_a_day_is_capped(world: World) -> None:
    order = await world.running()
    world.cloud.fault("StopInstance", "throttle", seconds=86400)
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED, seconds=180)
    world.cloud.fault("ListInstances", "throttle", times=2, seconds=86400)
    await world.crash()
    await world.until(lambda: world.reconciler.has_discovered(binding_of(world, order)))


async def test_a_call_that_times_out_counts_as_a_lost_answer(world: World) -> None:
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


# -- providers and regions that the settings no longer name


async def test_an_order_of_a_removed_provider_is_rejected(world: World) -> None:
    order = await world.new_order()
    world.paid = replace(world.paid, providers={}, regions={})
    world.reconciler = world.new_reconciler()
    await world.run(30)
    assert world.order(order).state is OrderState.REJECTED


async def test_a_removed_region_is_skipped_and_logged_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    link = world.link()
    world.ledger.write(bindings.activate, link.id, role=world.binding(link).role or "",
                       workspaces={"cn-other_workspace": "w"}, now=world.time)  # fmt: skip
    order = await world.new_order(world.binding(link))
    await world.until(lambda: world.is_running(order))
    assert sum("cn-other_workspace" in line.getMessage() for line in caplog.records) == 1


async def test_an_instance_in_a_removed_region_is_left_to_auto_stop_and_raises_an_alarm(world: World) -> None:
    link = world.link()
    order = await world.running(link, hours=1)
    assert alarms_of(world, order) == set()
    world.paid = replace(world.paid, regions={"dsw": (SHANGHAI,)})
    world.reconciler = world.new_reconciler()
    since = world.cloud.last()
    world.stop(order)
    await world.run(120)
    assert [call.action for call in world.cloud.calls(since=since) if call.params.get("RegionId") == HANGZHOU] == []
    assert world.cloud.mutations(since=since) == []
    assert "switched_off" in alarms_of(world, order)
    assert not world.unlink(link), "it may still run"
    await world.run(3600, step=60)
    assert [row["status"] for row in world.cloud_instances()] == ["Stopped"], "by auto-stop"
    assert world.unlink(link)
    assert (world.order(order).state, world.order(order).reason) == (OrderState.GONE, StopReason.UNLINKED)


# -- unclear errors


@pytest.mark.parametrize("status", [400, 404])
async def test_an_internal_error_is_neither_not_found_nor_a_refusal(world: World, status: int) -> None:
    order = await world.running()
    world.cloud.fault("GetInstance", "error", status=status, code="InternalError", times=3)
    await world.run(120)
    assert world.order(order).state is OrderState.ACTIVE
    world.cloud.fault("CreateInstance", "error", status=status, code="InternalError")
    another = await world.new_order(world.link("bob"))
    await world.until(lambda: world.is_running(another))


async def test_a_single_not_found_does_not_end_an_order(world: World) -> None:
    order = await world.running()
    world.cloud.fault("GetInstance", "error", status=404, code="ResourceNotFound")
    await world.run(40)
    assert world.order(order).state is OrderState.ACTIVE


async def test_discovery_recovers_an_instance_whose_order_was_ended(world: World) -> None:
    order = await world.running()
    gone = {"state": OrderState.GONE, "ended_at": world.time}
    world.ledger.write(lambda c: orders.update_read(c, orders.get(c, order.id), gone))
    await world.run(world.rules.seen_within + 2 * world.rules.discovery_interval)
    assert world.order(order).state is OrderState.RECOVERED


# -- duplicates


async def create_duplicate(world: World, order: Order, workspace: str) -> str:
    found = world.order(order)
    account = replace(account_for(binding_of(world, found), found), workspace=workspace)
    labels = {HUB_LABEL: HUB, ORDER_LABEL: found.id, BINDING_LABEL: found.binding_id}
    return await world.provider.create(account, Request(found.name, found.instance_type, labels))


async def test_a_duplicate_in_another_workspace_is_recovered(world: World) -> None:
    order = await world.running()
    there = await create_duplicate(world, order, await other_workspace(world))
    await world.until(lambda: len(world.ledger.read(orders.alive)) == 2)
    (other,) = [found for found in world.ledger.read(orders.alive) if found.id != order.id]
    assert (other.remote_id, other.name, other.state) == (there, order.name, OrderState.RECOVERED)
    await world.until(lambda: world.order(other).auto_stop_set_at is not None)


async def other_workspace(world: World) -> str:
    """Another workspace of the same account."""
    (first,) = {instance["workspace"] for instance in world.cloud_instances()}
    world.cloud.account(workspaces={first: "one", "w2": "two"})
    return "w2"


async def test_duplicates_without_orders_are_both_recovered(world: World) -> None:
    order = await world.running()
    room = await other_workspace(world)
    await create_duplicate(world, order, room)
    world.ledger.write(lambda c: c.exec_driver_sql("DELETE FROM orders"))
    await world.crash()
    await world.until(lambda: len(world.ledger.read(orders.alive)) == 2, seconds=120)
    assert len({order.remote_id for order in world.ledger.read(orders.alive)}) == 2


async def test_an_order_stays_in_its_workspace(world: World) -> None:
    link = world.link()
    role = world.binding(link).role or ""
    world.ledger.write(bindings.activate, link.id, role=role, workspaces={HANGZHOU: "w1"}, now=world.time)
    order = await world.new_order(world.binding(link))
    world.ledger.write(bindings.activate, link.id, role=role, workspaces={HANGZHOU: "w2"}, now=world.time)
    moment = world.ledger.read(read_snapshot, order.id, has_discovered=True, now=world.time)
    assert account_for(moment.binding, moment.order).workspace == "w1"
