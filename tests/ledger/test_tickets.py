"""Tickets: every change happens once or is refused; no user is queued twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from spawner.errors import LostRace
from spawner.ledger import EndReason, InstanceState, Ledger, Ticket, TicketState
from spawner.ledger.pool import instances, tickets
from spawner.ledger.pool.rows import OPEN
from spawner.ledger.pool.tickets import OVER
from spawner.ledger.transitions import revision
from tests.ledger.conftest import Together
from tests.ledger.rows import NOW, instance_in, later, request
from tests.unit import make

Change = Callable[[Connection], object]
CHANGES: dict[str, tuple[tuple[TicketState, ...], TicketState, Change]] = {
    "call": ((TicketState.WAITING,), TicketState.CALLED, lambda c: tickets.call(c, "t", now=NOW, hold_until=later(9))),
    "begin": ((TicketState.CALLED,), TicketState.CALLED, lambda c: tickets.begin(c, "t", instance_id="i1")),
    "put back": ((TicketState.CALLED,), TicketState.WAITING, lambda c: tickets.put_back(c, "t", has_failed=False)),
    **{
        state.value: (OPEN, state, lambda c, state=state: tickets.close(c, "t", state, now=later(5)))  # type: ignore[misc]
        for state in (TicketState.CANCELLED, TicketState.EXPIRED, TicketState.FAILED)
    },
}


def join(ledger: Ledger, name: str = "t", state: TicketState = TicketState.WAITING, **changes: object) -> Ticket:
    """A ticket whose user has the ticket's id as name."""
    return ledger.write(tickets.join, make.ticket(name, state, **changes))


@pytest.mark.parametrize("state", list(TicketState))
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_happens_from_the_right_state_or_not_at_all(ledger: Ledger, name: str, state: TicketState) -> None:
    allowed, to, change = CHANGES[name]
    before = join(ledger, state=state)
    count = ledger.read(revision)
    if state in allowed:
        ledger.write(change)
        assert ledger.read(tickets.get, "t").state is to
        assert ledger.read(revision) > count
    else:
        with pytest.raises(LostRace):
            ledger.write(change)
        assert ledger.read(tickets.get, "t") == before


def test_a_ticket_is_read_as_written(ledger: Ledger) -> None:
    ticket = make.ticket(
        "t",
        user_name="名字",
        example="ocr",
        hold_until=later(9),
        expected_low=60,
        expected_high=120,
        ends_by=later(60),
        detail="😀",
    )
    assert ledger.write(tickets.join, ticket) == ticket
    assert ledger.read(tickets.get, "t") == ticket


def test_a_user_is_queued_once(ledger: Ledger) -> None:
    join(ledger, "a", user_name="ann")
    for changes in ({}, {"flavor": "large"}, {"server_name": "second"}):
        with pytest.raises(IntegrityError):
            join(ledger, "b", user_name="ann", **changes)
    join(ledger, "c", TicketState.CALLED, user_name="ann")
    with pytest.raises(IntegrityError):
        ledger.write(tickets.put_back, "c", has_failed=False)
    assert [ticket.id for ticket in ledger.read(tickets.alive, "ann")] == ["a", "c"]


def test_a_requeued_ticket_keeps_its_place_and_drops_its_call(ledger: Ledger) -> None:
    before = join(ledger, rank_at=later(3), expected_low=1, expected_high=2)
    ledger.write(tickets.call, "t", now=later(4), hold_until=later(9))
    ledger.write(tickets.begin, "t", instance_id="i1")
    ledger.write(tickets.collect, "t", now=later(5))
    ledger.write(tickets.put_back, "t", has_failed=False)
    assert ledger.read(tickets.get, "t") == before


def test_failed_starts_are_counted(ledger: Ledger) -> None:
    join(ledger)
    for has_failed in (True, False, True):
        ledger.write(tickets.call, "t", now=NOW, hold_until=later(9))
        ledger.write(tickets.put_back, "t", has_failed=has_failed)
    assert ledger.read(tickets.get, "t").tries == 2


def test_a_restart_that_waits_again_is_not_ended_by_the_old_deadline(ledger: Ledger) -> None:
    join(ledger, state=TicketState.CALLED, ends_by=later(1))
    ledger.write(tickets.put_back, "t", has_failed=False)
    assert ledger.read(tickets.get, "t").ends_by is None


def test_a_ticket_is_served_when_its_instance_runs_and_only_then(ledger: Ledger) -> None:
    request(ledger, "i1")
    join(ledger, state=TicketState.CALLED, instance_id="i1")
    join(ledger, "other", state=TicketState.CALLED, instance_id="i2")
    ledger.write(instances.mark_running, "i1", url="http://x", now=later(5), ends_at=later(60))
    ticket = ledger.read(tickets.get, "t")
    assert (ticket.state, ticket.served_at, ticket.ended_at) == (TicketState.SERVED, later(5), later(5))
    assert ledger.read(tickets.get, "other").state is TicketState.CALLED
    ledger.write(instances.mark_stopping, "i1", reason=EndReason.STOPPED, now=later(6))
    assert ledger.read(tickets.get, "t") == ticket


