"""Restarts keep their slot, and gain no time while others are queued."""

from __future__ import annotations

import pytest

from spawner.errors import LostRace
from spawner.ledger import EndReason, InstanceState, TicketState
from spawner.ledger.pool import instances
from tests.ledger.pool import CALLED, SimulatedPool
from tests.unit import make


def test_a_restart_keeps_its_slot_while_others_are_queued(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    pool.ask("bob")
    pool.pass_time(60)
    ticket = pool.ledger.write(pool.admission.reserve_replacement, ann)
    assert (ticket.state, ticket.ends_by) == (CALLED, ann.ends_at)
    pool.end(ann)
    assert pool.ledger.read(instances.get, ann.id).reason is EndReason.RESTARTED
    assert pool.call_due() == []
    again = pool.run(pool.begin(pool.ask("ann")))
    assert pool.ticket(ticket).instance_id == again.id
    pool.finish_endings()
    assert pool.call_due() == []
    assert len(pool.held()) == 1


def test_a_restart_with_an_empty_queue_gets_the_full_time(pool: SimulatedPool) -> None:
    assert pool.ledger.write(pool.admission.reserve_replacement, pool.start("ann")).ends_by is None


def test_restarting_a_restart_gains_no_time_either(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    pool.ask("bob")
    ticket = pool.ledger.write(pool.admission.reserve_replacement, ann)
    pool.end(ann)
    begun = pool.begin(ticket)
    assert begun.ends_at is None, "it does not run yet"
    assert pool.ledger.write(pool.admission.reserve_replacement, begun).ends_by == ann.ends_at


def test_two_restarts_at_once_hold_one_slot(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    pool.ask("bob")
    first, second = (pool.ledger.write(pool.admission.reserve_replacement, ann) for _ in range(2))
    assert first.id == second.id
    assert len(pool.held()) == 2
    pool.end(ann)
    with pytest.raises(LostRace):
        pool.ledger.write(pool.admission.reserve_replacement, ann)


def test_a_notebook_is_left_only_for_a_slot_that_is_still_reserved(pool: SimulatedPool) -> None:
    pool.catalog = make.catalog(make.flavor("small"), make.flavor("large"))
    ann = pool.start("ann", flavor="small")
    given_up = pool.ask("ann", flavor="large")
    pool.ledger.write(pool.admission.release, given_up.id, TicketState.CANCELLED)
    assert not pool.ledger.write(pool.admission.leave_for, given_up.id)
    assert pool.ledger.read(instances.get, ann.id).state is InstanceState.RUNNING
    reserved = pool.ask("ann", flavor="large")
    assert pool.ledger.write(pool.admission.leave_for, reserved.id)
    assert pool.ledger.read(instances.get, ann.id).reason is EndReason.SWITCHED
    assert not pool.ledger.write(pool.admission.leave_for, reserved.id), "a second tab has nothing to stop"
    begun = pool.begin(reserved)
    assert not pool.ledger.write(pool.admission.leave_for, reserved.id)
    assert pool.ledger.read(instances.get, begun.id).reason is None
