"""Failed starts: which end their ticket, and which keep its place in the queue."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from spawner.errors import LostRace, SlotFailed
from spawner.ledger import EndReason, Instance, Slot, SlotState, TicketState
from spawner.ledger.pool import instances, slots
from spawner.pool.bring_up import BringUp
from spawner.pool.queue.admission import MAX_FAILED_STARTS
from spawner.pool.start_times import StartTimes
from tests.ledger.pool import CALLED, WAITING, SimulatedPool
from tests.unit import make


def test_a_failed_start_that_had_not_waited_ends_its_ticket(pool: SimulatedPool) -> None:
    ticket = pool.ask("ann")
    instance = pool.begin(ticket)
    pool.end(instance, EndReason.START_FAILED)
    assert pool.ticket(ticket).state is TicketState.FAILED


def test_a_failed_start_that_had_waited_is_retried_a_few_times(pool: SimulatedPool) -> None:
    dan = pool.start("dan")
    bob = pool.ask("bob")
    pool.pass_time(1)
    pool.end(dan)
    for tries in range(1, MAX_FAILED_STARTS + 1):
        (called,) = pool.call_due()
        pool.end(pool.begin(called), EndReason.START_FAILED)
        pool.finish_endings()
        found = pool.ticket(bob)
        assert found.state is (WAITING if tries < MAX_FAILED_STARTS else TicketState.FAILED)
    assert pool.held() == []


@pytest.mark.parametrize("reason", [EndReason.NO_ROOM, EndReason.LOST, EndReason.SHUTDOWN, EndReason.SUPERSEDED])
def test_failures_of_the_platform_keep_the_place(pool: SimulatedPool, reason: EndReason) -> None:
    """SUPERSEDED: the hub was killed during a start, and the next start supersedes it."""
    dan = pool.start("dan")
    bob = pool.ask("bob")
    pool.pass_time(1)
    pool.end(dan)
    for _ in range(MAX_FAILED_STARTS + 2):
        pool.pass_time(120)  # a flavor without room is retried after a pause
        (called,) = pool.call_due()
        pool.end(pool.begin(called), reason)
        pool.finish_endings()
        assert pool.ticket(bob).state is WAITING
    assert pool.place(bob) == 1


def test_a_start_without_a_machine_is_queued(pool: SimulatedPool) -> None:
    pool.catalog = make.catalog(make.flavor(limit=5))
    ticket = pool.ask("ann", by_user=True)
    pool.end(pool.begin(ticket), EndReason.NO_ROOM)
    found = pool.ticket(ticket)
    assert found.state is WAITING
    assert found.collected_at is None, "the user may have left while queued"


def test_a_superseded_start_that_had_not_waited_ends_its_ticket(pool: SimulatedPool) -> None:
    ticket = pool.ask("ann")
    pool.end(pool.begin(ticket), EndReason.SUPERSEDED)
    assert pool.ticket(ticket).state is TicketState.FAILED


def test_a_cancelled_start_ends_its_ticket(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    bob, cat = pool.ask("bob"), pool.ask("cat")
    pool.end(ann)
    (called,) = pool.call_due()
    instance = pool.begin(called)
    pool.end(instance, EndReason.CANCELLED)
    pool.finish_endings()
    assert pool.ticket(bob).state is TicketState.CANCELLED
    assert [ticket.id for ticket in pool.call_due()] == [cat.id]


def test_a_failed_start_keeps_the_users_ticket_of_another_flavor(pool: SimulatedPool) -> None:
    pool.catalog = make.catalog(make.flavor("small"), make.flavor("large", limit=1))
    pool.start("ann", flavor="large")
    place = pool.ask("bob", flavor="large")
    small = pool.ask("bob", flavor="small")
    pool.end(pool.begin(small), EndReason.NO_ROOM)
    assert pool.ticket(small).state is TicketState.FAILED
    assert pool.ticket(place).state is WAITING


def test_settling_twice_or_too_early_does_nothing(pool: SimulatedPool) -> None:
    ticket = pool.ask("ann")
    instance = pool.begin(ticket)
    pool.ledger.write(pool.admission.settle, instance.id)
    pool.ledger.write(pool.admission.settle, "unknown")
    assert pool.ticket(ticket).state is CALLED
    pool.end(instance, EndReason.START_FAILED)
    pool.ledger.write(pool.admission.settle, instance.id)
    assert pool.ticket(ticket).state is TicketState.FAILED


async def attach(pool: SimulatedPool, instance: Instance, slot: Slot) -> None:
    """The step of a start that commits which slot it uses, with the slot as the start read it before."""
    parts: Any = SimpleNamespace(ledger=pool.ledger, now=lambda: pool.time)
    unused: Any = None
    start = BringUp(parts, instance, unused, {}, "/user/ann/", on_step=lambda: None, times=StartTimes())
    await start._attach(slot)


def starting(pool: SimulatedPool) -> tuple[Instance, Slot]:
    """An instance whose slot comes up for it."""
    instance = pool.begin(pool.ask("ann"))
    (slot,) = pool.held()
    assert slot.state is SlotState.CREATING
    return instance, slot


async def test_a_steward_that_saw_the_slot_unassigned_does_not_end_the_start(pool: SimulatedPool) -> None:
    instance, slot = starting(pool)
    with pytest.raises(LostRace, match="is somebody's"):
        pool.ledger.write(slots.mark_warm, slot.id, now=pool.time)
    await attach(pool, instance, slot)
    assert pool.ledger.read(slots.get, slot.id).state is SlotState.CLAIMED
    assert pool.ledger.read(instances.get, instance.id).slot_id == slot.id


async def test_a_start_whose_slot_was_taken_away_tries_another(pool: SimulatedPool) -> None:
    instance, slot = starting(pool)
    pool.ledger.write(slots.mark_destroying, slot.id, reason=EndReason.START_FAILED)
    with pytest.raises(SlotFailed, match="was lost before it was assigned"):
        await attach(pool, instance, slot)


async def test_a_start_that_was_cancelled_tries_no_other_slot(pool: SimulatedPool) -> None:
    instance, slot = starting(pool)
    pool.ledger.write(instances.mark_stopping, instance.id, reason=EndReason.CANCELLED, now=pool.time)
    with pytest.raises(LostRace):
        await attach(pool, instance, slot)
