"""Capacity is never negative, and never exceeds limits and memory."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from spawner.catalog import Flavor
from spawner.ledger import Slot, SlotState
from spawner.ledger.pool.rows import OCCUPYING
from spawner.pool.backends.base import Unavailable
from spawner.pool.capacity import Capacity, capacity_of, room_for, slot_to_preempt
from tests.unit import make
from tests.unit.make import GIB, NOW, quick

flavors = st.builds(
    lambda limit, memory, reserve: (limit, memory, reserve),
    st.integers(0, 6),
    st.integers(1, 4),
    st.none() | st.integers(0, 4),
)


def _flavor(name: str, shape: tuple[int, int, int | None]) -> Flavor:
    limit, memory, reserve = shape
    return make.flavor(name, limit=limit, memory=memory, reserve=None if reserve is None else min(reserve, memory))


def _slots(names: tuple[str, ...]) -> st.SearchStrategy[list[Slot]]:
    one = st.tuples(st.sampled_from(names), st.sampled_from(OCCUPYING), st.booleans(), st.sampled_from(["cpu", "x"]))
    return st.lists(one, max_size=12).map(
        lambda rows: [
            make.slot(f"s{number}", state, flavor=name, image=image, holder_id="i" if taken else None)
            for number, (name, state, taken, image) in enumerate(rows)
        ]
    )


@quick
@given(flavors, flavors, _slots(("a", "b", "forgotten")), st.none() | st.integers(0, 20))
def test_room_is_never_negative_and_never_more_than_limit_and_memory_allow(
    a: tuple[int, int, int | None], b: tuple[int, int, int | None], slots: list[Slot], memory: int | None
) -> None:
    catalog = make.catalog(_flavor("a", a), _flavor("b", b))
    reserved = {flavor.id: flavor.reserved for flavor in catalog.flavors}
    for flavor in catalog.flavors:
        room = room_for(catalog, flavor, slots, memory)
        assert room >= 0
        if room:
            assert sum(slot.flavor == flavor.id for slot in slots) + room <= flavor.limit
            if memory is not None and flavor.reserved:
                used = sum(reserved.get(slot.flavor, 0) for slot in slots)
                assert used + room * flavor.reserved <= memory


@quick
@given(flavors, _slots(("a",)), st.integers(0, 20))
def test_existing_room_is_reported(shape: tuple[int, int, int | None], slots: list[Slot], memory: int) -> None:
    catalog = make.catalog(_flavor("a", shape))
    flavor = catalog.flavor("a")
    room = room_for(catalog, flavor, slots, memory)
    if flavor.reserved and len(slots) < flavor.limit and (len(slots) + 1) * flavor.reserved <= memory:
        assert room >= 1


@quick
@given(flavors, _slots(("a", "b")), st.none() | st.integers(0, 20))
def test_capacity_counts_unassigned_slots_and_room(
    shape: tuple[int, int, int | None], slots: list[Slot], memory: int | None
) -> None:
    catalog = make.catalog(_flavor("a", shape), _flavor("b", shape))
    flavor = catalog.flavor("a")
    stock = capacity_of(catalog, make.SimulatedBackend(memory), flavor, slots)
    assert 0 <= stock.warm <= stock.available
    occupying = [slot for slot in slots if slot.flavor == "a"]
    if len(occupying) <= flavor.limit:
        taken = [slot for slot in occupying if slot.holder_id is not None or slot.state is SlotState.DESTROYING]
        assert stock.available <= flavor.limit - len([slot for slot in taken if slot in occupying])


def test_a_flavor_that_cannot_be_served_has_a_reason() -> None:
    catalog = make.catalog()
    backend = make.SimulatedBackend(refused=("small",))
    assert capacity_of(catalog, backend, catalog.flavor("small"), [make.slot("s")]) == Capacity(
        0, 0, Unavailable.NO_GPU
    )


def test_a_slot_that_is_being_destroyed_takes_room_and_is_not_available() -> None:
    catalog = make.catalog(make.flavor(limit=2))
    slots = [make.slot("a", SlotState.DESTROYING), make.slot("b", SlotState.WARM)]
    assert capacity_of(catalog, make.SimulatedBackend(), catalog.flavor("small"), slots) == Capacity(
        available=1, warm=1
    )


def test_a_flavor_may_reserve_less_than_its_memory() -> None:
    catalog = make.catalog(make.flavor(memory=4 * GIB, reserve=GIB, limit=100))
    assert room_for(catalog, catalog.flavor("small"), [], 8 * GIB) == 8


def test_the_youngest_unassigned_slot_is_preempted_for_a_start() -> None:
    catalog = make.catalog(make.flavor("small"), make.flavor("large"))
    old, young = (make.slot(name, created_at=NOW - timedelta(minutes=age)) for name, age in (("old", 9), ("young", 1)))
    taken = make.slot("taken", SlotState.CLAIMED, holder_id="i", created_at=NOW)
    going = make.slot("going", SlotState.DESTROYING, created_at=NOW)

    def gives_way(flavor: str, image: str, *slots: Slot, memory: int | None = None) -> Slot | None:
        return slot_to_preempt(catalog, catalog.flavor(flavor), catalog.image(image), slots, memory)

    assert gives_way("large", "cpu", old, young, taken, going) == young
    assert gives_way("small", "torch", old, young, taken, going) == young
    # Slots that fit the request are not removed for it, and assigned slots never are.
    assert gives_way("small", "cpu", old, young, taken, going) is None
    assert gives_way("large", "cpu", taken, going) is None
    # One of another size fits no request.
    stale = make.slot("stale", version="cpu 1", created_at=NOW - timedelta(minutes=20))
    small, cpu = catalog.flavor("small"), catalog.image("cpu")
    assert slot_to_preempt(catalog, small, cpu, [old, stale], None, version="x") == stale
    # None goes for nothing: here even both together make no room.
    assert gives_way("large", "cpu", old, young, taken, going, memory=2 * GIB) is None


@quick
@given(_slots(("a", "b", "forgotten")), st.integers(0, 9))
def test_repeated_preemption_ends_in_room(slots: list[Slot], memory: int) -> None:
    catalog = make.catalog(make.flavor("a", memory=2, limit=9), make.flavor("b", memory=1, limit=9))
    flavor, image = catalog.flavor("a"), catalog.image("cpu")
    first = slot_to_preempt(catalog, flavor, image, slots, memory)
    if first is None:
        return
    while room_for(catalog, flavor, slots, memory) < 1:
        going = slot_to_preempt(catalog, flavor, image, slots, memory)
        assert going is not None
        assert going.holder_id is None
        slots = [slot for slot in slots if slot != going]


def test_where_the_cluster_has_no_room_only_unassigned_slots_are_available() -> None:
    catalog, backend = make.catalog(make.flavor("a", limit=5)), make.SimulatedBackend()
    waiting = make.slot("s", SlotState.WARM, flavor="a")
    assert capacity_of(catalog, backend, catalog.flavor("a"), [waiting]).available == 5
    assert capacity_of(catalog, backend, catalog.flavor("a"), [waiting], without_room={"a"}).available == 1
    assert capacity_of(catalog, backend, catalog.flavor("a"), [waiting], without_room={"b"}).available == 5


def test_a_warm_slot_of_another_size_starts_nothing_at_once() -> None:
    catalog, backend = make.catalog(make.flavor(memory=2, limit=5)), make.SimulatedBackend()
    slots = [make.slot("old", version="cpu 1"), make.slot("new", version="cpu 2")]
    found = capacity_of(catalog, backend, catalog.flavor("small"), slots)
    assert (found.warm, found.available) == (1, 5)
