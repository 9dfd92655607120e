"""Admission and the queue: which users get a slot, which are queued, and in which order."""

from __future__ import annotations

from datetime import timedelta

import pytest

from spawner.errors import AlreadyQueued, PoolFull
from spawner.ledger import InstanceState, SlotState, TicketState
from spawner.ledger.pool import instances, tickets
from tests.ledger.pool import CALLED, WAITING, SimulatedPool, reserved, warm
from tests.unit import make

# With free room


def test_with_free_room_a_ticket_is_called_at_once(pool: SimulatedPool) -> None:
    ticket = pool.ask("ann", example="ocr")
    assert (ticket.state, ticket.example) == (CALLED, "ocr")
    assert ticket.called_at == ticket.joined_at == pool.time
    assert ticket.hold_until == pool.time + timedelta(seconds=600)
    (slot,) = reserved(pool, ticket)
    assert (slot.flavor, slot.image, slot.state) == ("small", "torch", SlotState.CREATING)


def test_a_warm_slot_is_reserved_before_one_is_created(pool: SimulatedPool) -> None:
    warm(pool, "w")
    ticket = pool.ask("ann")
    assert [(slot.id, slot.state) for slot in reserved(pool, ticket)] == [("w", SlotState.CLAIMED)]
    assert len(pool.slots()) == 1


def test_a_warm_slot_of_an_older_size_gives_way_to_one_of_the_size_on_the_page(pool: SimulatedPool) -> None:
    pool.catalog = make.catalog(make.flavor(memory=2, limit=1))
    warm(pool, "old", version="cpu 1")
    (slot,) = reserved(pool, pool.ask("ann"))
    assert (slot.state, slot.version) == (SlotState.CREATING, "cpu 2")
    assert [one.id for one in pool.slots() if one.state is SlotState.DESTROYING] == ["old"]


def test_a_warm_slot_of_another_kind_is_removed_for_a_request(pool: SimulatedPool) -> None:
    warm(pool, "w", image="torch")
    ticket = pool.ask("ann")
    assert ticket.state is CALLED
    assert {slot.id: slot.state for slot in pool.slots() if slot.holder_id is None} == {"w": SlotState.DESTROYING}
    assert len(pool.held()) == 1


def test_a_ticket_is_served_when_its_instance_runs(pool: SimulatedPool) -> None:
    instance = pool.start("ann")
    (ticket,) = pool.ledger.read(tickets.since, pool.time)
    assert (ticket.state, ticket.instance_id) == (TicketState.SERVED, instance.id)
    assert [slot.holder_id for slot in pool.held()] == [instance.id]


