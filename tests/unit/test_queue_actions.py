"""Each action of the steward for open tickets."""

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
    RefuseTicket,
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
    """A ticket that was queued for five minutes and called a minute ago."""
    return make.ticket(
        name, TicketState.CALLED, **{"called_at": NOW - MINUTE, "hold_until": NOW + 9 * MINUTE} | changes
    )


def held(ticket: Ticket, state: SlotState = SlotState.CREATING) -> Slot:
    return make.slot(f"slot-{ticket.id}", state, holder_id=ticket.id)


def actions_for(
    ticket: Ticket, *, slots: list[Slot] | None = None, instances: list[Instance] | None = None
) -> list[Action]:
    return list(decide([ticket], slots=slots or [], instances=instances or [], catalog=CATALOG, now=NOW, groups={}))


@pytest.mark.parametrize("state", [TicketState.WAITING, TicketState.CALLED])
def test_a_ticket_for_what_its_user_may_not_have_any_more_is_refused(state: TicketState) -> None:
    """Whether it waits or its slot is held. A start that has begun goes on."""
    catalog = make.catalog(policies=[{"for": {"groups": ["staff"]}, "flavors": ["small"]}])
    ticket, begun = make.ticket("ann", state), called("bob", instance_id="i1")
    running = make.instance("i1", InstanceState.STARTING, user_name="bob")

    def refused(groups: dict[str, frozenset[str]]) -> list[tuple[Ticket, tuple[str, ...]]]:
        found = decide(
            [ticket, begun], slots=[held(ticket)], instances=[running], catalog=catalog, now=NOW, groups=groups
        )
        return [(one.ticket, one.denial.groups) for one in found if isinstance(one, RefuseTicket)]

    assert refused({}) == refused({"ann": frozenset({"other"})}) == [(ticket, ("staff",))]
    assert refused({"ann": frozenset({"staff"})}) == []


def test_a_waiting_ticket_needs_no_action() -> None:
    assert actions_for(make.ticket("t")) == []


@pytest.mark.parametrize("state", [SlotState.CREATING, SlotState.CLAIMED])
def test_a_called_ticket_is_started(state: SlotState) -> None:
    ticket = called()
    assert actions_for(ticket, slots=[held(ticket, state)]) == [StartTicket(ticket)]


@pytest.mark.parametrize("state", [None, SlotState.DESTROYING])
def test_a_called_ticket_without_its_slot_is_requeued(state: SlotState | None) -> None:
    ticket = called()
    assert actions_for(ticket, slots=[held(ticket, state)] if state else []) == [RequeueTicket(ticket)]


def test_the_slot_of_another_ticket_does_not_count() -> None:
    ticket = called()
    assert actions_for(ticket, slots=[held(called("other"))]) == [RequeueTicket(ticket)]


@pytest.mark.parametrize("state", [InstanceState.STARTING, InstanceState.RUNNING])
def test_a_ticket_whose_start_has_begun_needs_no_action(state: InstanceState) -> None:
    ticket = called(instance_id="i", hold_until=NOW - MINUTE)
    assert actions_for(ticket, instances=[make.instance("i", state)]) == []


@pytest.mark.parametrize("instances", [[], [make.instance("i", InstanceState.STOPPING)]], ids=["ended", "stopping"])
def test_a_start_that_has_ended_is_settled(instances: list[Instance]) -> None:
    ticket = called(instance_id="i")
    assert actions_for(ticket, instances=instances) == [SettleTicket(ticket, "i")]


def test_a_ticket_held_beside_another_instance_expires() -> None:
    running = make.instance("i", user_name="t")
    for hold_until, expected in ((NOW, [ExpireTicket]), (NOW + timedelta(seconds=1), [])):
        ticket = called(hold_until=hold_until)
        actions = actions_for(ticket, slots=[held(ticket)], instances=[running])
        assert [type(action) for action in actions] == expected


def test_a_ticket_that_the_platform_could_not_start_does_not_expire() -> None:
    """The hub may have been unavailable."""
    ticket = called(hold_until=NOW - MINUTE)
    assert actions_for(ticket, slots=[held(ticket)]) == [StartTicket(ticket)]


