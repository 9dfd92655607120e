"""Rows that are not over are read again after each change, and not without one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, update

from spawner.ledger import EndReason, Ledger, TicketState
from spawner.ledger.people import people
from spawner.ledger.people.rows import HubUser, Identity
from spawner.ledger.pool import instances, slots, tickets
from spawner.ledger.pool.open_rows import FRESH_SECONDS, OpenRowsReader
from spawner.ledger.pool.tables import instances as instance_table
from spawner.pool.warm.demand import read_demand
from spawner.steward.snapshots import read_queue, read_reconcile
from tests.ledger.rows import NOW, later
from tests.ledger.running import run_instance
from tests.ledger.test_plans import statements
from tests.unit import make

Change = Callable[[Connection], Any]
CHANGES: dict[str, Change] = {
    "a new slot": lambda c: slots.intend(c, slot_id="s2", flavor="small", image="cpu", holder_id=None, now=later(1)),
    "a slot is warm": lambda c: slots.mark_warm(c, "s0", now=later(2)),
    "a slot is claimed": lambda c: slots.claim_waiting(c, flavor="small", image="cpu", holder_id="x", now=later(2)),
    "a slot is destroyed": lambda c: slots.mark_destroying(c, "s0", reason=EndReason.SURPLUS),
    "an instance ends": lambda c: instances.mark_stopping(c, "i1", reason=EndReason.STOPPED, now=later(2)),
    "an end is moved": lambda c: instances.move_end(c, "i1", expected=later(60), ends_at=later(90)),
    "a ticket joins": lambda c: tickets.join(c, make.ticket("t2", person_id="bob")),
    "a ticket is called": lambda c: tickets.call(c, "t1", now=later(1), hold_until=later(9)),
    "a ticket is closed": lambda c: tickets.close(c, "t1", TicketState.CANCELLED, now=later(1)),
    "a person turns out to be another": lambda c: people.identify(
        c, HubUser(7, "ann", "2026-03-01T00:00:00Z"), Identity("x", "known"), new_id=lambda: "new", now=later(1)
    ),
}


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """An instance, a slot that is being created, and a waiting ticket; two people who are one."""
    run_instance(ledger)
    ledger.write(slots.intend, slot_id="s0", flavor="small", image="cpu", holder_id=None, now=later(0))
    ledger.write(tickets.join, make.ticket("t1", person_id="carl"))
    old, new = HubUser(6, "old", "2025-03-01T00:00:00Z"), HubUser(7, "ann", "2026-03-01T00:00:00Z")
    ledger.write(people.identify, old, Identity("x", "known"), new_id=lambda: "old", now=NOW)
    ledger.write(people.leave, old)
    ledger.write(people.of_user, new, new_id=lambda: "ann", now=NOW)
    return ledger


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_seen(filled: Ledger, change: str) -> None:
    rows = OpenRowsReader(lambda: 0.0)
    before = filled.read(rows.read)
    assert filled.read(rows.read) is before
    filled.write(CHANGES[change])
    after, anew = filled.read(rows.read), filled.read(OpenRowsReader().read)
    assert (after.slots, after.instances, after.tickets) == (anew.slots, anew.instances, anew.tickets)
    assert (after.slots, after.instances, after.tickets) != (before.slots, before.instances, before.tickets)


def test_a_change_by_hand_is_seen_some_seconds_later(filled: Ledger) -> None:
    clock = [0.0]
    rows = OpenRowsReader(lambda: clock[0])
    filled.read(rows.read)
    ends_at = later(60) + timedelta(days=1)
    filled.write(lambda c: c.execute(update(instance_table).values(ends_at=ends_at)))
    clock[0] = FRESH_SECONDS + 1
    assert filled.read(rows.read).instances[0].ends_at == ends_at


def test_a_round_of_the_steward_reads_each_table_once(filled: Ledger) -> None:
    rows = OpenRowsReader(lambda: 0.0)

    def a_round(connection: Connection) -> list[str]:
        with statements(connection) as executed:
            read_reconcile(connection, rows)
            read_queue(connection, rows, told_since=NOW)
            read_demand(connection, rows, now=NOW)
        return [statement for statement, _ in executed if "state <> 'gone'" in statement]

    assert len(filled.read(a_round)) == 1
    assert filled.read(a_round) == []
