"""What is kept of the last day is what a read of the whole day gives, and most of it is not read again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Connection

from spawner.ledger import EndReason, Ledger, StartStep, TicketState
from spawner.ledger.pool import instances, tickets
from spawner.pool.day_reader import OVERLAP, DayReader
from spawner.pool.statistics import COLD, Day, read_day
from tests.ledger.many import fill
from tests.ledger.rows import NOW, later, request
from tests.ledger.test_admission_cost import Records
from tests.unit import make

HOUR = 3600


def run(ledger: Ledger, name: str, at: float) -> None:
    """A cold start, an instance that ran for an hour, and a ticket that was cancelled."""
    request(ledger, name, user=name, at=at)

    def write(connection: Connection) -> None:
        instances.add_event(connection, name, StartStep.SLOT_CREATING, now=later(at))
        instances.mark_running(connection, name, url="http://x", now=later(at + 1), ends_at=later(at + 2 * HOUR))
        instances.mark_stopping(connection, name, reason=EndReason.STOPPED, now=later(at + HOUR))
        instances.mark_ended(connection, name, now=later(at + HOUR))
        tickets.join(connection, make.ticket(name, person_id=name, joined_at=later(at), rank_at=later(at)))
        tickets.close(connection, name, TicketState.CANCELLED, now=later(at + 5))

    ledger.write(write)


def parts(day: Day) -> tuple[object, ...]:
    """What statistics are made from. Steps of instances that are over count for nothing."""
    cold = {one.id for one in day.started if COLD in day.steps.get(one.id, ())}
    return day.tickets, day.started, day.ended, cold


def test_it_says_the_same_as_a_read_of_the_whole_day(ledger: Ledger) -> None:
    reader = DayReader()
    ledger.write(tickets.join, make.ticket("open", person_id="open"))
    for hours in range(0, 60, 7):
        run(ledger, f"i{hours}", hours * HOUR)
        now = later((hours + 1) * HOUR + 10)
        whole = ledger.read(read_day, now=now)
        assert parts(ledger.read(reader.read, now=now)) == parts(whole)
    assert 3 <= len(whole.ended) <= 4


def test_a_row_that_is_written_late_is_found(ledger: Ledger) -> None:
    reader = DayReader()
    run(ledger, "i1", 0)
    ledger.read(reader.read, now=later(2 * HOUR))
    run(ledger, "late", HOUR - OVERLAP.total_seconds() + 20)
    assert len(ledger.read(reader.read, now=later(2 * HOUR + 10)).ended) == 2


def test_rows_of_before_are_not_read_again(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.write(fill, 1800, running=0, waiting=0)
    reader = DayReader()
    assert len(ledger.read(reader.read, now=NOW).ended) >= 20
    soon = NOW + timedelta(minutes=1)
    with monkeypatch.context() as counting:
        records = Records(counting)
        again = ledger.read(reader.read, now=soon)
    assert sum(records.made.values()) <= 9
    assert parts(again)[1:] == parts(ledger.read(read_day, now=soon))[1:]
