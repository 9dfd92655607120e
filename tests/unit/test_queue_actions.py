"""What the steward does for those whose turn has come: each case of `line`, alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.ledger import Instance, InstanceState, Slot, SlotState, Ticket, TicketState
from spawner.ledger.pool.rows import OCCUPYING, OPEN, UNENDED
from spawner.steward.queue_actions import (
    GRACE,
    Action,
    ExpireTicket,
    FailTicket,
    RequeueTicket,
    SettleTicket,
    StartTicket,
    decide,
    to_notify,
    unclaimed,
)
from tests.unit import make
from tests.unit.make import NOW, quick

MINUTE = timedelta(minutes=1)
HOLD = timedelta(minutes=10)
CATALOG = make.catalog()


def called(name: str = "t", **changes: object) -> Ticket:
    """One that stood in line for five minutes, and was called a minute ago."""
    return make.ticket(
        name, TicketState.CALLED, **{"called_at": NOW - MINUTE, "hold_until": NOW + 9 * MINUTE} | changes
    )


def held(ticket: Ticket, state: SlotState = SlotState.CREATING) -> Slot:
    return make.slot(f"slot-{ticket.id}", state, holder_id=ticket.id)


def look(ticket: Ticket, *, slots: list[Slot] | None = None, instances: list[Instance] | None = None) -> list[Action]:
    return list(decide([ticket], slots=slots or [], instances=instances or [], catalog=CATALOG, now=NOW))


def test_who_waits_goes_on_waiting() -> None:
    assert look(make.ticket("t")) == []


@pytest.mark.parametrize("state", [SlotState.CREATING, SlotState.CLAIMED])
def test_who_was_called_is_started(state: SlotState) -> None:
    ticket = called()
    assert look(ticket, slots=[held(ticket, state)]) == [StartTicket(ticket)]


@pytest.mark.parametrize("state", [None, SlotState.DESTROYING])
def test_whose_slot_is_lost_waits_again(state: SlotState | None) -> None:
    ticket = called()
    assert look(ticket, slots=[held(ticket, state)] if state else []) == [RequeueTicket(ticket)]


def test_anothers_slot_is_not_theirs() -> None:
    ticket = called()
    assert look(ticket, slots=[held(called("other"))]) == [RequeueTicket(ticket)]


@pytest.mark.parametrize("state", [InstanceState.STARTING, InstanceState.RUNNING])
def test_what_has_begun_is_left_alone(state: InstanceState) -> None:
    ticket = called(instance_id="i", hold_until=NOW - MINUTE)
    assert look(ticket, instances=[make.instance("i", state)]) == []


@pytest.mark.parametrize("instances", [[], [make.instance("i", InstanceState.STOPPING)]], ids=["ended", "stopping"])
def test_a_start_that_is_over_is_settled(instances: list[Instance]) -> None:
    ticket = called(instance_id="i")
    assert look(ticket, instances=instances) == [SettleTicket(ticket, "i")]


def test_what_is_held_beside_another_for_too_long_is_given_up() -> None:
    running = make.instance("i", user_name="t")
    for hold_until, expected in ((NOW, [ExpireTicket]), (NOW + timedelta(seconds=1), [])):
        ticket = called(hold_until=hold_until)
        actions = look(ticket, slots=[held(ticket)], instances=[running])
        assert [type(action) for action in actions] == expected


def test_what_the_platform_could_not_start_in_time_is_not_given_up() -> None:
    """The hub may have been away: that is not its person's fault."""
    ticket = called(hold_until=NOW - MINUTE)
    assert look(ticket, slots=[held(ticket)]) == [StartTicket(ticket)]


@pytest.mark.parametrize("changes", [{"flavor": "dropped"}, {"image": "dropped"}])
def test_what_the_catalog_has_dropped_is_given_up(changes: dict[str, str]) -> None:
    for ticket in (make.ticket("t", **changes), called(**changes)):
        assert look(ticket, slots=[held(ticket)]) == [FailTicket(ticket)]
    begun = called(instance_id="i", **changes)
    assert look(begun, instances=[make.instance("i")]) == []


def test_who_runs_another_is_not_started_over_it() -> None:
    ticket = called()
    for state in (InstanceState.STARTING, InstanceState.RUNNING):
        assert look(ticket, slots=[held(ticket)], instances=[make.instance("i", state, user_name="t")]) == []
    for other in (
        make.instance("i", InstanceState.STOPPING, user_name="t"),
        make.instance("i", user_name="somebody"),
        make.instance("i", user_name="t", server_name="second"),
    ):
        assert look(ticket, slots=[held(ticket)], instances=[other]) == [StartTicket(ticket)]


