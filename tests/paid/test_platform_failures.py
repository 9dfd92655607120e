"""Failures of the platform: restored ledgers, wrong clocks, two stewards, and offers that change before the create."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from spawner.errors import FreepoolError, NoConsent, OfferChanged
from spawner.ledger import leases
from spawner.ledger.paid import bindings
from spawner.ledger.paid.rows import ConsentState, NoticeKind, OrderState, StopReason
from spawner.paid.orders.reconciler import LEASE
from tests.paid.world import PRICE, SLACK, SMALL, World, restored


async def test_a_restored_ledger_recovers_an_instance_of_an_unknown_order(world: World) -> None:
    consent = await world.accept(await world.ask(world.link()))
    backup = world.backup()
    order = world.place(consent)
    await world.until_running(order)
    world.cloud.console(order.name, "use")
    async with restored(world, backup, after=60) as old:
        await old.run(30)
        found = old.order(order)
        assert (found.state, found.remote_id) == (OrderState.RECOVERED, old.cloud_instances()[0]["id"])
        assert found.auto_stop_set_at is not None
        assert len(old.notices(NoticeKind.RECOVERED)) == 1
        with pytest.raises(NoConsent):
            old.place(consent)
        assert old.requested_names() == [order.name]
        await old.until_state(order, OrderState.STOPPED, seconds=2400)


async def test_a_restored_ledger_creates_no_second_instance_for_a_consent(world: World) -> None:
    consent = await world.accept(await world.ask(world.link()))
    backup = world.backup()
    order = world.place(consent)
    await world.until_running(order)
    async with restored(world, backup, after=60) as old:
        again = old.place(consent)
        found = await old.until_state(again, OrderState.RECOVERED)
        await old.until(lambda: old.order(again).auto_stop_set_at is not None)
        assert found.remote_id == old.cloud_instances()[0]["id"]
        assert again.name == order.name
        assert len(old.cloud_instances()) == 1
        assert old.requested_names() == [order.name], "one consent creates one instance"


@pytest.mark.parametrize("after", [60, 1200])
async def test_a_restored_ledger_adopts_an_instance_that_it_was_about_to_create(world: World, after: float) -> None:
    order = await world.new_order()
    backup = world.backup()
    await world.until_running(order)
    async with restored(world, backup, after=after) as old:
        await old.run(120)
        assert old.requested_names() == [order.name]
        assert len(old.cloud_instances()) == 1
        found = old.order(order)
        assert (found.state, found.remote_id) == (OrderState.RECOVERED, old.cloud_instances()[0]["id"])
        assert found.auto_stop_set_at is not None


@pytest.mark.parametrize("ordered", ["accepted", "intended", "creating"])
async def test_a_restored_ledger_does_not_create_a_deleted_instance_again(world: World, ordered: str) -> None:
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
    await world.until_running(order)
    world.delete(order)
    await world.until_state(order, OrderState.GONE)
    assert (world.time - consent.offered_at).total_seconds() < 400, "the consent has not expired"
    async with restored(world, backup, after=10) as old:
        if ordered == "accepted":
            assert old.place(consent).name == order.name
        await old.run(1200, step=10)
        assert old.requested_names() == [order.name]
        assert old.cloud_instances() == []
        assert old.order(order).state in (OrderState.REJECTED, OrderState.UNKNOWN)
        assert [notice.params["reason"] for notice in old.notices(NoticeKind.NOT_MADE)] == [StopReason.TOO_LATE]


async def test_a_restored_ledger_does_not_repeat_a_start(world: World) -> None:
    link = world.link()
    order = await world.running(link)
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED)
    world.place(await world.accept(await world.ask(link, order=world.order(order))))
    backup = world.backup()
    await world.until_running(order)
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED)
    async with restored(world, backup, after=10) as old:
        await old.run(300, step=10)
        assert len(old.cloud.calls(action="StartInstance")) == 1
        assert old.order(order).state is OrderState.STOPPED
        assert [notice.params["reason"] for notice in old.notices(NoticeKind.NOT_MADE)] == [StopReason.TOO_LATE]


async def test_a_consent_older_than_the_steward_creates_nothing(world: World) -> None:
    order = await world.new_order()
    world.pass_time(1)
    world.reconciler = world.new_reconciler()
    await world.run(60)
    assert world.cloud.mutations() == []
    found = world.order(order)
    assert (found.state, found.reason) == (OrderState.REJECTED, StopReason.TOO_LATE)
    assert len(world.notices(NoticeKind.NOT_MADE)) == 1
    await world.running(world.ledger.read(bindings.get, order.binding_id), server=order.server_name)


async def test_nothing_is_created_before_every_region_was_listed(world: World) -> None:
    order = await world.new_order()
    world.cloud.fault("ListInstances", "empty500", times=6)
    await world.until(lambda: world.is_running(order))
    actions = [call.action for call in world.cloud.calls()]
    assert actions.count("CreateInstance") == 1
    assert actions[: actions.index("CreateInstance")].count("ListInstances") >= 6 + 2 + 1


async def test_a_clock_that_the_cloud_refuses_changes_no_order(world: World) -> None:
    """Neither running instances nor intended orders change."""
    link = world.link()
    order, later = await world.running(link), await world.new_order(link)
    due, since = world.cloud_instances()[0]["due"], world.cloud.last()
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
    assert world.cloud_instances()[0]["due"] == due
    world.cloud.quirk(skew=-1200)
    await world.run(60)
    assert world.order(later).state is OrderState.INTENDED
    world.cloud.quirk(skew=0)
    await world.until_running(later)
    await world.until(lambda: world.order(order).tries == 0)
    assert world.requested_names() == [order.name, later.name]
    assert len(world.cloud_instances()) == 2


@pytest.mark.parametrize("ahead", [-3600, -600, 600, 3600])
async def test_auto_stop_follows_the_clouds_clock(world: World, ahead: float) -> None:
    """A wrong clock of ours neither shortens nor extends a run, with or without the steward."""
    world.time += timedelta(seconds=ahead)
    order = await world.running(cap="0.65")
    made_at = world.cloud_time()
    (one,) = world.cloud_instances()
    assert 3300 <= (datetime.fromisoformat(one["due"]) - made_at).total_seconds() <= 3600
    world.pass_time(3 * 3600)
    owed = world.cloud.owes()
    assert Decimal("0.55") <= owed <= Decimal("0.65") + SLACK
    await world.crash()
    found = await world.until_state(order, OrderState.STOPPED)
    assert found.reason is StopReason.CAP


@pytest.mark.parametrize("ahead", [-20, 300, 7200])
async def test_a_step_of_our_clock_adds_no_cost(world: World, ahead: float) -> None:
    """The run may end early, with a reason."""
    order = await world.running(cap="0.65")
    world.time += timedelta(seconds=ahead)
    await world.run(120)
    if ahead < 3000:
        assert world.order(order).state is OrderState.ACTIVE
        world.stop(order)
    found = await world.until_state(order, OrderState.STOPPED)
    assert found.reason is (StopReason.ASKED if ahead < 3000 else StopReason.CAP)
    assert world.cloud.owes() <= PRICE / 60 * 8


async def test_a_clock_set_back_an_hour_delays_no_stop_and_no_start(world: World) -> None:
    """Stops, discovery and the next lease do not wait until the clock has caught up."""
    link = world.link()
    order = await world.running(link)
    world.time -= timedelta(seconds=3600)
    since = world.cloud.last()
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED, seconds=600)
    assert world.cloud.calls(since=since, action="ListInstances")
    await world.running(link)


async def test_concurrent_accepts_and_orders_create_one_instance(world: World) -> None:
    consent = await world.ask(world.link())
    answers = await asyncio.gather(*(world.accept(consent) for _ in range(5)), return_exceptions=True)
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 1
    assert all(isinstance(answer, OfferChanged) for answer in answers if isinstance(answer, BaseException))

    def place() -> object:
        try:
            return world.place(consent)
        except FreepoolError as error:
            return error

    with ThreadPoolExecutor(8) as threads:
        placed = [future.result() for future in [threads.submit(place) for _ in range(8)]]
    (order,) = [result for result in placed if not isinstance(result, FreepoolError)]
    await world.until_running(order)
    assert len(world.cloud_instances()) == 1
    with pytest.raises(OfferChanged):
        await world.accept(consent)


async def test_a_steward_that_lost_its_lease_writes_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """It loses the lease during a create. Another steward adopts the instance; the late answer changes nothing."""
    caplog.set_level("INFO", "freepool.paid")
    await world.provider.close()
    world.provider = world.new_provider(read_seconds=20)
    world.paid = world.new_paid()
    world.reconciler, other = world.new_reconciler("first"), world.new_reconciler("other")
    order = await world.new_order()
    assert await world.reconciler.tick()
    assert not await other.tick(), "the other has no lease"
    world.cloud.fault("CreateInstance", "slow", seconds=4)
    working = asyncio.create_task(world.reconciler.tick())
    while not world.cloud_instances():  # until the cloud has the create
        await asyncio.sleep(0.05)
    assert world.order(order).state is OrderState.CREATING
    world.pass_time(world.rules.busy + 1)
    assert await other.tick()
    assert not working.done()
    assert "adopted" in world.events(order)
    adopted = world.order(order)
    assert (adopted.state, adopted.remote_id) == (OrderState.ACTIVE, world.cloud_instances()[0]["id"])
    assert adopted.auto_stop_set_at is not None
    await working
    assert world.order(order) == adopted, "the first steward wrote nothing"
    assert "made" not in world.events(order)
    assert [line for line in caplog.messages if f"order {order.id}" in line and "somebody else was first" in line]
    for _ in range(20):
        world.pass_time(5)
        assert await other.tick()
        assert not await world.reconciler.tick(), "the first has no lease"
    await other.rest()
    assert world.is_running(order)
    assert len(world.cloud_instances()) == 1
    assert world.requested_names() == [order.name]


async def test_two_stewards_with_one_lease_send_one_create(world: World) -> None:
    """Compare-and-set in the ledger prevents a second create where the lease does not."""
    order = await world.new_order()
    await world.tick()
    other = world.new_reconciler(world.reconciler.holder)  # the lease admits a holder of the same name
    assert await other.tick()
    for _ in range(10):
        await asyncio.gather(world.reconciler.tick(), other.tick())
        world.pass_time(5)
    await world.until_running(order)
    await other.rest()
    assert world.requested_names() == [order.name]
    assert len([call for call in world.cloud.mutations() if call.action == "CreateInstanceShutdownTimer"]) == 1


@pytest.mark.parametrize("when", ["before the create", "during the create", "after the create"])
async def test_an_order_that_is_stopped_while_it_starts_ends_stopped(world: World, when: str) -> None:
    order = await world.new_order()
    if when == "before the create":
        world.stop(order, by="admin")
    elif when == "during the create":
        await world.tick()
        world.cloud.fault("CreateInstance", "slow", seconds=0.5)
        working = asyncio.create_task(world.reconciler.tick())
        await asyncio.sleep(0.3)
        world.stop(order, by="admin")
        await working
    else:
        await world.tick(2)
        world.stop(order, by="admin")
    await world.run(300)
    if when == "before the create":
        assert world.order(order).state is OrderState.REJECTED
        assert world.cloud.mutations() == []
    else:
        assert world.order(order).state is OrderState.STOPPED
        assert world.cloud_instances()[0]["status"] == "Stopped"
    assert "stop_wanted" in world.events(order)


CHANGES: dict[str, Callable[[World], None]] = {
    "higher price": lambda world: world.cloud.instance_type(SMALL, price="0.66"),
    "lower price": lambda world: world.cloud.instance_type(SMALL, price="0.64"),
    "unknown price": lambda world: world.cloud.instance_type(SMALL, price=None),
    "another currency": lambda world: world.cloud.instance_type(SMALL, currency="USD"),
    "out of stock": lambda world: world.cloud.instance_type(SMALL, available=False),
}


async def test_the_lease_is_renewed_in_time_and_not_in_every_tick(world: World) -> None:
    def ends_at() -> datetime | None:
        return world.ledger.read(leases.ends_at, LEASE)

    lease = world.rules.lease.total_seconds()
    await world.tick()
    first = ends_at()
    world.pass_time(lease / 10)
    await world.tick()
    assert ends_at() == first, "a tick that has nothing to do writes nothing"
    world.pass_time(lease / 10)
    await world.tick()
    assert ends_at() == world.time + world.rules.lease
    world.pass_time(lease - 1)
    assert not await world.new_reconciler().tick(), "another steward does not get it before it ends"


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_of_the_offer_before_the_accept_creates_nothing(world: World, change: str) -> None:
    consent = await world.ask(world.link())
    CHANGES[change](world)
    with pytest.raises(OfferChanged):
        await world.accept(consent)
    with pytest.raises(NoConsent):
        world.place(consent)
    await world.run(60)
    assert world.cloud.mutations() == []


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_of_the_offer_before_the_create_rejects_the_order(world: World, change: str) -> None:
    order = await world.new_order()
    CHANGES[change](world)
    await world.run(60)
    assert world.cloud.mutations() == []
    assert world.order(order).state is OrderState.REJECTED
    (notice,) = world.notices(NoticeKind.PRICE_CHANGED)
    assert SMALL in notice.params["why"].format(
        **{name.removeprefix("why_"): text for name, text in notice.params.items() if name.startswith("why_")}
    )


async def test_an_expired_offer_or_consent_creates_nothing(world: World) -> None:
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
