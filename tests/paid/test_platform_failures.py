"""Rows 11 to 16: what goes wrong on our own side, or between a question and its answer. See `test_order_failures`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from spawner.errors import FreepoolError, NoConsent, OfferChanged
from spawner.ledger.paid import bindings
from spawner.ledger.paid.rows import ConsentState, NoticeKind, OrderState, StopReason
from tests.paid.world import PRICE, SLACK, SMALL, World, restored


async def test_row_11_an_old_ledger_that_does_not_know_the_order(world: World) -> None:
    consent = await world.accept(await world.ask(world.link()))
    backup = world.backup()
    order = world.place(consent)
    await world.settles(order)
    world.cloud.console(order.name, "use")
    async with restored(world, backup, after=60) as old:
        await old.run(30)
        found = old.order(order)
        assert (found.state, found.remote_id) == (OrderState.RECOVERED, old.billed()[0]["id"])
        assert found.auto_stop_set_at is not None
        assert len(old.notices(NoticeKind.RECOVERED)) == 1
        with pytest.raises(NoConsent):
            old.place(consent)
        assert old.creates() == [order.name]
        await old.until_state(order, OrderState.STOPPED, seconds=2400)


async def test_row_11_an_old_ledger_and_a_quick_hub(world: World) -> None:
    consent = await world.accept(await world.ask(world.link()))
    backup = world.backup()
    order = world.place(consent)
    await world.settles(order)
    async with restored(world, backup, after=60) as old:
        again = old.place(consent)
        found = await old.until_state(again, OrderState.RECOVERED)
        await old.until(lambda: old.order(again).auto_stop_set_at is not None)
        assert found.remote_id == old.billed()[0]["id"]
        assert again.name == order.name
        assert len(old.billed()) == 1
        assert old.creates() == [order.name], "one consent makes one, whatever was forgotten"


@pytest.mark.parametrize("after", [60, 1200])
async def test_row_11_an_old_ledger_in_which_it_is_yet_to_be_made(world: World, after: float) -> None:
    order = await world.order_one()
    backup = world.backup()
    await world.settles(order)
    async with restored(world, backup, after=after) as old:
        await old.run(120)
        assert old.creates() == [order.name]
        assert len(old.billed()) == 1
        found = old.order(order)
        assert (found.state, found.remote_id) == (OrderState.RECOVERED, old.billed()[0]["id"])
        assert found.auto_stop_set_at is not None


@pytest.mark.parametrize("ordered", ["agreed to", "intended", "creating"])
async def test_row_11_what_ran_and_is_gone_is_not_made_once_more(world: World, ordered: str) -> None:
    consent = await world.accept(await world.ask(world.link()))
    backup = world.backup()
    order = world.place(consent)
    if ordered == "intended":
        backup = world.backup()
    await world.tick()
    if ordered == "creating":
        world.cloud.fault("CreateInstance", "close_after")
        await world.tick()
        backup = world.backup()
        assert world.order(order).state is OrderState.UNKNOWN
    await world.settles(order)
    world.delete(order)
    await world.until_state(order, OrderState.GONE)
    assert (world.time - consent.offered_at).total_seconds() < 400, "it is wanted still, by its age"
    async with restored(world, backup, after=10) as old:
        if ordered == "agreed to":
            assert old.place(consent).name == order.name
        await old.run(1200, step=10)
        assert old.creates() == [order.name]
        assert old.billed() == []
        assert old.order(order).state in (OrderState.REJECTED, OrderState.UNKNOWN)
        assert [one.params["reason"] for one in old.notices(NoticeKind.NOT_MADE)] == [StopReason.TOO_LATE]


async def test_row_11_what_ran_again_is_not_started_once_more(world: World) -> None:
    link = world.link()
    order = await world.running(link)
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED)
    world.place(await world.accept(await world.ask(link, order=world.order(order))))
    backup = world.backup()
    await world.settles(order)
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED)
    async with restored(world, backup, after=10) as old:
        await old.run(300, step=10)
        assert len(old.cloud.calls(action="StartInstance")) == 1
        assert old.order(order).state is OrderState.STOPPED
        assert [one.params["reason"] for one in old.notices(NoticeKind.NOT_MADE)] == [StopReason.TOO_LATE]


async def test_row_11_who_agreed_before_the_steward_began_is_asked_again(world: World) -> None:
    order = await world.order_one()
    world.pass_time(1)
    world.keeper = world.new_keeper()
    await world.run(60)
    assert world.cloud.mutations() == []
    found = world.order(order)
    assert (found.state, found.reason) == (OrderState.REJECTED, StopReason.TOO_LATE)
    assert len(world.notices(NoticeKind.NOT_MADE)) == 1
    await world.running(world.ledger.read(bindings.get, order.binding_id), server=order.server_name)


async def test_row_11_nothing_is_made_before_everything_was_looked_through(world: World) -> None:
    order = await world.order_one()
    world.cloud.fault("ListInstances", "empty500", times=6)
    await world.until(lambda: world.is_running(order))
    actions = [call.action for call in world.cloud.calls()]
    assert actions.count("CreateInstance") == 1
    assert actions[: actions.index("CreateInstance")].count("ListInstances") >= 6 + 2 + 1


async def test_row_12_the_cloud_does_not_take_our_clock(world: World) -> None:
    """Its answer is an error of its own, from which nothing follows: neither for what runs nor for what is to come."""
    link = world.link()
    order, later = await world.running(link), await world.order_one(link)
    due, since = world.billed()[0]["due"], world.cloud.last()
    world.cloud.quirk(skew=1200)
    await world.run(120)
    calls = world.cloud.calls(since=since)
    assert calls
    assert not [call for call in calls if call.done]
    found = world.order(order)
    assert (found.state, found.blocked) == (OrderState.ACTIVE, None)
    assert found.tries > 0
    assert world.notices(NoticeKind.AUTH_LOST) == []
    assert world.order(later).state is OrderState.INTENDED
    assert world.billed()[0]["due"] == due
    world.cloud.quirk(skew=-1200)
    await world.run(60)
    assert world.order(later).state is OrderState.INTENDED
    world.cloud.quirk(skew=0)
    await world.settles(later)
    await world.until(lambda: world.order(order).tries == 0)
    assert world.creates() == [order.name, later.name]
    assert len(world.billed()) == 2


@pytest.mark.parametrize("ahead", [-3600, -600, 600, 3600])
async def test_row_12_the_timer_goes_by_the_clouds_clock(world: World, ahead: float) -> None:
    """Our clock is wrong from the beginning: a run lasts as long as it may all the same, with and without us."""
    world.time += timedelta(seconds=ahead)
    order = await world.running(cap="0.65")
    made_at = world.cloud_time()
    (one,) = world.billed()
    assert 3300 <= (datetime.fromisoformat(one["due"]) - made_at).total_seconds() <= 3600
    world.pass_time(3 * 3600)
    owed = world.cloud.owes()
    assert Decimal("0.55") <= owed <= Decimal("0.65") + SLACK
    await world.crash()
    found = await world.until_state(order, OrderState.STOPPED)
    assert found.reason is StopReason.CAP


@pytest.mark.parametrize("ahead", [-20, 300, 7200])
async def test_row_12_our_clock_steps_while_it_runs(world: World, ahead: float) -> None:
    """It costs no more for that. It may end too early, but not unsaid."""
    order = await world.running(cap="0.65")
    world.time += timedelta(seconds=ahead)
    await world.run(120)
    if ahead < 3000:
        assert world.order(order).state is OrderState.ACTIVE
        world.stop(order)
    found = await world.until_state(order, OrderState.STOPPED)
    assert found.reason is (StopReason.ASKED if ahead < 3000 else StopReason.CAP)
    assert world.cloud.owes() <= PRICE / 60 * 8


async def test_row_12_our_clock_steps_back_an_hour_and_what_is_wanted_is_done(world: World) -> None:
    """Nothing waits until the clock has caught up: not a stop, nor a look through the account, nor the next lease."""
    link = world.link()
    order = await world.running(link)
    world.time -= timedelta(seconds=3600)
    since = world.cloud.last()
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED, seconds=600)
    assert world.cloud.calls(since=since, action="ListInstances")
    await world.running(link)


async def test_row_13_two_clicks_make_one(world: World) -> None:
    consent = await world.ask(world.link())
    said = await asyncio.gather(*(world.accept(consent) for _ in range(5)), return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in said) == 1
    assert all(isinstance(one, OfferChanged) for one in said if isinstance(one, BaseException))

    def place() -> object:
        try:
            return world.place(consent)
        except FreepoolError as error:
            return error

    with ThreadPoolExecutor(8) as threads:
        placed = [future.result() for future in [threads.submit(place) for _ in range(8)]]
    (order,) = [one for one in placed if not isinstance(one, FreepoolError)]
    await world.settles(order)
    assert len(world.billed()) == 1
    with pytest.raises(OfferChanged):
        await world.accept(consent)


async def test_row_14_two_stewards(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """One loses its lease in the middle of its call. The other takes in what is there, and the first one's answer,
    when it comes, changes nothing."""
    caplog.set_level("INFO", "freepool.paid")
    await world.provider.close()
    world.provider = world.new_provider(read_seconds=20)
    world.paid = world.new_paid()
    world.keeper, other = world.new_keeper("first"), world.new_keeper("other")
    order = await world.order_one()
    assert await world.keeper.tick()
    assert not await other.tick(), "one of them rests"
    world.cloud.fault("CreateInstance", "slow", seconds=4)
    working = asyncio.create_task(world.keeper.tick())
    while not world.billed():  # the first is in the middle of its call
        await asyncio.sleep(0.05)
    assert world.order(order).state is OrderState.CREATING
    world.pass_time(world.rules.busy + 1)
    assert await other.tick()
    assert not working.done()
    assert "adopted" in world.record(order)
    adopted = world.order(order)
    assert (adopted.state, adopted.remote_id) == (OrderState.ACTIVE, world.billed()[0]["id"])
    assert adopted.auto_stop_set_at is not None
    await working
    assert world.order(order) == adopted, "the first one was too late, and has written nothing"
    assert "made" not in world.record(order)
    assert [line for line in caplog.messages if f"order {order.id}" in line and "somebody else was first" in line]
    for _ in range(20):
        world.pass_time(5)
        assert await other.tick()
        assert not await world.keeper.tick(), "its lease is lost"
    await other.rest()
    assert world.is_running(order)
    assert len(world.billed()) == 1
    assert world.creates() == [order.name]


async def test_row_14_both_at_once(world: World) -> None:
    """Even where the lease fails us, two who act at the same moment ask for one."""
    order = await world.order_one()
    await world.tick()
    other = world.new_keeper(world.keeper.holder)  # a holder of the same name: the lease lets both in
    assert await other.tick()
    for _ in range(10):
        await asyncio.gather(world.keeper.tick(), other.tick())
        world.pass_time(5)
    await world.settles(order)
    await other.rest()
    assert world.creates() == [order.name]
    assert len([call for call in world.cloud.mutations() if call.action == "CreateInstanceShutdownTimer"]) == 1


@pytest.mark.parametrize("when", ["before", "while it is made", "after"])
async def test_row_15_the_start_is_given_up(world: World, when: str) -> None:
    order = await world.order_one()
    if when == "before":
        world.stop(order, by="admin")
    elif when == "while it is made":
        await world.tick()
        world.cloud.fault("CreateInstance", "slow", seconds=0.5)
        working = asyncio.create_task(world.keeper.tick())
        await asyncio.sleep(0.3)
        world.stop(order, by="admin")
        await working
    else:
        await world.tick(2)
        world.stop(order, by="admin")
    await world.run(300)
    if when == "before":
        assert world.order(order).state is OrderState.REJECTED
        assert world.cloud.mutations() == []
    else:
        assert world.order(order).state is OrderState.STOPPED
        assert world.billed()[0]["status"] == "Stopped"
    assert "stop_wanted" in world.record(order)


CHANGES: dict[str, Callable[[World], None]] = {
    "dearer": lambda world: world.cloud.instance_type(SMALL, price="0.66"),
    "cheaper": lambda world: world.cloud.instance_type(SMALL, price="0.64"),
    "unknown": lambda world: world.cloud.instance_type(SMALL, price=None),
    "another currency": lambda world: world.cloud.instance_type(SMALL, currency="USD"),
    "out of stock": lambda world: world.cloud.instance_type(SMALL, available=False),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_row_16_it_changed_between_the_question_and_the_answer(world: World, change: str) -> None:
    consent = await world.ask(world.link())
    CHANGES[change](world)
    with pytest.raises(OfferChanged):
        await world.accept(consent)
    with pytest.raises(NoConsent):
        world.place(consent)
    await world.run(60)
    assert world.cloud.mutations() == []


@pytest.mark.parametrize("change", CHANGES)
async def test_row_16_it_changed_between_the_answer_and_the_making(world: World, change: str) -> None:
    order = await world.order_one()
    CHANGES[change](world)
    await world.run(60)
    assert world.cloud.mutations() == []
    assert world.order(order).state is OrderState.REJECTED
    (notice,) = world.notices(NoticeKind.PRICE_CHANGED)
    assert SMALL in notice.params["why"].format(
        **{name.removeprefix("why_"): text for name, text in notice.params.items() if name.startswith("why_")}
    )


async def test_row_16_an_old_question(world: World) -> None:
    consent = await world.ask(world.link())
    world.pass_time(600)
    with pytest.raises(OfferChanged):
        await world.accept(consent)
    young = await world.accept(await world.ask(world.binding(world.link("bob"))))
    world.pass_time(600)
    with pytest.raises(NoConsent):
        world.place(young)
    await world.run(60)
    assert world.consent(young).state is ConsentState.EXPIRED
    assert world.cloud.mutations() == []
