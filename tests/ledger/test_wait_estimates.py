"""The estimate of a ticket's wait, computed from the ledger."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from spawner.ledger import TicketState
from spawner.ledger.pool.tables import tickets as tickets_table
from tests.ledger.pool import SimulatedPool


def test_without_running_instances_there_is_no_estimate(pool: SimulatedPool) -> None:
    assert pool.ledger.read(pool.admission.estimate, "small", 1) is None


def test_an_estimate_is_stored_with_the_real_wait(pool: SimulatedPool) -> None:
    pool.start("ann")
    bob = pool.ask("bob")
    position = pool.ledger.read(pool.admission.position_of, bob)
    assert position.wait is not None
    assert (bob.expected_low, bob.expected_high) == (round(position.wait.low), round(position.wait.high))


def test_pending_starts_give_an_estimate(pool: SimulatedPool) -> None:
    """Many users may be queued before the first instance runs."""
    pool.begin(pool.ask("ann"))
    bob = pool.ask("bob")
    assert bob.expected_high is not None
    assert 0 < bob.expected_high <= 4 * 3600


def test_estimates_converge_to_the_real_waits(pool: SimulatedPool) -> None:
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
    assert estimates[0] > 3600, "half of the longest session, without data"
    assert estimates[-1] == pytest.approx(900, rel=0.01)
