"""Admission and the queue: which users get a slot, which are queued, and that no ticket is lost or doubled."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from sqlalchemy import update

from spawner.errors import AlreadyQueued, LostRace, Maintenance, Paused, PoolFull
from spawner.ledger import EndReason, InstanceState, Ledger, Slot, SlotState, Ticket, TicketState
from spawner.ledger.pool import admin_settings, instances, slots, tickets
from spawner.ledger.pool.tables import tickets as tickets_table
from spawner.pool.queue.admission import MAX_FAILED_STARTS
from tests.ledger.conftest import Together
from tests.ledger.pool import PaperPool
from tests.unit import make
from tests.unit.make import GIB, PaperBackend

WAITING, CALLED = TicketState.WAITING, TicketState.CALLED


@pytest.fixture
def pool(ledger: Ledger) -> PaperPool:
    """A pool of one instance."""
    return PaperPool(ledger)


def warm(pool: PaperPool, name: str, *, flavor: str = "small", image: str = "cpu") -> None:
    pool.ledger.write(
        slots.intend, slot_id=name, flavor=flavor, image=image, holder_id=None, now=pool.time - timedelta(minutes=1)
    )
    pool.ledger.write(slots.mark_warm, name, now=pool.time)


def reserved(pool: PaperPool, ticket: Ticket) -> list[Slot]:
    return [slot for slot in pool.slots() if slot.holder_id == ticket.id and slot.state is not SlotState.DESTROYING]


# Where there is room


def test_with_free_room_a_ticket_is_called_at_once(pool: PaperPool) -> None:
    ticket = pool.ask("ann", example="ocr")
    assert (ticket.state, ticket.example) == (CALLED, "ocr")
    assert ticket.called_at == ticket.joined_at == pool.time
    assert ticket.hold_until == pool.time + timedelta(seconds=600)
    (slot,) = reserved(pool, ticket)
    assert (slot.flavor, slot.image, slot.state) == ("small", "torch", SlotState.CREATING)


def test_a_warm_slot_is_reserved_before_one_is_created(pool: PaperPool) -> None:
    warm(pool, "w")
    ticket = pool.ask("ann")
    assert [(slot.id, slot.state) for slot in reserved(pool, ticket)] == [("w", SlotState.CLAIMED)]
    assert len(pool.slots()) == 1


def test_a_warm_slot_of_another_kind_is_removed_for_a_request(pool: PaperPool) -> None:
    warm(pool, "w", image="torch")
    ticket = pool.ask("ann")
    assert ticket.state is CALLED
    assert {slot.id: slot.state for slot in pool.slots() if slot.holder_id is None} == {"w": SlotState.DESTROYING}
    assert len(pool.held()) == 1


def test_a_ticket_is_served_when_its_instance_runs(pool: PaperPool) -> None:
    instance = pool.start("ann")
    (ticket,) = pool.ledger.read(tickets.since, pool.time)
    assert (ticket.state, ticket.instance_id) == (TicketState.SERVED, instance.id)
    assert [slot.holder_id for slot in pool.held()] == [instance.id]


# In the queue


def test_in_a_full_pool_users_are_queued(pool: PaperPool) -> None:
    pool.start("ann")
    line = [pool.ask(user) for user in ("bob", "cat", "dan")]
    assert [ticket.state for ticket in line] == [WAITING] * 3
    assert [pool.place(ticket) for ticket in line] == [1, 2, 3]
    assert len(pool.held()) == 1


def test_asking_again_is_the_same_ticket_and_place(pool: PaperPool) -> None:
    pool.start("ann")
    first = pool.ask("bob", example="ocr")
    pool.ask("cat")
    pool.pass_time(60)
    for _ in range(3):
        assert pool.ask("bob", image="torch") == first, "an example is only which notebook is opened first"
    assert pool.place(first) == 1
    assert pool.ticket(first).example == "ocr"
    assert len(pool.alive()) == 2


def test_a_request_with_a_called_ticket_starts_it(pool: PaperPool) -> None:
    ann = pool.start("ann")
    bob, cat = pool.ask("bob"), pool.ask("cat")
    pool.end(ann)
    assert pool.ask("cat").state is WAITING
    asked = pool.ask("bob")
    assert (asked.id, asked.state) == (bob.id, CALLED)
    assert len(reserved(pool, bob)) == 1
    assert pool.ask("bob") == asked
    assert pool.place(cat) == 1


def test_a_new_user_is_not_called_before_queued_ones(pool: PaperPool) -> None:
    ann = pool.start("ann")
    pool.ask("bob")
    pool.pass_time(1)
    pool.end(ann)
    assert pool.ask("cat").state is WAITING, "the room is bob's, though nobody has called him yet"
    assert [ticket.user_name for ticket in pool.call_due()] == ["bob"]


def test_a_user_with_recent_use_ranks_behind_one_without(pool: PaperPool) -> None:
    pool.catalog = make.catalog(make.flavor(limit=1), queue={"use_counts": 1})
    ann = pool.start("ann")
    pool.pass_time(1800)
    pool.end(ann)
    pool.sweep()
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


def test_a_user_has_one_ticket(pool: PaperPool) -> None:
    pool.catalog = make.catalog(make.flavor("small", limit=1), make.flavor("large", limit=1))
    pool.start("ann", flavor="small")
    pool.start("ann2", flavor="large")
    first = pool.ask("bob", flavor="small")
    for other in ({"flavor": "large"}, {"flavor": "small", "image": "torch"}, {"flavor": "small", "server": "second"}):
        with pytest.raises(AlreadyQueued, match="in line for small already"):
            pool.ask("bob", **other)
    assert [ticket for ticket in pool.alive() if ticket.user_name == "bob"] == [first]


def test_a_queued_user_may_start_another_flavor_that_is_free(pool: PaperPool) -> None:
    pool.catalog = make.catalog(make.flavor("small"), make.flavor("large", limit=1))
    pool.start("ann", flavor="large")
    place = pool.ask("bob", flavor="large")
    assert pool.start("bob", flavor="small").state is InstanceState.RUNNING
    assert pool.ticket(place).state is WAITING


def test_a_user_has_at_most_one_reserved_slot(pool: PaperPool) -> None:
    """Otherwise one user could reserve the whole pool, ten minutes at a time, without starting anything."""
    pool.catalog = make.catalog(make.flavor("small", limit=9), make.flavor("large", limit=9))
    pool.ask("bob", flavor="small")
    for other in ({"flavor": "large"}, {"flavor": "small", "image": "torch"}):
        with pytest.raises(AlreadyQueued):
            pool.ask("bob", **other)
    assert len(pool.held()) == 1


def test_a_full_queue_refuses_and_stores_nothing(pool: PaperPool) -> None:
    pool.catalog = make.catalog(make.flavor("small", limit=1), make.flavor("large", limit=1), queue={"longest": 2})
    for flavor in ("small", "large"):
        pool.start(f"ann-{flavor}", flavor=flavor)
    first = pool.ask("bob")
    pool.ask("cat")
    with pytest.raises(PoolFull, match="the line is full"):
        pool.ask("dan")
    assert pool.ask("bob") == first, "who stands in it stays"
    assert pool.ask("dan", flavor="large").state is WAITING, "each flavor has a line of its own"
    assert len(pool.alive()) == 3


def test_without_a_queue_a_full_pool_refuses(pool: PaperPool) -> None:
    pool.catalog = make.catalog(make.flavor(limit=1), queue={"longest": 0})
    pool.start("ann")
    with pytest.raises(PoolFull):
        pool.ask("bob")
    assert pool.alive() == []


# Calls


def test_tickets_are_called_in_order_each_with_a_slot(pool: PaperPool) -> None:
    pool.catalog = make.catalog(make.flavor(limit=2))
    running = [pool.start("ann"), pool.start("ann2")]
    line = [pool.ask(user) for user in ("bob", "cat", "dan")]
    assert pool.call_due() == []
    for instance in running:
        pool.end(instance)
    pool.pass_time(5)
    called = pool.call_due()
    assert [ticket.id for ticket in called] == [ticket.id for ticket in line[:2]]
    for ticket in called:
        assert (ticket.state, ticket.called_at) == (CALLED, pool.time)
        assert ticket.hold_until == pool.time + timedelta(seconds=600)
        assert len(reserved(pool, ticket)) == 1
    assert pool.call_due() == []
    assert pool.place(line[2]) == 1


def test_a_lost_slot_keeps_the_tickets_place(pool: PaperPool) -> None:
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
def test_a_held_slot_goes_to_the_next_ticket(pool: PaperPool, state: TicketState) -> None:
    ann = pool.start("ann")
    bob, cat = pool.ask("bob"), pool.ask("cat")
    pool.end(ann)
    pool.sweep()
    pool.call_due()
    pool.ledger.write(pool.admission.release, bob.id, state)
    assert pool.ticket(bob).state is state
    assert reserved(pool, bob) == []
    assert [ticket.id for ticket in pool.call_due()] == [cat.id]
    assert len(pool.held()) == 1
    with pytest.raises(LostRace):
        pool.ledger.write(pool.admission.release, bob.id, state)


def test_a_warm_slot_that_was_held_becomes_free_again(pool: PaperPool) -> None:
    warm(pool, "w")
    ticket = pool.ask("ann")
    pool.ledger.write(pool.admission.release, ticket.id, TicketState.CANCELLED)
    (slot,) = pool.slots()
    assert (slot.id, slot.state, slot.holder_id, slot.claimed_at) == ("w", SlotState.WARM, None, None)


def test_leaving_the_queue_does_not_delay_later_tickets(pool: PaperPool) -> None:
    pool.start("ann")
    bob, cat = pool.ask("bob"), pool.ask("cat")
    pool.ledger.write(pool.admission.release, bob.id, TicketState.CANCELLED)
    assert pool.place(cat) == 1
    assert pool.place(pool.ask("bob")) == 2


def test_a_start_that_began_after_the_snapshot_is_not_expired(pool: PaperPool) -> None:
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


# Starts that fail


def test_a_failed_start_that_had_not_waited_ends_its_ticket(pool: PaperPool) -> None:
    ticket = pool.ask("ann")
    instance = pool.begin(ticket)
    pool.end(instance, EndReason.START_FAILED)
    assert pool.ticket(ticket).state is TicketState.FAILED


def test_a_failed_start_that_had_waited_is_retried_a_few_times(pool: PaperPool) -> None:
    dan = pool.start("dan")
    bob = pool.ask("bob")
    pool.pass_time(1)
    pool.end(dan)
    for tries in range(1, MAX_FAILED_STARTS + 1):
        (called,) = pool.call_due()
        pool.end(pool.begin(called), EndReason.START_FAILED)
        pool.sweep()
        found = pool.ticket(bob)
        assert found.state is (WAITING if tries < MAX_FAILED_STARTS else TicketState.FAILED)
    assert pool.held() == []


@pytest.mark.parametrize("reason", [EndReason.NO_ROOM, EndReason.LOST, EndReason.SHUTDOWN, EndReason.SUPERSEDED])
def test_failures_of_the_platform_keep_the_place(pool: PaperPool, reason: EndReason) -> None:
    """So does a hub killed during a start, which the next start supersedes."""
    dan = pool.start("dan")
    bob = pool.ask("bob")
    pool.pass_time(1)
    pool.end(dan)
    for _ in range(MAX_FAILED_STARTS + 2):
        pool.pass_time(120)  # a flavor without room is retried after a pause
        (called,) = pool.call_due()
        pool.end(pool.begin(called), reason)
        pool.sweep()
        assert pool.ticket(bob).state is WAITING
    assert pool.place(bob) == 1


def test_a_start_without_a_machine_is_queued(pool: PaperPool) -> None:
    pool.catalog = make.catalog(make.flavor(limit=5))
    ticket = pool.ask("ann", by_user=True)
    pool.end(pool.begin(ticket), EndReason.NO_ROOM)
    found = pool.ticket(ticket)
    assert found.state is WAITING
    assert found.collected_at is None, "whoever waits may have left since"


def test_a_superseded_start_that_had_not_waited_ends_its_ticket(pool: PaperPool) -> None:
    ticket = pool.ask("ann")
    pool.end(pool.begin(ticket), EndReason.SUPERSEDED)
    assert pool.ticket(ticket).state is TicketState.FAILED


def test_a_cancelled_start_ends_its_ticket(pool: PaperPool) -> None:
    ann = pool.start("ann")
    bob, cat = pool.ask("bob"), pool.ask("cat")
    pool.end(ann)
    (called,) = pool.call_due()
    instance = pool.begin(called)
    pool.end(instance, EndReason.CANCELLED)
    pool.sweep()
    assert pool.ticket(bob).state is TicketState.CANCELLED
    assert [ticket.id for ticket in pool.call_due()] == [cat.id]


def test_a_failed_start_keeps_the_users_ticket_of_another_flavor(pool: PaperPool) -> None:
    pool.catalog = make.catalog(make.flavor("small"), make.flavor("large", limit=1))
    pool.start("ann", flavor="large")
    place = pool.ask("bob", flavor="large")
    small = pool.ask("bob", flavor="small")
    pool.end(pool.begin(small), EndReason.NO_ROOM)
    assert pool.ticket(small).state is TicketState.FAILED
    assert pool.ticket(place).state is WAITING


def test_settling_twice_or_too_early_does_nothing(pool: PaperPool) -> None:
    ticket = pool.ask("ann")
    instance = pool.begin(ticket)
    pool.ledger.write(pool.admission.settle, instance.id)
    pool.ledger.write(pool.admission.settle, "unknown")
    assert pool.ticket(ticket).state is CALLED
    pool.end(instance, EndReason.START_FAILED)
    pool.ledger.write(pool.admission.settle, instance.id)
    assert pool.ticket(ticket).state is TicketState.FAILED


# Whether the user is present


def test_a_request_in_a_browser_that_starts_at_once_counts_as_collected(pool: PaperPool) -> None:
    assert pool.ask("ann", by_user=True).collected_at == pool.time


def test_a_request_by_a_program_does_not_count_as_collected(pool: PaperPool) -> None:
    assert pool.ask("ann").collected_at is None


def test_a_request_in_a_browser_that_was_queued_does_not_count_as_collected(pool: PaperPool) -> None:
    """A user who was present hours ago may be away now."""
    ann = pool.start("ann")
    pool.ask("bob", by_user=True)
    pool.end(ann)
    (called,) = pool.call_due()
    assert called.collected_at is None
    pool.run(pool.begin(called))
    assert [ticket.user_name for ticket in pool.ledger.read(tickets.uncollected)] == ["ann", "bob"]


# Restarts


def test_a_restart_keeps_its_slot_while_others_are_queued(pool: PaperPool) -> None:
    ann = pool.start("ann")
    pool.ask("bob")
    pool.pass_time(60)
    ticket = pool.ledger.write(pool.admission.reserve_replacement, ann)
    assert (ticket.state, ticket.ends_by) == (CALLED, ann.ends_at)
    pool.end(ann)
    assert pool.call_due() == []
    again = pool.run(pool.begin(pool.ask("ann")))
    assert pool.ticket(ticket).instance_id == again.id
    pool.sweep()
    assert pool.call_due() == []
    assert len(pool.held()) == 1


def test_a_restart_with_an_empty_queue_gets_the_full_time(pool: PaperPool) -> None:
    assert pool.ledger.write(pool.admission.reserve_replacement, pool.start("ann")).ends_by is None


def test_restarting_a_restart_gains_no_time_either(pool: PaperPool) -> None:
    ann = pool.start("ann")
    pool.ask("bob")
    ticket = pool.ledger.write(pool.admission.reserve_replacement, ann)
    pool.end(ann)
    begun = pool.begin(ticket)
    assert begun.ends_at is None, "it does not run yet"
    assert pool.ledger.write(pool.admission.reserve_replacement, begun).ends_by == ann.ends_at


def test_two_restarts_at_once_hold_one_slot(pool: PaperPool) -> None:
    ann = pool.start("ann")
    pool.ask("bob")
    first, second = (pool.ledger.write(pool.admission.reserve_replacement, ann) for _ in range(2))
    assert first.id == second.id
    assert len(pool.held()) == 2


# Closed by an administrator


def test_a_paused_flavor_is_refused_and_its_queue_waits(pool: PaperPool) -> None:
    ann = pool.start("ann")
    bob = pool.ask("bob")
    pool.ledger.write(admin_settings.put, "pause:small", True, now=pool.time, by="op")
    pool.end(ann)
    pool.sweep()
    with pytest.raises(Paused):
        pool.ask("cat")
    with pytest.raises(Paused):
        pool.ledger.write(pool.admission.reserve_replacement, ann)
    assert pool.call_due() == []
    assert pool.ask("bob") == bob
    pool.ledger.write(admin_settings.clear, "pause:small")
    assert [ticket.id for ticket in pool.call_due()] == [bob.id]


def test_a_drained_pool_starts_nothing_and_keeps_its_queue(pool: PaperPool) -> None:
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


def test_after_a_cluster_without_room_no_ticket_is_called_for_a_minute(pool: PaperPool) -> None:
    pool.catalog = make.catalog(make.flavor(limit=5))
    ticket = pool.ask("ann")
    instance = pool.begin(ticket)
    pool.end(instance, EndReason.NO_ROOM)
    pool.sweep()
    assert pool.ask("bob").state is WAITING
    assert pool.call_due() == []
    pool.pass_time(61)
    assert [one.user_name for one in pool.call_due()] == ["ann", "bob"]


def test_a_ticket_that_cannot_be_served_waits_and_delays_no_other(pool: PaperPool) -> None:
    pool.catalog = make.catalog(make.flavor("small"), make.flavor("gpu"))
    pool.backend = PaperBackend(refused=("gpu",))
    assert pool.ask("ann", flavor="gpu").state is WAITING
    assert pool.ask("bob", flavor="small").state is CALLED


def test_a_ticket_of_a_dropped_flavor_is_shown_and_delays_no_other(pool: PaperPool) -> None:
    """Until the steward has ended its tickets."""
    pool.catalog = make.catalog(make.flavor("small", limit=1), make.flavor("old", limit=1))
    pool.start("ann", flavor="old")
    lost = pool.ask("bob", flavor="old")
    pool.catalog = make.catalog(make.flavor("small", limit=1))
    line = pool.ledger.read(pool.admission.position_of, lost)
    assert (line.place, line.wait) == (1, None)
    assert pool.ask("cat").state is CALLED
    assert pool.call_due() == []


# Shared memory


def test_a_large_flavor_gets_room_before_later_small_ones(pool: PaperPool) -> None:
    pool.catalog = make.catalog(make.flavor("small", memory=GIB), make.flavor("large", memory=3 * GIB))
    pool.backend = PaperBackend(bytes=4 * GIB)
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


# Estimates


def test_without_running_instances_there_is_no_estimate(pool: PaperPool) -> None:
    assert pool.ledger.read(pool.admission.estimate, "small", 1) is None


def test_an_estimate_is_stored_with_the_real_wait(pool: PaperPool) -> None:
    pool.start("ann")
    bob = pool.ask("bob")
    line = pool.ledger.read(pool.admission.position_of, bob)
    assert line.wait is not None
    assert (bob.expected_low, bob.expected_high) == (round(line.wait.low), round(line.wait.high))


def test_pending_starts_give_an_estimate(pool: PaperPool) -> None:
    """In a rush all users come before the first instance runs."""
    pool.begin(pool.ask("ann"))
    bob = pool.ask("bob")
    assert bob.expected_high is not None
    assert 0 < bob.expected_high <= 4 * 3600


def test_estimates_converge_to_the_real_waits(pool: PaperPool) -> None:
    """All wait 15 minutes though session lengths suggest twice as much, because users ahead leave the queue."""
    pool.start("ann")
    estimates = []
    for number in range(40):
        ticket = pool.ask(f"u{number}")
        wait = pool.ledger.read(pool.admission.position_of, ticket).wait
        assert wait is not None
        estimates.append(wait.middle)
        called_at = pool.time + timedelta(minutes=15)
        pool.ledger.write(pool.admission.release, ticket.id, TicketState.CANCELLED)
        pool.ledger.write(
            lambda connection, of=ticket.id, at=called_at: connection.execute(
                update(tickets_table).where(tickets_table.c.id == of).values(called_at=at)
            )
        )
    assert estimates[0] > 3600, "half of the longest session, as long as nothing is known"
    assert estimates[-1] == pytest.approx(900, rel=0.01)


# Concurrency


def test_of_many_concurrent_requests_one_gets_the_last_slot(pool: PaperPool, together: Together[Ticket]) -> None:
    users = [f"u{number}" for number in range(16)]
    found = together([lambda user=user: pool.ask(user) for user in users])  # type: ignore[misc]
    assert [ticket.state for ticket in found].count(CALLED) == 1
    assert len(pool.held()) == 1
    line = [ticket for ticket in found if ticket.state is WAITING]
    assert sorted(pool.place(ticket) for ticket in line) == list(range(1, 16))


def test_concurrent_requests_of_one_user_give_one_ticket(pool: PaperPool, together: Together[Ticket]) -> None:
    for state, user in ((CALLED, "ann"), (WAITING, "bob")):
        found = together([lambda user=user: pool.ask(user) for _ in range(8)])  # type: ignore[misc]
        assert len({ticket.id for ticket in found}) == 1
        assert {ticket.state for ticket in found} == {state}


def test_tickets_are_called_once(pool: PaperPool, together: Together[list[Ticket]]) -> None:
    """Two stewards call, while all queued users ask again."""
    pool.catalog = make.catalog(make.flavor(limit=4))
    running = [pool.start(f"r{number}") for number in range(4)]
    line = []
    for number in range(12):
        pool.pass_time(1)
        line.append(pool.ask(f"u{number:02}"))
    for instance in running:
        pool.end(instance)
    together([*[pool.call_due] * 4, *(lambda user=t.user_name: [pool.ask(user)] for t in line)])  # type: ignore[misc]
    called = [ticket.user_name for ticket in pool.alive() if ticket.state is CALLED]
    assert called == [f"u{number:02}" for number in range(4)]
    assert len(pool.held()) == 4


def test_concurrent_cancel_and_call_leave_a_consistent_ledger(pool: PaperPool, together: Together[None]) -> None:
    for _ in range(4):
        ann = pool.start("ann")
        bob = pool.ask("bob")
        pool.end(ann)

        def cancel(ticket: Ticket = bob) -> None:
            with contextlib.suppress(LostRace):
                pool.ledger.write(pool.admission.release, ticket.id, TicketState.CANCELLED)

        together([cancel, cancel, lambda: pool.call_due() and None])
        assert pool.ticket(bob).state is TicketState.CANCELLED
        assert pool.held() == []
        pool.sweep()


def test_an_ending_frees_the_server_for_the_next_start(pool: PaperPool) -> None:
    ann = pool.start("ann")
    pool.end(ann)
    assert pool.ledger.read(instances.get, ann.id).state is InstanceState.STOPPING
    again = pool.ask("ann")
    assert again.state is CALLED
    pool.run(pool.begin(again))
