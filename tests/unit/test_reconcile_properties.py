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
from tests.unit.make import quick
from tests.unit.reconcile import PoolState

names = st.sampled_from([f"s{number}" for number in range(5)])
instance_names = st.sampled_from([f"i{number}" for number in range(4)])
reasons = st.none() | st.sampled_from(EndReason)


@st.composite
def pool_states(draw: st.DrawFn) -> PoolState:
    slots = {
        name: make.slot(
            name,
            draw(st.sampled_from(OCCUPYING)),
            holder_id=draw(st.none() | instance_names),
            created_at=draw(make.times()),
            reason=draw(reasons),
        )
        for name in draw(st.sets(names))
    }
    instances = {
        name: make.instance(
            name,
            draw(st.sampled_from(UNENDED)),
            slot_id=draw(st.none() | names),
            requested_at=draw(make.times()),
            ends_at=draw(st.none() | make.times()),
            reason=draw(reasons),
        )
        for name in draw(st.sets(instance_names))
    }
    found = {
        name: replace(make.status(name, draw(st.sampled_from(Phase)), draw(reasons)), is_final=draw(st.booleans()))
        for name in draw(st.sets(names))
    }
    return PoolState(slots, instances, found)


@quick
@given(pool_states())
def test_every_orphan_slot_is_destroyed(state: PoolState) -> None:
    unknown = state.found.keys() - state.slots.keys()
    destroyed = {action.slot_id: action for action in state.decide() if isinstance(action, DestroySlot)}
    assert unknown <= destroyed.keys()
    assert all(destroyed[name].reason is EndReason.ORPHANED for name in unknown)


@quick
@given(pool_states())
def test_a_running_instance_on_a_ready_slot_is_never_ended_unless_it_may_end(state: PoolState) -> None:
    healthy = {
        instance.id: instance.slot_id
        for instance in state.instances.values()
        if instance.state is InstanceState.RUNNING
        and instance.slot_id in state.slots
        and state.slots[instance.slot_id].state is SlotState.CLAIMED
        and state.slots[instance.slot_id].holder_id == instance.id
        and instance.slot_id in state.found
        and state.found[instance.slot_id].phase is Phase.READY
    }
    for action in state.decide():
        match action:
            case EndInstance(instance_id):
                assert instance_id not in healthy
            case DestroySlot(slot_id) | MarkWarm(slot_id):
                assert slot_id not in healthy.values()


@quick
@given(pool_states())
def test_each_slot_and_instance_gets_at_most_one_action(state: PoolState) -> None:
    actions = state.decide()
    of_slots = [action.slot_id for action in actions if not isinstance(action, EndInstance | NoteEnd)]
    of_instances = [action.instance_id for action in actions if isinstance(action, EndInstance | NoteEnd)]
    assert len(set(of_slots)) == len(of_slots)
    assert len(set(of_instances)) == len(of_instances)


@quick
@given(pool_states())
def test_only_existing_slots_are_marked_warm(state: PoolState) -> None:
    for action in state.decide():
        if isinstance(action, MarkWarm):
            assert state.found[action.slot_id].phase is Phase.READY
            assert state.slots[action.slot_id].holder_id is None


@quick
@given(pool_states())
def test_actions_are_idempotent(state: PoolState) -> None:
    actions = state.decide()
    state.apply(actions)
    once = (dict(state.slots), dict(state.instances), dict(state.found))
    state.apply([action for action in actions if not isinstance(action, MarkWarm) or action.slot_id in state.slots])
    assert (state.slots, state.instances, state.found) == once


@quick
@given(pool_states())
def test_applied_actions_lead_to_a_stable_state(state: PoolState) -> None:
    for _ in range(2):  # an instance with another's slot is found one round after the slot is gone
        state.apply(state.decide())
    assert state.decide() == []
