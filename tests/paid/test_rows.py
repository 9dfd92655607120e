"""What goes wrong, row by row, with the invariant of each, through the real SDK against the stand-in.

B is what the account has in the cloud; `creates` are the names that the cloud was asked to make.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from spawner.errors import AskAgain, FreepoolError, NoConsent, NotAllowed
from spawner.ledger import open_ledger, orders
from spawner.ledger.paid_model import BindingState, Block, ConsentState, NoticeKind, OrderState, StopReason
from spawner.paid import asking
from spawner.paid.binding import account_of, problems_of
from spawner.paid.paid import BINDING_LABEL, HUB_LABEL, ORDER_LABEL
from spawner.paid.providers.base import Request
from spawner.paid.sweep import sweep
from tests.cloud.steer import ADA
from tests.paid.make import SINCE, WORD
from tests.paid.world import HANGZHOU, HUB, PRICE, SHANGHAI, SMALL, World

CAP = Decimal("2.60")
SLACK = PRICE / 60 * 3
"""One minute that was begun, and the time that a stop takes."""


async def settles(world: World, order: object, *, seconds: float = 300) -> None:
    """It runs, armed."""
    await world.until(lambda: world.is_running(order), seconds=seconds)  # type: ignore[arg-type]


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
    await settles(world, order)
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
    await settles(world, order)
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
    await settles(world, order)
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
    await settles(world, order)
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
    await world.run(world.rules.sweep + 120, step=5)
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
    await settles(world, order)
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


async def test_row_10_started_in_the_clouds_console(world: World) -> None:
    order = await world.running()
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED)
    world.cloud.console(order.name, "status", status="Creating", held=False)
    found = await world.until_state(order, OrderState.RECOVERED, seconds=1800)
    await world.until(lambda: world.order(order).armed_at is not None)
    assert found.consent_id is None
    assert len(world.notices(NoticeKind.RECOVERED)) == 1
    await world.until_state(order, OrderState.STOPPED, seconds=3600)


# -- our own side


def backup_of(world: World) -> Path:
    path = world.folder / f"backup-{world.new_id()}.sqlite"
    with closing(sqlite3.connect(world.folder / "ledger.sqlite")) as now, closing(sqlite3.connect(path)) as copy:
        now.backup(copy)
    return path


@contextlib.asynccontextmanager
async def restored(world: World, backup: Path, *, after: float) -> AsyncIterator[World]:
    """The same cloud some time later, and a ledger of earlier."""
    await world.keeper.rest()
    world.pass_time(after)
    ledger = open_ledger(f"sqlite:///{backup}")
    old = World(ledger, world.cloud, world.folder, time=world.time, numbers=world.numbers)
    yield old
    await old.close()
    ledger.close()


async def test_row_11_an_old_ledger_that_does_not_know_the_order(world: World) -> None:
    consent = await world.accept(await world.ask(world.link()))
    backup = backup_of(world)
    order = world.place(consent)
    await settles(world, order)
    world.cloud.console(order.name, "use")
    async with restored(world, backup, after=60) as old:
        await old.run(30)
        found = old.order(order)
        assert (found.state, found.remote_id) == (OrderState.RECOVERED, old.billed()[0]["id"])
        assert found.armed_at is not None
        assert len(old.notices(NoticeKind.RECOVERED)) == 1
        with pytest.raises(NoConsent):
            old.place(consent)
        assert old.creates() == [order.name]
        await old.until_state(order, OrderState.STOPPED, seconds=2400)


async def test_row_11_an_old_ledger_and_a_quick_hub(world: World) -> None:
    consent = await world.accept(await world.ask(world.link()))
    backup = backup_of(world)
    order = world.place(consent)
    await settles(world, order)
    async with restored(world, backup, after=60) as old:
        again = old.place(consent)
        await settles(old, again)
        assert again.name == order.name
        assert len(old.billed()) == 1
        assert old.creates() == [order.name], "one consent makes one, whatever was forgotten"


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("after", [60, 1200])
async def test_row_11_an_old_ledger_in_which_it_is_yet_to_be_made(world: World, after: float, is_there: bool) -> None:
    order = await world.order_one()
    backup = backup_of(world)
    await settles(world, order)
    if not is_there:
        world.delete(order)
        await world.until_state(order, OrderState.GONE)
        after += 600
    async with restored(world, backup, after=after) as old:
        await old.run(120)
        assert old.creates() == [order.name]
        assert len(old.billed()) == is_there
        states = {(True, 60): OrderState.ACTIVE, (True, 1200): OrderState.RECOVERED}
        assert old.order(order).state is states.get((is_there, int(after)), OrderState.REJECTED)


async def test_row_11_nothing_is_made_before_everything_was_looked_through(world: World) -> None:
    order = await world.order_one()
    world.cloud.fault("ListInstances", "empty500", times=6)
    await world.until(lambda: world.is_running(order))
    actions = [call.action for call in world.cloud.calls()]
    assert actions.count("CreateInstance") == 1
    assert actions[: actions.index("CreateInstance")].count("ListInstances") >= 6 + 2 + 1


async def test_row_12_the_clocks_disagree(world: World) -> None:
    order = await world.running()
    world.cloud.quirk(skew=1200)
    await world.run(120)
    found = world.order(order)
    assert (found.state, found.blocked) == (OrderState.ACTIVE, None)
    assert found.tries > 0
    assert world.notices(NoticeKind.AUTH_LOST) == []
    world.cloud.quirk(skew=0)
    await world.run(120)
    assert world.order(order).tries == 0
    due = world.billed()[0]["due"]
    world.cloud.quirk(skew=-1200)
    assert due is not None


async def test_row_13_two_clicks_make_one(world: World) -> None:
    consent = await world.ask(world.link())
    said = await asyncio.gather(*(world.accept(consent) for _ in range(5)), return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in said) == 1
    assert all(isinstance(one, AskAgain) for one in said if isinstance(one, BaseException))

    def place() -> object:
        try:
            return world.place(consent)
        except FreepoolError as error:
            return error

    with ThreadPoolExecutor(8) as threads:
        placed = [future.result() for future in [threads.submit(place) for _ in range(8)]]
    (order,) = [one for one in placed if not isinstance(one, FreepoolError)]
    await settles(world, order)
    assert len(world.billed()) == 1
    with pytest.raises(AskAgain):
        await world.accept(consent)


async def test_row_14_two_stewards(world: World) -> None:
    order = await world.order_one()
    other = world.new_keeper("other")
    assert await world.keeper.tick()
    assert not await other.tick(), "one of them rests"
    world.cloud.fault("CreateInstance", "slow", seconds=0.8)
    working = asyncio.create_task(world.keeper.tick())
    await asyncio.sleep(0.5)  # the first is in the middle of its call
    world.pass_time(world.rules.lease.total_seconds() + 1)
    assert await other.tick()
    world.pass_time(world.rules.busy)
    await working
    for _ in range(30):
        world.pass_time(5)
        await other.tick()
        await world.keeper.tick()
    await other.rest()
    assert world.is_running(order)
    assert len(world.billed()) == 1
    assert world.creates() == [order.name]


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
    "dearer": lambda world: world.cloud.shape(SMALL, price="0.66"),
    "cheaper": lambda world: world.cloud.shape(SMALL, price="0.64"),
    "unknown": lambda world: world.cloud.shape(SMALL, price=None),
    "another currency": lambda world: world.cloud.shape(SMALL, currency="USD"),
    "out of stock": lambda world: world.cloud.shape(SMALL, available=False),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_row_16_it_changed_between_the_question_and_the_answer(world: World, change: str) -> None:
    consent = await world.ask(world.link())
    CHANGES[change](world)
    with pytest.raises(AskAgain):
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
    with pytest.raises(AskAgain):
        await world.accept(consent)
    young = await world.accept(await world.ask(world.binding(world.link("bob"))))
    world.pass_time(600)
    with pytest.raises(NoConsent):
        world.place(young)
    await world.run(60)
    assert world.consent(young).state is ConsentState.EXPIRED
    assert world.cloud.mutations() == []


# -- the cap


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
    await settles(world, order)
    assert world.billed()[0]["due"] is not None


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


async def test_row_19_a_storm_of_throttling(world: World) -> None:
    order = await world.running()
    since = world.cloud.last()
    world.cloud.fault("*", "throttle", times=6, seconds=20)
    began = world.time
    await world.run(400, step=2)
    throttled = [call for call in world.cloud.calls(since=since) if call.fault]
    assert len(throttled) == 6
    assert world.time - began >= timedelta(seconds=100)
    found = world.order(order)
    assert (found.state, found.tries, found.blocked) == (OrderState.ACTIVE, 0, None)


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


# -- what the cloud shows


@pytest.mark.parametrize("kind", [None, "close_after", "close_before", "error"])
async def test_row_20_a_start_is_never_asked_twice(world: World, kind: str | None) -> None:
    link = world.link()
    order = await world.running(link)
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED)
    since = world.cloud.last()
    await world.run(1800, step=60)
    assert world.cloud.mutations(since=since) == [], "nothing starts again by itself"
    if kind:
        world.cloud.fault("StartInstance", kind, code="ValidationError", message="status does not support Start")
    world.place(await world.accept(await world.ask(link, order=world.order(order))))
    if kind in (None, "close_after"):
        await settles(world, order)
        assert len(world.notices(NoticeKind.STOPPED)) == 1
    else:
        found = await world.until_state(order, OrderState.STOPPED)
        assert found.reason is StopReason.NOT_STARTED
        assert len(world.notices(NoticeKind.NOT_MADE)) == 1
    await world.run(600, step=20)
    assert len(world.cloud.calls(action="StartInstance")) == 1
    assert len(world.billed()) == 1


async def test_row_20_a_stop_that_comes_too_late_is_decided_by_a_look(world: World) -> None:
    order = await world.running()
    world.cloud.console(order.name, "stop")
    world.stop(order)
    found = await world.until_state(order, OrderState.STOPPED)
    assert found.reason is StopReason.ASKED
    assert world.notices(NoticeKind.STOP_FAILED) == []


@pytest.mark.parametrize("trust", ["none", "wrong"])
async def test_row_21_a_role_that_trusts_too_much(world: World, trust: str) -> None:
    link = world.link()
    if trust == "none":
        world.cloud.role(None, name="Freepool-ann")
    else:
        world.cloud.role("freepool-of-somebody-else", name="Freepool-ann")
    probe = await world.provider.probe(account_of(world.binding(link), HANGZHOU))
    assert problems_of(link, probe)
    assert [call.action for call in world.cloud.calls() if call.mutates] == []


async def test_row_22_nobody_elses(world: World) -> None:
    order = await world.running()
    with pytest.raises(NotAllowed):
        world.ledger.write(asking.want_delete, order.id, by="bob", now=world.time)
    consent = await world.ask(world.link("bob", account=ADA))
    with pytest.raises(NoConsent):
        await asking.accept(
            world.paid, consent.id, user_name="ann", user_since=SINCE, session=consent.session, word=WORD
        )


async def made_by_hand(world: World, link: object, count: int, region: str) -> None:
    account = account_of(link, region)  # type: ignore[arg-type]
    labels = {HUB_LABEL: HUB, ORDER_LABEL: "", BINDING_LABEL: link.id}  # type: ignore[attr-defined]
    await asyncio.gather(
        *(world.provider.create(account, Request(f"by_hand_{n}", SMALL, labels)) for n in range(count))
    )


async def test_row_23_all_pages_and_regions_are_seen(world: World) -> None:
    link = world.binding(world.link())
    await made_by_hand(world, link, 120, HANGZHOU)
    await made_by_hand(world, link, 2, SHANGHAI)
    world.pass_time(300)
    for region in (HANGZHOU, SHANGHAI):
        await sweep(world.paid, link, region)
    found = world.ledger.read(orders.alive)
    assert len(found) == 122
    assert {one.state for one in found} == {OrderState.RECOVERED}
    assert len(world.notices(NoticeKind.RECOVERED)) == 122


async def test_row_23_a_list_that_fails_is_not_empty(world: World) -> None:
    order = await world.running()
    world.cloud.fault("ListInstances", "empty500", times=-1)
    await world.run(600, step=20)
    assert world.order(order).state is OrderState.ACTIVE
    since = world.cloud.last()
    another = await world.order_one(world.link("bob", account="2000000000005678"))
    await world.run(300, step=20)
    assert world.cloud.mutations(since=since) == [], "nothing is made before we have looked"
    assert world.order(another).state is OrderState.INTENDED


async def test_row_23_a_list_that_does_not_show_what_we_made(world: World) -> None:
    link = world.link()
    world.cloud.account(ADA, sees_own=False)
    order = await world.order_one(link)
    found = await world.until_state(order, OrderState.STOPPED, seconds=600)
    assert found.reason is StopReason.LIST_BLIND
    assert world.binding(link).blocked is Block.LIST_BLIND
    assert len(world.notices(NoticeKind.LIST_BLIND)) == 1
    with pytest.raises(NotAllowed):
        await world.ask(world.binding(link))


async def test_row_24_no_secret_is_written_anywhere(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    order = await world.running()
    for kind in ("error", "html502", "close_after", "success_false"):
        world.cloud.fault("GetInstance", kind)
        await world.run(60)
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED)
    secrets = world.secrets()
    assert len(secrets) > 3
    everything = caplog.text + backup_of(world).read_bytes().decode("latin1")
    assert order.name in everything
    for secret in secrets:
        assert secret not in everything


@pytest.mark.parametrize("status", ["Dreaming", "Arrearge"])
async def test_row_25_a_state_that_nobody_has_seen(world: World, status: str) -> None:
    order = await world.running()
    world.cloud.console(order.name, "status", status=status)
    await world.until(lambda: bool(world.notices(NoticeKind.STRANGE_STATE)))
    found = world.order(order)
    assert (found.state, found.raw_state) == (OrderState.ACTIVE, status)
    before = Decimal(found.spent or 0)
    await world.run(600, step=30)
    assert Decimal(world.order(order).spent or 0) > before, "it may bill"
    assert len(world.notices(NoticeKind.STRANGE_STATE)) == 1
    await world.until(lambda: world.order(order).state is OrderState.STOPPED, seconds=5 * 3600, step=60)
    assert world.cloud.owes() <= CAP + SLACK


async def test_row_25_failed_asks_for_its_end(world: World) -> None:
    order = await world.order_one()
    world.cloud.fault("CreateInstance", "fail_boot", code="NoStock", message="sold out")
    await world.until(lambda: bool(world.notices(NoticeKind.FAILED)))
    found = world.order(order)
    assert found.state is OrderState.ACTIVE
    assert "sold out" in (found.remote_reason or "")
    world.delete(order)
    await world.until_state(order, OrderState.GONE)
    assert world.billed() == []
