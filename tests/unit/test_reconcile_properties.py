"""Properties of the reconciliation in any state of ledger and backend."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from spawner.ledger import EndReason, InstanceState, SlotState
from spawner.ledger.pool.rows import OCCUPYING, UNENDED
from spawner.pool.backends.base import Phase
from spawner.steward.reconcile import (
    DestroySlot,
    EndInstance,
    MarkWarm,
    NoteEnd,
)
from tests.unit import make
from tests.unit.make import NOW, quick
from tests.unit.reconcile import World

names = st.sampled_from([f"s{number}" for number in range(5)])
instance_ids = st.sampled_from([f"i{number}" for number in range(4)])
reasons = st.none() | st.sampled_from(EndReason)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    slots = {
        name: make.slot(
            name,
            draw(st.sampled_from(OCCUPYING)),
            holder_id=draw(st.none() | instance_ids),
            created_at=draw(make.moments()),
            reason=draw(reasons),
        )
        for name in draw(st.sets(names))
    }
    instances = {
        name: make.instance(
            name,
            draw(st.sampled_from(UNENDED)),
            slot_id=draw(st.none() | names),
            requested_at=draw(make.moments()),
            ends_at=draw(st.none() | make.moments()),
            reason=draw(reasons),
        )
        for name in draw(st.sets(instance_ids))
    }
    found = {
        name: replace(make.status(name, draw(st.sampled_from(Phase)), draw(reasons)), is_final=draw(st.booleans()))
        for name in draw(st.sets(names))
    }
    return World(slots, instances, found)


@quick
@given(worlds())
def test_every_orphan_slot_is_destroyed(world: World) -> None:
    unknown = world.found.keys() - world.slots.keys()
    destroyed = {action.slot_id: action for action in world.decide() if isinstance(action, DestroySlot)}
    assert unknown <= destroyed.keys()
    assert all(destroyed[name].reason is EndReason.ORPHANED for name in unknown)


@quick
@given(worlds())
def test_a_running_instance_on_a_ready_slot_before_its_deadline_is_never_ended(world: World) -> None:
    healthy = {
        instance.id: instance.slot_id
        for instance in world.instances.values()
        if instance.state is InstanceState.RUNNING
        and instance.slot_id in world.slots
        and world.slots[instance.slot_id].state is SlotState.CLAIMED
        and world.slots[instance.slot_id].holder_id == instance.id
        and instance.slot_id in world.found
        and world.found[instance.slot_id].phase is Phase.READY
        and (instance.ends_at is None or instance.ends_at > NOW)
    }
    for action in world.decide():
        match action:
            case EndInstance(instance_id):
                assert instance_id not in healthy
            case DestroySlot(slot_id) | MarkWarm(slot_id):
                assert slot_id not in healthy.values()


@quick
@given(worlds())
def test_each_slot_and_instance_gets_at_most_one_action(world: World) -> None:
    actions = world.decide()
    about_slots = [action.slot_id for action in actions if not isinstance(action, EndInstance | NoteEnd)]
    about_instances = [action.instance_id for action in actions if isinstance(action, EndInstance | NoteEnd)]
    assert len(set(about_slots)) == len(about_slots)
    assert len(set(about_instances)) == len(about_instances)


@quick
@given(worlds())
def test_only_existing_slots_are_marked_warm(world: World) -> None:
    for action in world.decide():
        if isinstance(action, MarkWarm):
            assert world.found[action.slot_id].phase is Phase.READY
            assert world.slots[action.slot_id].holder_id is None


@quick
@given(worlds())
def test_actions_are_idempotent(world: World) -> None:
    actions = world.decide()
    world.carry_out(actions)
    once = (dict(world.slots), dict(world.instances), dict(world.found))
    world.carry_out([action for action in actions if not isinstance(action, MarkWarm) or action.slot_id in world.slots])
    assert (world.slots, world.instances, world.found) == once


@quick
@given(worlds())
def test_applied_actions_lead_to_a_stable_state(world: World) -> None:
    for _ in range(2):  # an instance with another's slot is found one round after the slot is gone
        world.carry_out(world.decide())
    assert world.decide() == []
