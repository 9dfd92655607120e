"""Calls: each ticket is called in its order with a slot, and no paused or dropped flavor delays another."""

from __future__ import annotations

from datetime import timedelta

import pytest

from spawner.errors import LostRace, Maintenance, Paused
from spawner.ledger import EndReason, SlotState, TicketState
from spawner.ledger.pool import admin_settings, slots
from tests.ledger.pool import CALLED, WAITING, SimulatedPool, reserved, warm
from tests.unit import make
from tests.unit.make import GIB, SimulatedBackend

# Calls


def test_tickets_are_called_in_order_each_with_a_slot(pool: SimulatedPool) -> None:
    pool.catalog = make.catalog(make.flavor(limit=2))
    running = [pool.start("ann"), pool.start("ann2")]
    queued = [pool.ask(user) for user in ("bob", "cat", "dan")]
    assert pool.call_due() == []
    for instance in running:
        pool.end(instance)
    pool.pass_time(5)
    called = pool.call_due()
    assert [ticket.id for ticket in called] == [ticket.id for ticket in queued[:2]]
    for ticket in called:
        assert (ticket.state, ticket.called_at) == (CALLED, pool.time)
        assert ticket.hold_until == pool.time + timedelta(seconds=600)
        assert len(reserved(pool, ticket)) == 1
    assert pool.call_due() == []
    assert pool.place(queued[2]) == 1


