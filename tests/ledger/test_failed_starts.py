"""Failed starts: which end their ticket, and which keep its place in the queue."""

from __future__ import annotations

import pytest

from spawner.ledger import EndReason, TicketState
from spawner.pool.queue.admission import MAX_FAILED_STARTS
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
