"""Which ticket is served next: first come, first served, a little later after much use, and none starves."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.catalog import Catalog, Flavor, Queue
from spawner.ledger import Slot, SlotState, Ticket, TicketState
from spawner.ledger.pool.rows import OCCUPYING
from spawner.pool.queue.ordering import due_tickets, rank, waiting_in_order
from tests.unit import make
from tests.unit.make import GIB, NOW, quick

HOUR = timedelta(hours=1)
uses = st.integers(0, 24 * 3600).map(lambda seconds: timedelta(seconds=seconds))
rules = st.builds(
    Queue,
    use_counts=st.floats(0, 10),
    longest_handicap_minutes=st.integers(0, 24 * 60),
)


def waiting(*names: str, **changes: object) -> list[Ticket]:
    """Tickets that joined one second apart."""
    return [
        make.ticket(name, **{"joined_at": NOW + timedelta(seconds=number)} | changes)
        for number, name in enumerate(names)
    ]


def called_users(
    catalog: Catalog,
    tickets: list[Ticket],
    slots: list[Slot] | None = None,
    *,
    memory: int | None = None,
    closed: tuple[str, ...] = (),
) -> list[str]:
    return [ticket.id for ticket in due_tickets(catalog, tickets, slots or [], memory, closed=closed)]


# Ranks


def test_without_earlier_use_the_rank_is_the_time_of_the_request() -> None:
    assert rank(Queue(), now=NOW, used=timedelta()) == NOW


def test_use_delays_the_rank_by_a_part_of_it() -> None:
    assert rank(Queue(use_counts=0.25), now=NOW, used=HOUR) == NOW + timedelta(minutes=15)
    assert rank(Queue(use_counts=0), now=NOW, used=HOUR) == NOW


@pytest.mark.parametrize(("weight", "minutes"), [(1, 60), (2, 30), (0.5, 120)])
def test_with_a_larger_weight_use_counts_less(weight: float, minutes: int) -> None:
    weighted = Queue(use_counts=1, longest_handicap_minutes=600)
    assert rank(weighted, now=NOW, used=HOUR, weight=weight) == NOW + timedelta(minutes=minutes)


@quick
@given(rules, uses, uses, st.floats(0, 1000, exclude_min=True))
def test_more_use_never_ranks_before_less_nor_behind_the_limit(
    queue: Queue, used: timedelta, more: timedelta, weight: float
) -> None:
    first, second = (rank(queue, now=NOW, used=span, weight=weight) for span in sorted((used, more)))
    assert NOW <= first <= second <= NOW + timedelta(minutes=queue.longest_handicap_minutes)


def test_a_tiny_weight_is_the_longest_handicap_and_no_overflow() -> None:
    queue = Queue(use_counts=10)
    assert rank(queue, now=NOW, used=HOUR, weight=1e-300) == NOW + HOUR
    assert rank(queue, now=NOW, used=timedelta(), weight=1e-300) == NOW


# Order


def test_first_come_first_served_among_equals() -> None:
    queued = waiting("a", "b", "c")
    assert waiting_in_order(reversed(queued)) == queued


def test_at_equal_times_the_order_is_the_ledgers() -> None:
    queued = [make.ticket(name) for name in "abc"]
    assert waiting_in_order(reversed(queued)) == queued


def test_only_waiting_tickets_are_in_the_queue() -> None:
    others = [make.ticket(state.value, state) for state in TicketState if state is not TicketState.WAITING]
    (ticket,) = waiting("one")
    assert waiting_in_order([*others, ticket]) == [ticket]


arrivals = st.lists(st.tuples(st.integers(0, 4 * 3600), uses), min_size=2, max_size=30)


@quick
@given(rules, arrivals)
def test_no_ticket_is_overtaken_by_one_later_than_the_longest_handicap(
    queue: Queue, people: list[tuple[int, timedelta]]
) -> None:
    """So no ticket starves: all later tickets rank behind it."""
    tickets = []
    for number, (offset, used) in enumerate(people):
        joined = NOW + timedelta(seconds=offset)
        rank_at = rank(queue, now=joined, used=used)
        tickets.append(make.ticket(f"t{number:02}", joined_at=joined, rank_at=rank_at))
    ordered = waiting_in_order(tickets)
    limit = timedelta(minutes=queue.longest_handicap_minutes)
    for place, ticket in enumerate(ordered):
        for overtaker in ordered[:place]:
            assert overtaker.joined_at <= ticket.joined_at + limit


@quick
@given(arrivals)
def test_equal_use_is_served_in_order_of_the_requests(people: list[tuple[int, timedelta]]) -> None:
    joined = [NOW + timedelta(seconds=offset) for offset, _ in people]
    tickets = [
        make.ticket(f"t{number:02}", joined_at=at, rank_at=rank(Queue(), now=at, used=HOUR))
        for number, at in enumerate(joined)
    ]
    assert [ticket.joined_at for ticket in waiting_in_order(tickets)] == sorted(joined)


# Due tickets


def test_as_many_tickets_are_due_as_there_is_room_for() -> None:
    assert called_users(make.catalog(make.flavor(limit=2)), waiting("a", "b", "c")) == ["a", "b"]


@pytest.mark.parametrize("state", [SlotState.CREATING, SlotState.CLAIMED])
def test_assigned_and_reserved_slots_are_no_room(state: SlotState) -> None:
    assigned = make.slot("s", state, holder_id="i")
    assert called_users(make.catalog(make.flavor(limit=1)), waiting("a"), [assigned]) == []


@pytest.mark.parametrize("slot", [
    make.slot("s", SlotState.DESTROYING, holder_id="i"),
    make.slot("s", SlotState.WARM),
    make.slot("s", SlotState.CREATING),
    make.slot("s", SlotState.WARM, image="torch"),
], ids=["leaving", "warm", "being created, unassigned", "warm, of another image"])  # fmt: skip
def test_an_ending_or_unassigned_slot_is_room_for_one(slot: Slot) -> None:
    assert called_users(make.catalog(make.flavor(limit=1)), waiting("a", "b"), [slot]) == ["a"]


def test_unassigned_slots_of_another_flavor_are_room_where_memory_is_shared() -> None:
    catalog = make.catalog(make.flavor("small", memory=GIB), make.flavor("large", memory=4 * GIB))
    warm = [make.slot(f"w{number}") for number in range(4)]
    assert called_users(catalog, waiting("a", "b", flavor="large"), warm, memory=4 * GIB) == ["a"]


def test_a_closed_flavor_is_skipped_and_blocks_no_other() -> None:
    catalog = make.catalog(make.flavor("small", limit=1), make.flavor("large", limit=1))
    queued = [*waiting("a", "b", flavor="large"), *waiting("c", "d")]
    assert called_users(catalog, queued, memory=9 * GIB, closed=("large",)) == ["c"]
    assert called_users(catalog, queued, closed=("large", "small")) == []


def test_a_full_flavor_is_skipped_and_blocks_no_other() -> None:
    catalog = make.catalog(make.flavor("small"), make.flavor("large", limit=1))
    queued = [*waiting("a", "b", flavor="large"), *waiting("c", "d")]
    assigned = make.slot("s", SlotState.CLAIMED, flavor="large", holder_id="i")
    assert called_users(catalog, queued, [assigned], memory=99 * GIB) == ["c", "d"]


def test_a_dropped_flavor_blocks_no_other() -> None:
    queued = [*waiting("a", flavor="dropped"), *waiting("b")]
    assert called_users(make.catalog(), queued) == ["b"]


def test_a_large_flavor_is_not_starved_by_many_small_ones() -> None:
    """Small tickets join continually, and one of four instances ends every minute; the large ticket joined first."""
    catalog = make.catalog(make.flavor("small", memory=GIB), make.flavor("large", memory=3 * GIB))
    (large,) = waiting("large", flavor="large")
    assigned = [make.slot(f"s{number}", SlotState.CLAIMED, holder_id=f"i{number}") for number in range(4)]
    tickets = [large]
    for minute in range(1, 5):
        tickets += waiting(f"small{minute}", joined_at=NOW + timedelta(minutes=minute))
        assigned.pop()
        called = called_users(catalog, tickets, assigned, memory=4 * GIB)
        if minute < 3:
            assert called == [], "free room is kept for the first ticket"
        else:
            assert called[0] == "large"
            return
    raise AssertionError("the large ticket was never called")


FLAVORS = {"small": (1, 4), "middle": (2, 3), "large": (4, 2)}
"""Memory in GiB, and limit."""


@st.composite
def pools(draw: st.DrawFn) -> tuple[list[Ticket], list[Slot], int | None, tuple[str, ...]]:
    """A queue, and any slots within the limits."""
    names = st.sampled_from(list(FLAVORS))
    tickets = [
        make.ticket(f"t{number}", rank_at=NOW + timedelta(seconds=at), flavor=flavor)
        for number, (at, flavor) in enumerate(draw(st.lists(st.tuples(st.integers(0, 100), names), max_size=12)))
    ]
    slots = []
    for number, (state, flavor, has_owner) in enumerate(
        draw(st.lists(st.tuples(st.sampled_from(OCCUPYING), names, st.booleans()), max_size=8))
    ):
        is_owned = state is SlotState.CLAIMED or (has_owner and state is not SlotState.WARM)
        slots.append(make.slot(f"s{number}", state, flavor=flavor, holder_id=f"i{number}" if is_owned else None))
    memory = draw(st.none() | st.integers(0, 16).map(lambda gib: gib * GIB))
    closed = draw(st.sets(names, max_size=2).map(lambda found: tuple(sorted(found))))
    return tickets, slots, memory, closed


def three_flavors() -> Catalog:
    flavors: list[Flavor] = [make.flavor(name, memory=gib * GIB, limit=limit) for name, (gib, limit) in FLAVORS.items()]
    return make.catalog(*flavors)


@quick
@given(pools())
def test_due_tickets_never_exceed_limits_or_memory_and_keep_the_order(
    drawn: tuple[list[Ticket], list[Slot], int | None, tuple[str, ...]],
) -> None:
    tickets, slots, memory, closed = drawn
    catalog = three_flavors()
    called = list(due_tickets(catalog, tickets, slots, memory, closed=closed))
    assert len({ticket.id for ticket in called}) == len(called)
    assigned = [slot for slot in slots if slot.state is not SlotState.DESTROYING and slot.holder_id is not None]
    held = Counter(slot.flavor for slot in assigned)
    new = Counter(ticket.flavor for ticket in called)
    for name, (_, limit) in FLAVORS.items():
        assert not new[name] or held[name] + new[name] <= limit
        assert not new[name] or name not in closed
        queued = [ticket for ticket in waiting_in_order(tickets) if ticket.flavor == name]
        assert [ticket for ticket in called if ticket.flavor == name] == queued[: new[name]], "in order, without gaps"
    if memory is not None and called:
        assert sum(FLAVORS[name][0] * count for name, count in (held + new).items()) * GIB <= memory
    # No ticket that fits is left out: the first of the others finds no room.
    rest = [ticket for ticket in waiting_in_order(tickets) if ticket not in called and ticket.flavor not in closed]
    again = [
        *assigned,
        *(make.slot(ticket.id, SlotState.CLAIMED, flavor=ticket.flavor, holder_id="x") for ticket in called),
    ]
    assert list(due_tickets(catalog, rest, again, memory, closed=closed)) == []


@quick
@given(st.lists(st.tuples(st.integers(0, 600), uses), min_size=1, max_size=12), st.integers(1, 3))
def test_a_queue_is_served_to_its_end_in_order(people: list[tuple[int, timedelta]], limit: int) -> None:
    """Slots are freed one by one: each ticket is called once, by rank."""
    catalog = make.catalog(make.flavor(limit=limit))
    tickets = [
        make.ticket(f"t{number}", rank_at=rank(Queue(), now=NOW + timedelta(seconds=offset), used=used))
        for number, (offset, used) in enumerate(people)
    ]
    expected = [ticket.id for ticket in waiting_in_order(tickets)]
    served: list[str] = []
    assigned: list[Slot] = []
    while tickets:
        for ticket in list(due_tickets(catalog, tickets, assigned, None)):
            served.append(ticket.id)
            tickets.remove(ticket)
            assigned.append(make.slot(ticket.id, SlotState.CLAIMED, holder_id=ticket.id))
        assert len(assigned) <= limit
        assigned.pop(0)
    assert served == expected