@pytest.mark.parametrize("changes", [{"flavor": "dropped"}, {"image": "dropped"}])
def test_a_ticket_for_a_dropped_flavor_or_image_fails(changes: dict[str, str]) -> None:
    for ticket in (make.ticket("t", **changes), called(**changes)):
        assert actions_for(ticket, slots=[held(ticket)]) == [FailTicket(ticket)]
    begun = called(instance_id="i", **changes)
    assert actions_for(begun, instances=[make.instance("i")]) == []


def test_a_ticket_is_not_started_over_a_running_instance() -> None:
    ticket = called()
    for state in (InstanceState.STARTING, InstanceState.RUNNING):
        assert actions_for(ticket, slots=[held(ticket)], instances=[make.instance("i", state, user_name="t")]) == []
    for other in (
        make.instance("i", InstanceState.STOPPING, user_name="t"),
        make.instance("i", user_name="another"),
        make.instance("i", user_name="t", server_name="second"),
    ):
        assert actions_for(ticket, slots=[held(ticket)], instances=[other]) == [StartTicket(ticket)]


def test_the_desk_has_a_grace_period_to_start_a_ticket_that_never_waited() -> None:
    young = NOW - GRACE + timedelta(milliseconds=1)
    ticket = called(joined_at=young, called_at=young)
    assert actions_for(ticket, slots=[held(ticket)]) == []
    old = NOW - GRACE
    ticket = called(joined_at=old, called_at=old)
    assert actions_for(ticket, slots=[held(ticket)]) == [StartTicket(ticket)]


def test_a_ticket_that_waited_is_started_at_once() -> None:
    ticket = called(called_at=NOW)
    assert actions_for(ticket, slots=[held(ticket)]) == [StartTicket(ticket)]


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
def test_each_ticket_gets_at_most_one_action_and_running_instances_none(
    moment: tuple[list[Ticket], list[Slot], list[Instance]],
) -> None:
    tickets, slots, instances = moment
    actions = list(decide(tickets, slots=slots, instances=instances, catalog=CATALOG, now=NOW, groups={}))
    assert len({action.ticket.id for action in actions}) == len(actions)
    live = {instance.id for instance in instances if instance.state is not InstanceState.STOPPING}
    for action in actions:
        assert action.ticket.instance_id not in live
    begun = {action.ticket.user_name for action in actions if isinstance(action, StartTicket)}
    assert begun.isdisjoint(instance.user_name for instance in instances if instance.id in live)


# Instances that are not collected


def served(name: str = "t", *, ago: timedelta = HOLD, **changes: object) -> Ticket:
    return make.ticket(name, TicketState.SERVED, **{"served_at": NOW - ago, "instance_id": "i"} | changes)


def unclaimed_to_end(tickets: list[Ticket], waiting: list[Ticket]) -> list[Ticket]:
    return unclaimed(tickets, waiting, now=NOW, hold=HOLD)


def test_an_unclaimed_instance_ends_while_another_ticket_waits_for_its_flavor() -> None:
    ticket = served()
    assert unclaimed_to_end([ticket], [make.ticket("next")]) == [ticket]


def test_an_instance_is_not_unclaimed_before_the_hold_time_is_over() -> None:
    assert unclaimed_to_end([served(ago=HOLD - timedelta(seconds=1))], [make.ticket("next")]) == []


@pytest.mark.parametrize(
    "waiting", [[], [make.ticket("next", flavor="large")], [make.ticket("next", TicketState.CALLED)]]
)
def test_an_unclaimed_instance_stays_where_no_ticket_waits_for_its_flavor(waiting: list[Ticket]) -> None:
    assert unclaimed_to_end([served()], waiting) == []


def test_as_many_unclaimed_instances_end_as_tickets_wait_the_oldest_first() -> None:
    unclaimed = [served("a", ago=3 * HOLD), served("b", ago=2 * HOLD), served("c")]
    assert unclaimed_to_end(unclaimed, [make.ticket("next")]) == unclaimed[:1]
    assert unclaimed_to_end(list(reversed(unclaimed)), [make.ticket("next"), make.ticket("one more")]) == unclaimed[:2]


# Notifications


def test_a_ticket_that_waited_is_notified_when_it_runs_or_is_held() -> None:
    runs, starts, choosing = served("runs"), called("starts", instance_id="i"), called("choosing")
    soon = called("soon")
    instances = [
        make.instance("i", InstanceState.STARTING, user_name="starts"),
        make.instance("j", user_name="choosing"),
    ]
    assert to_notify([runs, starts, choosing, soon], instances) == [runs, choosing]