def test_a_lost_slot_keeps_the_tickets_place(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    bob, _ = pool.ask("bob"), pool.ask("cat")
    pool.end(ann)
    (called,) = pool.call_due()
    (slot,) = reserved(pool, called)
    pool.ledger.write(slots.mark_destroying, slot.id, reason=EndReason.LOST)
    pool.ledger.write(pool.admission.put_back, called)
    assert pool.ticket(bob) == bob
    assert pool.place(bob) == 1
    assert [ticket.id for ticket in pool.call_due()] == [bob.id]


@pytest.mark.parametrize("state", [TicketState.CANCELLED, TicketState.EXPIRED, TicketState.FAILED])
def test_a_held_slot_goes_to_the_next_ticket(pool: SimulatedPool, state: TicketState) -> None:
    ann = pool.start("ann")
    bob, cat = pool.ask("bob"), pool.ask("cat")
    pool.end(ann)
    pool.finish_endings()
    pool.call_due()
    pool.ledger.write(pool.admission.release, bob.id, state)
    assert pool.ticket(bob).state is state
    assert reserved(pool, bob) == []
    assert [ticket.id for ticket in pool.call_due()] == [cat.id]
    assert len(pool.held()) == 1
    with pytest.raises(LostRace):
        pool.ledger.write(pool.admission.release, bob.id, state)


def test_a_warm_slot_that_was_held_becomes_free_again(pool: SimulatedPool) -> None:
    warm(pool, "w")
    ticket = pool.ask("ann")
    pool.ledger.write(pool.admission.release, ticket.id, TicketState.CANCELLED)
    (slot,) = pool.slots()
    assert (slot.id, slot.state, slot.holder_id, slot.claimed_at) == ("w", SlotState.WARM, None, None)


def test_leaving_the_queue_does_not_delay_later_tickets(pool: SimulatedPool) -> None:
    pool.start("ann")
    bob, cat = pool.ask("bob"), pool.ask("cat")
    pool.ledger.write(pool.admission.release, bob.id, TicketState.CANCELLED)
    assert pool.place(cat) == 1
    assert pool.place(pool.ask("bob")) == 2


def test_a_start_that_began_after_the_snapshot_is_not_expired(pool: SimulatedPool) -> None:
    """The steward decided on an older snapshot: in between, the start of this ticket has begun."""
    ann = pool.start("ann")
    bob = pool.ask("bob")
    pool.end(ann)
    (seen,) = pool.call_due()
    instance = pool.begin(seen)
    with pytest.raises(LostRace):
        pool.ledger.write(pool.admission.put_back, seen)
    with pytest.raises(LostRace):
        pool.ledger.write(pool.admission.release, seen.id, TicketState.EXPIRED)
    assert pool.ticket(bob).state is CALLED
    pool.run(instance)
    assert pool.ticket(bob).state is TicketState.SERVED


# Pauses, maintenance and flavors without room


def test_a_paused_flavor_is_refused_and_its_queue_waits(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    bob = pool.ask("bob")
    pool.ledger.write(admin_settings.put, "pause:small", True, now=pool.time, by="op")
    pool.end(ann)
    pool.finish_endings()
    with pytest.raises(Paused):
        pool.ask("cat")
    with pytest.raises(Paused):
        pool.ledger.write(pool.admission.reserve_replacement, ann)
    assert pool.call_due() == []
    assert pool.ask("bob") == bob
    pool.ledger.write(admin_settings.clear, "pause:small")
    assert [ticket.id for ticket in pool.call_due()] == [bob.id]


def test_a_drained_pool_starts_nothing_and_keeps_its_queue(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    bob = pool.ask("bob")
    pool.ledger.write(admin_settings.put, "drain", {"reason": "new disks"}, now=pool.time, by="op")
    pool.end(ann)
    for ask in (lambda: pool.ask("cat"), lambda: pool.ledger.write(pool.admission.reserve_replacement, ann)):
        with pytest.raises(Maintenance) as refused:
            ask()
        assert refused.value.details == "new disks"
    assert pool.call_due() == []
    pool.ledger.write(admin_settings.clear, "drain")
    assert [ticket.id for ticket in pool.call_due()] == [bob.id]


def test_after_a_cluster_without_room_no_ticket_is_called_for_a_minute(pool: SimulatedPool) -> None:
    pool.catalog = make.catalog(make.flavor(limit=5))
    ticket = pool.ask("ann")
    instance = pool.begin(ticket)
    pool.end(instance, EndReason.NO_ROOM)
    pool.finish_endings()
    assert pool.ask("bob").state is WAITING
    assert pool.call_due() == []
    pool.pass_time(61)
    assert [ticket.user_name for ticket in pool.call_due()] == ["ann", "bob"]


@pytest.mark.parametrize(
    ("message", "is_told"),
    [
        ("0/1 nodes are available: 1 node(s) were unschedulable.", False),
        ("0/1 nodes are available: 1 Insufficient memory.", True),
    ],
)
def test_no_wait_is_told_while_the_end_of_a_notebook_would_make_no_room(
    pool: SimulatedPool, message: str, is_told: bool
) -> None:
    pool.catalog = make.catalog(make.flavor(limit=5))
    pool.run(pool.begin(pool.ask("ann")))
    bob = pool.begin(pool.ask("bob"))
    for slot in pool.ledger.read(slots.of_holder, bob.id):
        pool.ledger.write(slots.mark_destroying, slot.id, reason=EndReason.NO_ROOM, detail=message)
    pool.end(bob, EndReason.NO_ROOM)
    waiting = pool.ask("cat")
    assert waiting.state is WAITING
    position = pool.ledger.read(pool.admission.position_of, waiting)
    assert (position.wait is not None, waiting.expected_high is not None) == (is_told, is_told)
    pool.pass_time(180)
    assert pool.ledger.read(pool.admission.position_of, waiting).wait is not None, "that answer is old"


def test_a_ticket_that_cannot_be_served_waits_and_delays_no_other(pool: SimulatedPool) -> None:
    pool.catalog = make.catalog(make.flavor("small"), make.flavor("gpu"))
    pool.backend = SimulatedBackend(refused=("gpu",))
    assert pool.ask("ann", flavor="gpu").state is WAITING
    assert pool.ask("bob", flavor="small").state is CALLED


def test_a_ticket_of_a_dropped_flavor_is_shown_and_delays_no_other(pool: SimulatedPool) -> None:
    """Until the steward has ended its tickets."""
    pool.catalog = make.catalog(make.flavor("small", limit=1), make.flavor("old", limit=1))
    pool.start("ann", flavor="old")
    lost = pool.ask("bob", flavor="old")
    pool.catalog = make.catalog(make.flavor("small", limit=1))
    position = pool.ledger.read(pool.admission.position_of, lost)
    assert (position.place, position.wait) == (1, None)
    assert pool.ask("cat").state is CALLED
    assert pool.call_due() == []


# Shared memory


def test_a_large_flavor_gets_room_before_later_small_ones(pool: SimulatedPool) -> None:
    pool.catalog = make.catalog(make.flavor("small", memory=GIB), make.flavor("large", memory=3 * GIB))
    pool.backend = SimulatedBackend(bytes=4 * GIB)
    running = [pool.start(f"small{number}", flavor="small") for number in range(4)]
    large = pool.ask("bob", flavor="large")
    pool.pass_time(1)
    late = pool.ask("cat", flavor="small")
    for instance in running[:2]:
        pool.end(instance)
        assert pool.call_due() == []
    pool.end(running[2])
    assert [ticket.id for ticket in pool.call_due()] == [large.id]
    assert pool.ticket(late).state is WAITING
