"""The order of a long queue is computed in one pass over tickets and slots, and says the same as the slow way."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.catalog import Catalog
from spawner.ledger import Slot, SlotState
from spawner.pool.queue.ordering import any_has_room, due_ids, due_tickets, flavors_for_next, has_room
from tests.unit import make
from tests.unit.make import GIB, NOW, quick

FLAVORS = {"small": (1, 4), "large": (6, 2), "huge": (12, 1)}
"""Memory in GiB, and limit."""


def catalog_of(scale: int = 1) -> Catalog:
    return make.catalog(
        *(make.flavor(name, memory=gib * GIB, limit=limit * scale) for name, (gib, limit) in FLAVORS.items())
    )


def assigned(number: int, flavor: str) -> Slot:
    return make.slot(f"s{number}", SlotState.CLAIMED, flavor=flavor, holder_id=f"i{number}")


class CountedSlot(Slot):
    """Counts how often the flavor of such slots is read."""

    reads = 0

    def __getattribute__(self, name: str) -> object:
        if name == "flavor":
            CountedSlot.reads += 1
        return super().__getattribute__(name)


names = st.sampled_from(list(FLAVORS))


@quick
@given(
    st.lists(names, max_size=12),
    st.lists(names, max_size=6),
    st.none() | st.integers(0, 24).map(lambda gib: gib * GIB),
    st.sets(names, max_size=2),
)
def test_the_flavors_for_the_next_request_are_those_that_it_would_get(
    queue: list[str], taken: list[str], memory: int | None, closed: set[str]
) -> None:
    catalog = catalog_of()
    slots = [assigned(number, flavor) for number, flavor in enumerate(taken)]
    tickets = [
        make.ticket(f"t{number:02}", rank_at=NOW + timedelta(seconds=number), flavor=flavor)
        for number, flavor in enumerate(queue)
    ]
    by_trying = set()
    for flavor in FLAVORS:
        next_one = make.ticket("next", rank_at=NOW + timedelta(hours=1), flavor=flavor)
        if next_one in due_tickets(catalog, [*tickets, next_one], slots, memory, closed=closed):
            by_trying.add(flavor)
    assert flavors_for_next(catalog, tickets, slots, memory, closed=closed) == by_trying
    held = Counter(taken)
    having = [has_room(catalog, flavor, held, memory) for flavor in catalog.flavors]
    assert any_has_room(catalog, held, memory) == any(having)
    ids = [ticket.id for ticket in due_tickets(catalog, tickets, slots, memory, closed=closed)]
    by_counts = due_ids(catalog, [(one.id, one.flavor) for one in tickets], held, memory, closed=closed)
    assert list(by_counts) == ids


@pytest.mark.parametrize("memory", [None, 10**6 * GIB], ids=["no shared memory", "shared memory"])
def test_a_long_queue_goes_through_the_slots_once(memory: int | None) -> None:
    catalog = catalog_of(scale=1_000)
    slots = [CountedSlot(**vars(assigned(number, "small"))) for number in range(2_000)]
    tickets = [make.ticket(f"t{number}", flavor="large") for number in range(1_000)]
    CountedSlot.reads = 0
    assert len(list(due_tickets(catalog, tickets, slots, memory))) == 1_000
    assert CountedSlot.reads == 2_000
    assert flavors_for_next(catalog, tickets, slots, memory) == {"small", "large", "huge"}
    assert CountedSlot.reads == 4_000