def test_who_never_waited_has_a_moment_to_start_by_themselves() -> None:
    young = NOW - GRACE + timedelta(milliseconds=1)
    ticket = called(joined_at=young, called_at=young)
    assert look(ticket, slots=[held(ticket)]) == []
    old = NOW - GRACE
    ticket = called(joined_at=old, called_at=old)
    assert look(ticket, slots=[held(ticket)]) == [StartTicket(ticket)]


def test_whose_turn_came_just_now_is_started_at_once() -> None:
    ticket = called(called_at=NOW)
    assert look(ticket, slots=[held(ticket)]) == [StartTicket(ticket)]


@st.composite
def moments(draw: st.DrawFn) -> tuple[list[Ticket], list[Slot], list[Instance]]:
    tickets = [
        make.ticket(
            f"t{number}",
            state,
            called_at=NOW - MINUTE,
            hold_until=NOW + timedelta(seconds=left),
            instance_id=f"i{number}" if has_begun and state is TicketState.CALLED else None,
        )
        for number, (state, left, has_begun) in enumerate(
            draw(st.lists(st.tuples(st.sampled_from(OPEN), st.integers(-60, 60), st.booleans()), max_size=6))
        )
    ]
    holders = st.sampled_from([None, *(f"t{n}" for n in range(6)), *(f"i{n}" for n in range(6))])
    slots = [
        make.slot(f"s{number}", state, holder_id=holder)
        for number, (state, holder) in enumerate(
            draw(st.lists(st.tuples(st.sampled_from(OCCUPYING), holders), max_size=6))
        )
    ]
    instances = [
        make.instance(f"i{number}", state, user_name=f"t{number}")
        for number, state in draw(st.dictionaries(st.integers(0, 5), st.sampled_from(UNENDED))).items()
    ]
    return tickets, slots, instances


@quick
@given(moments())
def test_at_most_one_thing_is_done_for_each_and_what_runs_is_never_touched(
    moment: tuple[list[Ticket], list[Slot], list[Instance]],
) -> None:
    tickets, slots, instances = moment
    actions = list(decide(tickets, slots=slots, instances=instances, catalog=CATALOG, now=NOW))
    assert len({action.ticket.id for action in actions}) == len(actions)
    live = {one.id for one in instances if one.state is not InstanceState.STOPPING}
    for action in actions:
        assert action.ticket.instance_id not in live
    begun = {action.ticket.user_name for action in actions if isinstance(action, StartTicket)}
    assert begun.isdisjoint(one.user_name for one in instances if one.id in live)


# Who never came


def served(name: str = "t", *, ago: timedelta = HOLD, **changes: object) -> Ticket:
    return make.ticket(name, TicketState.SERVED, **{"served_at": NOW - ago, "instance_id": "i"} | changes)


def missing(tickets: list[Ticket], waiting: list[Ticket]) -> list[Ticket]:
    return unclaimed(tickets, waiting, now=NOW, hold=HOLD)


def test_who_does_not_come_is_missed_while_somebody_waits_for_the_same() -> None:
    ticket = served()
    assert missing([ticket], [make.ticket("next")]) == [ticket]


def test_nobody_is_missed_before_the_time_is_over() -> None:
    assert missing([served(ago=HOLD - timedelta(seconds=1))], [make.ticket("next")]) == []


@pytest.mark.parametrize(
    "waiting", [[], [make.ticket("next", flavor="large")], [make.ticket("next", TicketState.CALLED)]]
)
def test_where_nobody_waits_for_the_same_nobody_is_missed(waiting: list[Ticket]) -> None:
    assert missing([served()], waiting) == []


def test_only_as_many_lose_theirs_as_wait_and_first_who_had_it_longest() -> None:
    missed = [served("a", ago=3 * HOLD), served("b", ago=2 * HOLD), served("c")]
    assert missing(missed, [make.ticket("next")]) == missed[:1]
    assert missing(list(reversed(missed)), [make.ticket("next"), make.ticket("one more")]) == missed[:2]


# Who is told


def test_who_waited_is_told_when_it_runs_or_is_held_for_them() -> None:
    runs, starts, choosing = served("runs"), called("starts", instance_id="i"), called("choosing")
    soon = called("soon")
    instances = [
        make.instance("i", InstanceState.STARTING, user_name="starts"),
        make.instance("j", user_name="choosing"),
    ]
    assert to_notify([runs, starts, choosing, soon], instances) == [runs, choosing]
