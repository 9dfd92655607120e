"""Warm slots are created up to their target, and never beyond limits and memory."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.catalog import Catalog
from spawner.ledger import EndReason, Slot, SlotState
from spawner.ledger.pool.rows import OCCUPYING
from spawner.pool.warm.actions import CreateSlot, RemoveSlot, decide
from spawner.pool.warm.targets import LONGEST_BACKOFF
from tests.unit import make
from tests.unit.make import NOW, SimulatedBackend, quick


def run(
    catalog: Catalog,
    slots: list[Slot] | None = None,
    *,
    failures: list[Slot] | None = None,
    backend: SimulatedBackend | None = None,
) -> list[CreateSlot | RemoveSlot]:
    return decide(
        catalog=catalog, backend=backend or SimulatedBackend(), slots=slots or [], failures=failures or [], now=NOW
    )


def made(actions: list[CreateSlot | RemoveSlot]) -> list[str]:
    return [action.flavor.id for action in actions if isinstance(action, CreateSlot)]


def given_up(actions: list[CreateSlot | RemoveSlot]) -> list[str]:
    return [action.slot_id for action in actions if isinstance(action, RemoveSlot)]


def failed(name: str, *, seconds_ago: float, **changes: object) -> Slot:
    created = NOW - timedelta(seconds=seconds_ago)
    return make.slot(name, SlotState.GONE, created_at=created, reason=EndReason.START_FAILED, **changes)


def test_an_empty_pool_is_filled_to_its_targets_with_the_default_image() -> None:
    actions = run(make.catalog(make.flavor("small", warm=2), make.flavor("large", warm=1), make.flavor("none")))
    assert made(actions) == ["small", "small", "large"]
    assert {action.image.id for action in actions if isinstance(action, CreateSlot)} == {"cpu"}


@pytest.mark.parametrize("state", [SlotState.WARM, SlotState.CREATING])
def test_warm_and_creating_slots_count(state: SlotState) -> None:
    assert run(make.catalog(make.flavor(warm=1)), [make.slot("s", state)]) == []


@pytest.mark.parametrize(
    "slot",
    [
        make.slot("s", SlotState.CREATING, holder_id="i"),
        make.slot("s", SlotState.CLAIMED, holder_id="i"),
        make.slot("s", SlotState.DESTROYING),
    ],
)
def test_assigned_and_ending_slots_do_not_count(slot: Slot) -> None:
    assert made(run(make.catalog(make.flavor(warm=1)), [slot])) == ["small"]


def test_the_limit_of_the_flavor_holds() -> None:
    slots = [make.slot("s", SlotState.CLAIMED, holder_id="i")]
    assert made(run(make.catalog(make.flavor(warm=5, limit=3)), slots)) == ["small", "small"]


def test_memory_is_counted_once_for_all_flavors() -> None:
    catalog = make.catalog(make.flavor("a", warm=2, memory=1), make.flavor("b", warm=2, memory=1))
    assert made(run(catalog, backend=SimulatedBackend(3))) == ["a", "a", "b"]


def test_a_flavor_that_cannot_be_served_is_not_kept_warm() -> None:
    actions = run(make.catalog(make.flavor(warm=1)), [make.slot("s")], backend=SimulatedBackend(refused=("small",)))
    assert actions == [RemoveSlot("s")]


def claimed(name: str, seconds_ago: float, *, was_warm: bool = True, flavor: str = "small") -> Slot:
    at = NOW - timedelta(seconds=seconds_ago)
    warm_at = NOW - timedelta(minutes=4) if was_warm else at
    return make.slot(name, SlotState.CLAIMED, flavor=flavor, holder_id=name, warm_at=warm_at, claimed_at=at)


def test_a_claimed_slot_is_replaced_after_a_pause() -> None:
    catalog = make.catalog(make.flavor(warm=1), replenish_after_seconds=2)
    assert run(catalog, [claimed("s", 1.9)]) == []
    assert made(run(catalog, [claimed("s", 2)])) == ["small"]


def test_starts_that_go_on_and_on_do_not_keep_the_stock_from_being_refilled() -> None:
    many, other = make.flavor(warm=3, limit=100), make.flavor("other", warm=1)
    catalog = make.catalog(many, other, replenish_after_seconds=2)
    every_second = [claimed(f"s{number}", number) for number in range(10)]
    assert made(run(catalog, every_second)) == ["small", "other"], "all but the two that were claimed just now"
    assert made(run(catalog, [*every_second, claimed("o", 1, flavor="other")])) == ["small"]


def test_starts_that_found_no_warm_slot_delay_none() -> None:
    catalog = make.catalog(make.flavor(warm=1), replenish_after_seconds=2)
    assert made(run(catalog, [claimed("s", 1, was_warm=False)])) == ["small"]


@pytest.mark.parametrize(("failures", "pause"), [(1, 2), (2, 4), (3, 8), (7, 128), (9, 300), (50, 300)])
def test_creation_of_a_failing_kind_backs_off(failures: int, pause: int) -> None:
    assert pause <= LONGEST_BACKOFF.total_seconds()
    catalog = make.catalog(make.flavor(warm=1))

    def after(seconds: float) -> list[str]:
        bad = [failed(f"f{number}", seconds_ago=seconds + number) for number in range(failures)]
        return made(run(catalog, failures=bad))

    assert after(pause - 0.1) == []
    assert after(pause) == ["small"]


def test_failures_of_one_flavor_do_not_delay_another() -> None:
    catalog = make.catalog(make.flavor("bad", warm=1), make.flavor("good", warm=1))
    assert made(run(catalog, failures=[failed("f", seconds_ago=0, flavor="bad")])) == ["good"]
    other_image = failed("f", seconds_ago=0, flavor="bad", image="torch")
    assert made(run(catalog, failures=[other_image])) == ["bad", "good"]


def test_slots_beyond_the_target_are_removed_the_youngest_first() -> None:
    slots = [make.slot(f"s{age}", created_at=NOW - timedelta(minutes=age)) for age in (1, 3, 2)]
    assert run(make.catalog(make.flavor(warm=1)), slots) == [RemoveSlot("s2"), RemoveSlot("s1")]


@pytest.mark.parametrize("changes", [{"flavor": "forgotten"}, {"image": "forgotten"}, {"image": "torch"}])
def test_warm_slots_of_a_flavor_that_is_not_kept_warm_are_removed(changes: dict[str, str]) -> None:
    assert run(make.catalog(), [make.slot("s", **changes)]) == [RemoveSlot("s")]


def test_a_warm_slot_of_another_size_is_replaced() -> None:
    catalog = make.catalog(make.flavor(warm=1, memory=2))
    old, new = make.slot("old", version="cpu 1"), make.slot("new", version="cpu 2")
    assert made(run(catalog, [old])) == ["small"]
    assert run(catalog, [old, new]) == [RemoveSlot("old")]
    assert run(catalog, [new]) == []


def test_surplus_is_removed_even_while_creation_pauses() -> None:
    claimed = make.slot("c", SlotState.CLAIMED, holder_id="i", claimed_at=NOW)
    assert run(make.catalog(make.flavor(warm=0)), [claimed, make.slot("s")]) == [RemoveSlot("s")]


@st.composite
def pools(draw: st.DrawFn) -> tuple[Catalog, list[Slot], SimulatedBackend]:
    flavors = [
        make.flavor(
            name,
            warm=draw(st.integers(0, 3)),
            limit=draw(st.integers(0, 5)),
            memory=draw(st.integers(1, 3)),
        )
        for name in ("a", "b", "c")
    ]
    slots = [
        make.slot(
            f"s{number}",
            draw(st.sampled_from(OCCUPYING)),
            flavor=draw(st.sampled_from(["a", "b", "c", "forgotten"])),
            image=draw(st.sampled_from(["cpu", "torch", "forgotten"])),
            holder_id=draw(st.sampled_from([None, "i"])),
            created_at=draw(make.times()),
        )
        for number in range(draw(st.integers(0, 8)))
    ]
    refused = tuple(draw(st.sets(st.sampled_from(["a", "b", "c"]), max_size=1)))
    return make.catalog(*flavors), slots, SimulatedBackend(draw(st.none() | st.integers(0, 12)), refused)


@quick
@given(pools())
def test_never_more_than_targets_limits_and_memory_allow(pool: tuple[Catalog, list[Slot], SimulatedBackend]) -> None:
    catalog, slots, backend = pool
    actions = run(catalog, slots, backend=backend)
    reserved = {flavor.id: flavor.reserved for flavor in catalog.flavors}
    new = made(actions)
    for flavor in catalog.flavors:
        count = new.count(flavor.id)
        waiting = [
            slot
            for slot in slots
            if (slot.flavor, slot.image, slot.holder_id) == (flavor.id, "cpu", None)
            and slot.state in (SlotState.WARM, SlotState.CREATING)
        ]
        if count:
            assert flavor.id not in backend.refused
            assert len(waiting) + count <= sum(rule.ceiling for rule in flavor.warm)
            assert sum(slot.flavor == flavor.id for slot in slots) + count <= flavor.limit
    if new and backend.bytes is not None:
        used = sum(reserved.get(slot.flavor, 0) for slot in slots)
        assert used + sum(reserved[name] for name in new) <= backend.bytes


@quick
@given(pools())
def test_only_unassigned_slots_are_removed_and_each_once(pool: tuple[Catalog, list[Slot], SimulatedBackend]) -> None:
    catalog, slots, backend = pool
    names = given_up(run(catalog, slots, backend=backend))
    assert len(set(names)) == len(names)
    by_name = {slot.id: slot for slot in slots}
    for name in names:
        assert by_name[name].holder_id is None
        assert by_name[name].state in (SlotState.WARM, SlotState.CREATING)


@quick
@given(pools())
def test_applied_actions_lead_to_a_stable_state(pool: tuple[Catalog, list[Slot], SimulatedBackend]) -> None:
    catalog, slots, backend = pool
    for number in range(4):  # room that a slot gives up may let another be made
        actions = run(catalog, slots, backend=backend)
        gone = set(given_up(actions))
        slots = [slot for slot in slots if slot.id not in gone]
        slots += [
            make.slot(f"new{number}-{index}", SlotState.CREATING, flavor=name, image="cpu", created_at=NOW)
            for index, name in enumerate(made(actions))
        ]
    assert run(catalog, slots, backend=backend) == []