def test_an_ending_frees_the_server_for_the_next_start(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    pool.end(ann)
    assert pool.ledger.read(instances.get, ann.id).state is InstanceState.STOPPING
    again = pool.ask("ann")
    assert again.state is CALLED
    pool.run(pool.begin(again))


# In the queue


def test_in_a_full_pool_users_are_queued(pool: SimulatedPool) -> None:
    pool.start("ann")
    queued = [pool.ask(user) for user in ("bob", "cat", "dan")]
    assert [ticket.state for ticket in queued] == [WAITING] * 3
    assert [pool.place(ticket) for ticket in queued] == [1, 2, 3]
    assert len(pool.held()) == 1


def test_asking_again_is_the_same_ticket_and_place(pool: SimulatedPool) -> None:
    pool.start("ann")
    first = pool.ask("bob", example="ocr")
    pool.ask("cat")
    pool.pass_time(60)
    for _ in range(3):
        assert pool.ask("bob", image="torch") == first, "an example changes only which notebook file opens first"
    assert pool.place(first) == 1
    assert pool.ticket(first).example == "ocr"
    assert len(pool.alive()) == 2


def test_a_request_with_a_called_ticket_starts_it(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    bob, cat = pool.ask("bob"), pool.ask("cat")
    pool.end(ann)
    assert pool.ask("cat").state is WAITING
    asked = pool.ask("bob")
    assert (asked.id, asked.state) == (bob.id, CALLED)
    assert len(reserved(pool, bob)) == 1
    assert pool.ask("bob") == asked
    assert pool.place(cat) == 1


def test_a_new_user_is_not_called_before_queued_ones(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    pool.ask("bob")
    pool.pass_time(1)
    pool.end(ann)
    assert pool.ask("cat").state is WAITING, "the room is kept for bob, who is not called yet"
    assert [ticket.user_name for ticket in pool.call_due()] == ["bob"]


def test_a_user_with_recent_use_ranks_behind_one_without(pool: SimulatedPool) -> None:
    pool.catalog = make.catalog(make.flavor(limit=1), queue={"use_counts": 1})
    ann = pool.start("ann")
    pool.pass_time(1800)
    pool.end(ann)
    pool.finish_endings()
    dan = pool.start("dan")
    again = pool.ask("ann")
    pool.pass_time(60)
    new = pool.ask("bob")
    assert (pool.place(new), pool.place(again)) == (1, 2)
    assert again.rank_at == again.joined_at + timedelta(minutes=30)
    pool.pass_time(1800)
    late = pool.ask("cat")
    assert [pool.place(ticket) for ticket in (new, again, late)] == [1, 2, 3]
    pool.end(dan)


def test_a_user_has_one_ticket(pool: SimulatedPool) -> None:
    pool.catalog = make.catalog(make.flavor("small", limit=1), make.flavor("large", limit=1))
    pool.start("ann", flavor="small")
    pool.start("ann2", flavor="large")
    first = pool.ask("bob", flavor="small")
    for other in ({"flavor": "large"}, {"flavor": "small", "image": "torch"}, {"flavor": "small", "server": "second"}):
        with pytest.raises(AlreadyQueued, match="already in the queue for small"):
            pool.ask("bob", **other)
    assert [ticket for ticket in pool.alive() if ticket.user_name == "bob"] == [first]


def test_a_queued_user_may_start_another_flavor_that_is_free(pool: SimulatedPool) -> None:
    pool.catalog = make.catalog(make.flavor("small"), make.flavor("large", limit=1))
    pool.start("ann", flavor="large")
    place = pool.ask("bob", flavor="large")
    assert pool.start("bob", flavor="small").state is InstanceState.RUNNING
    assert pool.ticket(place).state is WAITING


def test_a_user_has_at_most_one_reserved_slot(pool: SimulatedPool) -> None:
    """Otherwise one user could reserve the whole pool, ten minutes at a time, without starting anything."""
    pool.catalog = make.catalog(make.flavor("small", limit=9), make.flavor("large", limit=9))
    pool.ask("bob", flavor="small")
    for other in ({"flavor": "large"}, {"flavor": "small", "image": "torch"}):
        with pytest.raises(AlreadyQueued):
            pool.ask("bob", **other)
    assert len(pool.held()) == 1


def test_a_full_queue_refuses_and_stores_nothing(pool: SimulatedPool) -> None:
    pool.catalog = make.catalog(make.flavor("small", limit=1), make.flavor("large", limit=1), queue={"longest": 2})
    for flavor in ("small", "large"):
        pool.start(f"ann-{flavor}", flavor=flavor)
    first = pool.ask("bob")
    pool.ask("cat")
    with pytest.raises(PoolFull, match="the queue is full"):
        pool.ask("dan")
    assert pool.ask("bob") == first, "a queued ticket stays"
    assert pool.ask("dan", flavor="large").state is WAITING, "each flavor has its own queue"
    assert len(pool.alive()) == 3


def test_without_a_queue_a_full_pool_refuses(pool: SimulatedPool) -> None:
    pool.catalog = make.catalog(make.flavor(limit=1), queue={"longest": 0})
    pool.start("ann")
    with pytest.raises(PoolFull):
        pool.ask("bob")
    assert pool.alive() == []


# Tickets that count as collected


def test_a_request_in_a_browser_that_starts_at_once_counts_as_collected(pool: SimulatedPool) -> None:
    assert pool.ask("ann", by_user=True).collected_at == pool.time


def test_a_request_by_a_program_does_not_count_as_collected(pool: SimulatedPool) -> None:
    assert pool.ask("ann").collected_at is None


def test_a_request_in_a_browser_that_was_queued_does_not_count_as_collected(pool: SimulatedPool) -> None:
    """A user who was present hours ago may be away now."""
    ann = pool.start("ann")
    pool.ask("bob", by_user=True)
    pool.pass_time(1)
    pool.end(ann)
    (called,) = pool.call_due()
    assert called.collected_at is None
    pool.run(pool.begin(called))
    uncollected = [ticket.user_name for ticket in pool.ledger.read(tickets.uncollected)]
    assert uncollected == ["bob"], "it was never ann's turn: she got a slot at once"