@pytest.mark.parametrize("reason", list(EndReason))
def test_a_start_that_its_user_cancels_ends_the_ticket(ledger: Ledger, reason: EndReason) -> None:
    request(ledger, "i1")
    join(ledger, state=TicketState.CALLED, instance_id="i1")
    ledger.write(instances.mark_stopping, "i1", reason=reason, now=later(5))
    is_over = reason in {"stopped", "restarted", "switched", "cancelled", "shut_down"}
    assert ledger.read(tickets.get, "t").state is (TicketState.CANCELLED if is_over else TicketState.CALLED)


def test_an_instance_without_a_ticket_runs_and_ends_as_well(ledger: Ledger) -> None:
    instance_in(ledger, InstanceState.ENDED)
    assert ledger.read(tickets.of_instance, "i1") is None


def test_the_queue_is_read_in_order(ledger: Ledger) -> None:
    for name, rank, joined in (("c", 9, 0), ("b", 5, 1), ("a", 5, 0), ("e", 5, 1)):
        join(ledger, name, rank_at=later(rank), joined_at=later(joined))
    for number, state in enumerate(OVER):
        join(ledger, f"over{number}", state)
    assert [ticket.id for ticket in ledger.read(tickets.alive)] == ["a", "b", "e", "c"]
    assert [ticket.id for ticket in ledger.read(tickets.alive, "b")] == ["b"]


def test_called_tickets_without_a_start_are_found(ledger: Ledger) -> None:
    join(ledger)
    assert not ledger.read(tickets.is_called, "t")
    ledger.write(tickets.call, "t", now=NOW, hold_until=later(9))
    assert ledger.read(tickets.is_called, "t")
    ledger.write(tickets.begin, "t", instance_id="i1")
    assert not ledger.read(tickets.is_called, "t")
    assert not ledger.read(tickets.is_called, "unknown")


def test_a_visit_is_recorded_once(ledger: Ledger) -> None:
    join(ledger, state=TicketState.SERVED, called_at=later(1), served_at=later(1), hold_until=later(9))
    assert [ticket.id for ticket in ledger.read(tickets.uncollected)] == ["t"]
    ledger.write(tickets.collect, "t", now=later(5))
    assert ledger.read(tickets.uncollected) == []
    with pytest.raises(LostRace):
        ledger.write(tickets.collect, "t", now=later(6))
    assert ledger.read(tickets.get, "t").collected_at == later(5)


def test_the_last_ended_ticket_is_found(ledger: Ledger) -> None:
    assert ledger.read(tickets.last_over, "ann") is None
    for name, ended in (("a", 1), ("c", 3), ("b", 2)):
        join(ledger, name, TicketState.EXPIRED, user_name="ann", ended_at=later(ended))
    join(ledger, "d", user_name="ann")
    last = ledger.read(tickets.last_over, "ann")
    assert last is not None
    assert last.id == "c"


def test_past_waits_are_the_last_ones_of_one_flavor(ledger: Ledger) -> None:
    for number in range(5):
        join(ledger, f"t{number}", TicketState.SERVED, joined_at=later(number), called_at=later(100 + 2 * number),
             expected_low=10, expected_high=30)  # fmt: skip
    join(ledger, "told nothing", TicketState.SERVED, joined_at=later(9), called_at=later(10))
    join(ledger, "other", TicketState.SERVED, flavor="large", called_at=later(9), expected_low=1, expected_high=2)
    join(ledger, "waits", expected_low=1, expected_high=2)
    assert ledger.read(tickets.waits, "small", since=later(1), at_most=2) == [(20, 104), (20, 103)]
    assert len(ledger.read(tickets.waits, "small", since=later(1), at_most=99)) == 4


def test_old_ended_tickets_are_deleted_and_live_ones_never(ledger: Ledger) -> None:
    old, young = NOW - timedelta(days=8), NOW - timedelta(days=6)
    for number, state in enumerate(TicketState):
        join(ledger, f"old{number}", state, ended_at=None if state in OPEN else old)
        join(ledger, f"young{number}", state, ended_at=None if state in OPEN else young, user_name=f"y{number}")
    assert ledger.write(tickets.prune, before=NOW - timedelta(days=7)) == len(OVER)
    assert len(ledger.read(tickets.alive)) == 2 * len(OPEN)
    assert len(ledger.read(tickets.since, old)) == 2 * len(OPEN) + len(OVER)


def test_of_many_calls_and_cancels_one_wins(ledger: Ledger, together: Together[str]) -> None:
    for round_ in range(4):
        name = f"t{round_}"
        join(ledger, name)

        def call(name: str = name) -> str:
            try:
                ledger.write(tickets.call, name, now=NOW, hold_until=later(9))
            except LostRace:
                return ""
            return "called"

        def cancel(name: str = name) -> str:
            try:
                ledger.write(tickets.close, name, TicketState.CANCELLED, now=NOW)
            except LostRace:
                return ""
            return "cancelled"

        results = together([call, cancel] * 4)
        assert results.count("called") <= 1
        assert results.count("cancelled") == 1
        assert ledger.read(tickets.get, name).state is TicketState.CANCELLED
