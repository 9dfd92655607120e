"""Concurrent requests, calls and cancellations: no slot is given twice, and no ticket is lost or doubled."""

from __future__ import annotations

import contextlib

from spawner.errors import LostRace
from spawner.ledger import Ticket, TicketState
from tests.ledger.conftest import Together
from tests.ledger.pool import CALLED, WAITING, SimulatedPool
from tests.unit import make


def test_of_many_concurrent_requests_one_gets_the_last_slot(pool: SimulatedPool, together: Together[Ticket]) -> None:
    users = [f"u{number}" for number in range(16)]
    found = together([lambda user=user: pool.ask(user) for user in users])  # type: ignore[misc]
    assert [ticket.state for ticket in found].count(CALLED) == 1
    assert len(pool.held()) == 1
    queued = [ticket for ticket in found if ticket.state is WAITING]
    assert sorted(pool.place(ticket) for ticket in queued) == list(range(1, 16))


def test_concurrent_requests_of_one_user_give_one_ticket(pool: SimulatedPool, together: Together[Ticket]) -> None:
    for state, user in ((CALLED, "ann"), (WAITING, "bob")):
        found = together([lambda user=user: pool.ask(user) for _ in range(8)])  # type: ignore[misc]
        assert len({ticket.id for ticket in found}) == 1
        assert {ticket.state for ticket in found} == {state}


def test_tickets_are_called_once(pool: SimulatedPool, together: Together[list[Ticket]]) -> None:
    """Two stewards call, while all queued users ask again."""
    pool.catalog = make.catalog(make.flavor(limit=4))
    running = [pool.start(f"r{number}") for number in range(4)]
    queued = []
    for number in range(12):
        pool.pass_time(1)
        queued.append(pool.ask(f"u{number:02}"))
    for instance in running:
        pool.end(instance)
    together([*[pool.call_due] * 4, *(lambda user=t.user_name: [pool.ask(user)] for t in queued)])  # type: ignore[misc]
    called = [ticket.user_name for ticket in pool.alive() if ticket.state is CALLED]
    assert called == [f"u{number:02}" for number in range(4)]
    assert len(pool.held()) == 4


def test_concurrent_cancel_and_call_leave_a_consistent_ledger(pool: SimulatedPool, together: Together[None]) -> None:
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
        pool.finish_endings()
