"""Ledger and backend are reconciled after any loss, and working instances are not touched."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.catalog import Limits
from spawner.ledger import EndReason, Instance, InstanceState, Slot, SlotState
from spawner.ledger.pool.rows import OCCUPYING, UNENDED
from spawner.pool.backends.base import Phase, SlotStatus
from spawner.steward.reconcile import (
    CREATE_GRACE,
    END_CAUSE_TIMEOUT,
    START_GRACE,
    Action,
    AssignSlot,
    DestroySlot,
    EndInstance,
    MarkWarm,
    NoteEnd,
    cause_pending_since,
    decide,
)
from tests.unit import make
from tests.unit.make import NOW, quick

LIMITS = Limits(start_seconds=60)


@dataclass
class World:
    """The rows of the ledger and the slots of the backend at `NOW`."""

    slots: dict[str, Slot] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    found: dict[str, SlotStatus] = field(default_factory=dict)

    def decide(self) -> list[Action]:
        return list(
            decide(
                slots=self.slots.values(),
                instances=self.instances.values(),
                found=self.found,
                now=NOW,
                limits=LIMITS,
            )
        )

    def carry_out(self, actions: list[Action]) -> None:
        """Apply each action as the steward does, with every call successful."""
        for action in actions:
            match action:
                case MarkWarm(slot_id):
                    if self.slots[slot_id].state is SlotState.CREATING:
                        self.slots[slot_id] = replace(self.slots[slot_id], state=SlotState.WARM)
                case DestroySlot(slot_id):
                    self._remove(slot_id)
                case NoteEnd(instance_id, reason):
                    instance = self.instances[instance_id]
                    self.instances[instance_id] = replace(instance, state=InstanceState.STOPPING, reason=reason)
                case EndInstance(instance_id):
                    self.instances.pop(instance_id, None)
                    for slot in list(self.slots.values()):
                        if slot.holder_id == instance_id:
                            self._remove(slot.id)

    def _remove(self, slot_id: str) -> None:
        self.slots.pop(slot_id, None)
        self.found.pop(slot_id, None)


def about(*, slot: Slot | None = None, instance: Instance | None = None, status: SlotStatus | None = None) -> World:
    """A world of one slot, one instance or both."""
    return World(
        {slot.id: slot} if slot else {},
        {instance.id: instance} if instance else {},
        {status.id: status} if status else {},
    )


# Slots


def test_a_slot_that_the_ledger_does_not_know_is_destroyed() -> None:
    assert about(status=make.status("s")).decide() == [DestroySlot("s", EndReason.ORPHANED)]


@pytest.mark.parametrize("phase", list(Phase))
def test_a_destruction_that_was_begun_is_finished_with_its_first_reason(phase: Phase) -> None:
    slot = make.slot("s", SlotState.DESTROYING, reason=EndReason.STOPPED)
    assert about(slot=slot, status=make.status("s", phase)).decide() == [DestroySlot("s", EndReason.STOPPED)]
    assert about(slot=slot).decide() == [DestroySlot("s", EndReason.STOPPED)]


def test_the_slot_of_an_ended_instance_is_destroyed() -> None:
    slot = make.slot("s", SlotState.CLAIMED, holder_id="gone")
    assert about(slot=slot, status=make.status("s")).decide() == [DestroySlot("s", EndReason.ORPHANED)]


@pytest.mark.parametrize("status", [None, make.status("s", Phase.DEAD), make.status("s", Phase.CREATING)])
@pytest.mark.parametrize("state", [SlotState.CREATING, SlotState.CLAIMED])
def test_the_slot_of_a_starting_instance_is_left_to_its_start(state: SlotState, status: SlotStatus | None) -> None:
    slot = make.slot("s", state, holder_id="i", created_at=NOW - timedelta(seconds=200))
    instance = make.instance("i", InstanceState.STARTING, requested_at=NOW - timedelta(seconds=200))
    assert about(slot=slot, instance=instance, status=status).decide() == []


def test_a_committed_intent_has_a_grace_period() -> None:
    fresh = make.slot("s", SlotState.CREATING, created_at=NOW - CREATE_GRACE + timedelta(seconds=1))
    assert about(slot=fresh).decide() == []
    stale = replace(fresh, created_at=NOW - CREATE_GRACE)
    (action,) = about(slot=stale).decide()
    assert isinstance(action, DestroySlot)
    assert action.reason is EndReason.LOST


def test_a_missing_warm_slot_is_lost_at_once() -> None:
    slot = make.slot("s", SlotState.WARM, created_at=NOW)
    (action,) = about(slot=slot).decide()
    assert action == DestroySlot("s", EndReason.LOST, "it was not in the pool any more")


def test_a_slot_that_died_before_it_was_ready_has_failed_to_start() -> None:
    slot = make.slot("s", SlotState.CREATING)
    status = make.status("s", Phase.DEAD, EndReason.CRASHED, "exit code 1")
    assert about(slot=slot, status=status).decide() == [DestroySlot("s", EndReason.START_FAILED, "exit code 1")]


@pytest.mark.parametrize(
    ("said", "reason"), [(EndReason.OUT_OF_MEMORY, EndReason.OUT_OF_MEMORY), (None, EndReason.LOST)]
)
def test_a_dead_warm_slot_keeps_its_reason(said: EndReason | None, reason: EndReason) -> None:
    status = make.status("s", Phase.DEAD, said)
    assert about(slot=make.slot("s"), status=status).decide() == [DestroySlot("s", reason)]


def test_a_slot_that_has_become_ready_is_marked_warm() -> None:
    assert about(slot=make.slot("s", SlotState.CREATING), status=make.status("s")).decide() == [MarkWarm("s")]


def test_a_slot_that_does_not_become_ready_is_destroyed() -> None:
    edge = NOW - timedelta(seconds=LIMITS.start_seconds)
    slot = make.slot("s", SlotState.CREATING, created_at=edge)
    creating = make.status("s", Phase.CREATING)
    assert about(slot=slot, status=creating).decide() == []
    (action,) = about(slot=replace(slot, created_at=edge - timedelta(seconds=1)), status=creating).decide()
    assert action == DestroySlot("s", EndReason.START_FAILED, "not ready after 60 s")


def test_a_warm_slot_needs_no_action() -> None:
    assert about(slot=make.slot("s"), status=make.status("s")).decide() == []


# Instances


def running(**changes: object) -> Instance:
    return make.instance("i", slot_id="s", ends_at=NOW + timedelta(seconds=1), **changes)


CLAIMED = make.slot("s", SlotState.CLAIMED, holder_id="i")


def test_a_running_instance_needs_no_action() -> None:
    assert about(slot=CLAIMED, instance=running(), status=make.status("s")).decide() == []


def test_an_instance_ends_at_its_deadline() -> None:
    late = replace(running(), ends_at=NOW)
    assert about(slot=CLAIMED, instance=late, status=make.status("s")).decide() == [
        EndInstance("i", EndReason.DEADLINE)
    ]


def test_an_instance_without_a_slot_in_the_backend_is_lost() -> None:
    (action,) = about(slot=CLAIMED, instance=running()).decide()
    assert action == EndInstance("i", EndReason.LOST, "it was not in the pool any more", slot_id="s")


def test_a_slot_that_is_not_marked_as_assigned_is_marked() -> None:
    unknown = replace(make.status("s"), assigned=False)
    assert about(slot=CLAIMED, instance=running(), status=unknown).decide() == [AssignSlot(CLAIMED, running().ends_at)]


@pytest.mark.parametrize(("seconds", "given_up"), [(5, False), (15, True)])
def test_a_slot_without_a_node_is_destroyed_after_the_schedule_limit(seconds: int, given_up: bool) -> None:
    stuck = replace(make.status("s", Phase.CREATING), no_room="0/1 nodes are available")
    slot = make.slot("s", SlotState.CREATING, created_at=NOW - timedelta(seconds=seconds))
    expected = [DestroySlot("s", EndReason.NO_ROOM, "0/1 nodes are available")] if given_up else []
    assert about(slot=slot, status=stuck).decide() == expected


@pytest.mark.parametrize(
    ("said", "reason"), [(EndReason.OUT_OF_MEMORY, EndReason.OUT_OF_MEMORY), (None, EndReason.CRASHED)]
)
def test_an_instance_whose_slot_died_ends_with_its_reason(said: EndReason | None, reason: EndReason) -> None:
    dead = make.status("s", Phase.DEAD, said, "exit code 137")
    assert about(slot=CLAIMED, instance=running(), status=dead).decide() == [EndInstance("i", reason, "exit code 137")]


def test_the_cause_of_an_end_is_recorded_even_after_the_deadline() -> None:
    dead = make.status("s", Phase.DEAD, EndReason.OUT_OF_MEMORY)
    late = replace(running(), ends_at=NOW - timedelta(seconds=1))
    assert about(slot=CLAIMED, instance=late, status=dead).decide() == [EndInstance("i", EndReason.OUT_OF_MEMORY)]


def test_an_end_that_was_begun_is_finished_with_its_first_reason() -> None:
    instance = make.instance("i", InstanceState.STOPPING, reason=EndReason.CANCELLED, slot_id="s")
    assert about(slot=CLAIMED, instance=instance, status=make.status("s")).decide() == [
        EndInstance("i", EndReason.CANCELLED)
    ]


def test_an_abandoned_start_is_ended() -> None:
    instance = make.instance("i", InstanceState.STARTING, requested_at=NOW - START_GRACE)
    assert about(instance=instance).decide() == []
    (action,) = about(instance=replace(instance, requested_at=NOW - START_GRACE - timedelta(seconds=1))).decide()
    assert action == EndInstance("i", EndReason.LOST, "its start was abandoned")


def test_a_flavor_that_requires_user_namespaces_backs_off_where_no_node_has_them() -> None:
    slot = make.slot("s", SlotState.CREATING)
    status = replace(make.status("s", Phase.DEAD, EndReason.LOST, "no sandbox"), lacks_user_namespace=True)

    def decided(*requires_user_namespaces: str) -> list[Action]:
        found = {"s": status}
        return list(
            decide(
                slots=[slot],
                instances=[],
                found=found,
                now=NOW,
                limits=LIMITS,
                requires_user_namespaces=requires_user_namespaces,
            )
        )

    assert decided() == [DestroySlot("s", EndReason.LOST, "no sandbox")]
    assert decided(slot.flavor) == [DestroySlot("s", EndReason.START_FAILED, "no sandbox")]


# Ends whose cause is not known yet


def test_the_end_of_an_instance_is_recorded_when_its_cause_is_known() -> None:
    guess = replace(make.status("s", Phase.DEAD, EndReason.CRASHED, "exit code 0"), is_final=False)
    world = about(slot=CLAIMED, instance=running(), status=guess)
    noted = world.decide()
    assert noted == [NoteEnd("i", EndReason.CRASHED, "exit code 0")], "its person is told at once that it is over"
    world.carry_out(noted)
    assert world.decide() == [], "its slot stays until the cause is known"
    world.found["s"] = make.status("s", Phase.DEAD, EndReason.OUT_OF_DISK, "too large")
    assert world.decide() == [EndInstance("i", EndReason.OUT_OF_DISK, "too large", corrects=True)]


def test_a_pod_that_is_gone_before_its_cause_was_known_was_lost() -> None:
    noted = replace(running(), state=InstanceState.STOPPING, reason=EndReason.CRASHED)
    (action,) = about(slot=CLAIMED, instance=noted).decide()
    assert action == EndInstance("i", EndReason.LOST, "it was not in the pool any more", corrects=True)


@pytest.mark.parametrize("cause", [EndReason.OUT_OF_MEMORY, EndReason.OUT_OF_DISK])
def test_a_final_cause_stays_when_the_pod_is_gone(cause: EndReason) -> None:
    noted = replace(running(), state=InstanceState.STOPPING, reason=cause)
    (action,) = about(slot=CLAIMED, instance=noted).decide()
    assert action == EndInstance("i", cause)


@pytest.mark.parametrize("reason", [EndReason.STOPPED, EndReason.DEADLINE, EndReason.MAINTENANCE, EndReason.CANCELLED])
def test_a_requested_end_waits_for_no_cause(reason: EndReason) -> None:
    guess = replace(make.status("s", Phase.DEAD, EndReason.CRASHED), is_final=False)
    asked = replace(running(), state=InstanceState.STOPPING, reason=reason)
    assert about(slot=CLAIMED, instance=asked, status=guess).decide() == [EndInstance("i", reason)]


def test_a_recorded_cause_stays_while_the_slot_is_destroyed() -> None:
    leaving = replace(CLAIMED, state=SlotState.DESTROYING)
    over = replace(running(), state=InstanceState.STOPPING, reason=EndReason.CRASHED)
    deleted = make.status("s", Phase.DEAD, EndReason.LOST, "its pod was deleted")
    actions = about(slot=leaving, instance=over, status=deleted).decide()
    assert EndInstance("i", EndReason.CRASHED) in actions


@pytest.mark.parametrize(
    ("ago", "ends"), [(END_CAUSE_TIMEOUT - timedelta(seconds=1), False), (END_CAUSE_TIMEOUT, True)]
)
def test_the_wait_for_a_cause_is_limited(ago: timedelta, ends: bool) -> None:
    guess = replace(make.status("s", Phase.DEAD, EndReason.CRASHED), is_final=False)
    actions = decide(
        slots=[CLAIMED],
        instances=[running()],
        found={"s": guess},
        now=NOW,
        limits=LIMITS,
        cause_pending={"s": NOW - ago},
    )
    assert list(actions) == [EndInstance("i", EndReason.CRASHED) if ends else NoteEnd("i", EndReason.CRASHED)]


def test_a_dead_unassigned_slot_is_destroyed_at_once() -> None:
    """Until it is gone a start could be given it."""
    guess = replace(make.status("s", Phase.DEAD, EndReason.START_FAILED), is_final=False)
    assert about(slot=make.slot("s"), status=guess).decide() == [DestroySlot("s", EndReason.START_FAILED)]


def test_the_time_of_an_end_without_a_cause_is_kept_until_the_cause_is_known() -> None:
    guess = replace(make.status("s", Phase.DEAD, EndReason.CRASHED), is_final=False)
    later = NOW + timedelta(seconds=3)
    first = cause_pending_since({"s": guess, "well": make.status("well")}, {}, NOW)
    assert first == {"s": NOW}
    assert cause_pending_since({"s": guess}, first, later) == {"s": NOW}
    assert cause_pending_since({"s": replace(guess, is_final=True)}, first, later) == {}
    assert cause_pending_since({}, first, later) == {}


@pytest.mark.parametrize("reason", [EndReason.EVICTED, EndReason.LOST])
def test_a_slot_that_the_platform_ends_during_creation_is_no_failure_of_its_flavor(reason: EndReason) -> None:
    """A drain or a node that runs short: the next one is made at once, and not after a pause."""
    status = make.status("s", Phase.DEAD, reason, "drained")
    assert about(slot=make.slot("s", SlotState.CREATING), status=status).decide() == [
        DestroySlot("s", reason, "drained")
    ]


# In any state of ledger and backend

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
