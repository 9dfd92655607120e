"""Ledger and backend are reconciled after any loss, and working instances are not touched."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from spawner.ledger import EndReason, InstanceState, SlotState
from spawner.pool.backends.base import Phase, SlotStatus
from spawner.steward.reconcile import (
    CREATE_GRACE,
    START_GRACE,
    Action,
    AssignSlot,
    DestroySlot,
    EndInstance,
    MarkWarm,
    decide,
)
from tests.unit import make
from tests.unit.make import NOW
from tests.unit.reconcile import CLAIMED, LIMITS, running, state_with

# Slots


def test_a_slot_that_the_ledger_does_not_know_is_destroyed() -> None:
    assert state_with(status=make.status("s")).decide() == [DestroySlot("s", EndReason.ORPHANED)]


@pytest.mark.parametrize("phase", list(Phase))
def test_a_destruction_that_was_begun_is_finished_with_its_first_reason(phase: Phase) -> None:
    slot = make.slot("s", SlotState.DESTROYING, reason=EndReason.STOPPED)
    assert state_with(slot=slot, status=make.status("s", phase)).decide() == [DestroySlot("s", EndReason.STOPPED)]
    assert state_with(slot=slot).decide() == [DestroySlot("s", EndReason.STOPPED)]


def test_the_slot_of_an_ended_instance_is_destroyed() -> None:
    slot = make.slot("s", SlotState.CLAIMED, holder_id="gone")
    assert state_with(slot=slot, status=make.status("s")).decide() == [DestroySlot("s", EndReason.ORPHANED)]


@pytest.mark.parametrize("status", [None, make.status("s", Phase.DEAD), make.status("s", Phase.CREATING)])
@pytest.mark.parametrize("state", [SlotState.CREATING, SlotState.CLAIMED])
def test_the_slot_of_a_starting_instance_is_left_to_its_start(state: SlotState, status: SlotStatus | None) -> None:
    slot = make.slot("s", state, holder_id="i", created_at=NOW - timedelta(seconds=200))
    instance = make.instance("i", InstanceState.STARTING, requested_at=NOW - timedelta(seconds=200))
    assert state_with(slot=slot, instance=instance, status=status).decide() == []


def test_a_committed_intent_has_a_grace_period() -> None:
    fresh = make.slot("s", SlotState.CREATING, created_at=NOW - CREATE_GRACE + timedelta(seconds=1))
    assert state_with(slot=fresh).decide() == []
    stale = replace(fresh, created_at=NOW - CREATE_GRACE)
    (action,) = state_with(slot=stale).decide()
    assert isinstance(action, DestroySlot)
    assert action.reason is EndReason.LOST


def test_a_missing_warm_slot_is_lost_at_once() -> None:
    slot = make.slot("s", SlotState.WARM, created_at=NOW)
    (action,) = state_with(slot=slot).decide()
    assert action == DestroySlot("s", EndReason.LOST, "it was not in the pool any more")


def test_a_slot_that_died_before_it_was_ready_has_failed_to_start() -> None:
    slot = make.slot("s", SlotState.CREATING)
    status = make.status("s", Phase.DEAD, EndReason.CRASHED, "exit code 1")
    assert state_with(slot=slot, status=status).decide() == [DestroySlot("s", EndReason.START_FAILED, "exit code 1")]


@pytest.mark.parametrize(
    ("status_reason", "reason"), [(EndReason.OUT_OF_MEMORY, EndReason.OUT_OF_MEMORY), (None, EndReason.LOST)]
)
def test_a_dead_warm_slot_keeps_its_reason(status_reason: EndReason | None, reason: EndReason) -> None:
    status = make.status("s", Phase.DEAD, status_reason)
    assert state_with(slot=make.slot("s"), status=status).decide() == [DestroySlot("s", reason)]


def test_a_slot_that_has_become_ready_is_marked_warm() -> None:
    assert state_with(slot=make.slot("s", SlotState.CREATING), status=make.status("s")).decide() == [MarkWarm("s")]


def test_a_slot_that_does_not_become_ready_is_destroyed() -> None:
    edge = NOW - timedelta(seconds=LIMITS.start_seconds)
    slot = make.slot("s", SlotState.CREATING, created_at=edge)
    creating = make.status("s", Phase.CREATING)
    assert state_with(slot=slot, status=creating).decide() == []
    (action,) = state_with(slot=replace(slot, created_at=edge - timedelta(seconds=1)), status=creating).decide()
    assert action == DestroySlot("s", EndReason.START_FAILED, "not ready after 60 s")


@pytest.mark.parametrize("reason", [EndReason.EVICTED, EndReason.LOST])
def test_a_slot_that_the_platform_ends_during_creation_is_no_failure_of_its_flavor(reason: EndReason) -> None:
    """After a drain or an eviction the next slot is created without a pause."""
    status = make.status("s", Phase.DEAD, reason, "drained")
    assert state_with(slot=make.slot("s", SlotState.CREATING), status=status).decide() == [
        DestroySlot("s", reason, "drained")
    ]


def test_a_warm_slot_needs_no_action() -> None:
    assert state_with(slot=make.slot("s"), status=make.status("s")).decide() == []


def test_a_warm_slot_that_was_assigned_is_of_after_the_ledgers_backup_and_is_destroyed() -> None:
    used = replace(make.status("s"), was_assigned=True)
    assert state_with(slot=make.slot("s"), status=used).decide() == [DestroySlot("s", EndReason.ORPHANED)]
    assert state_with(slot=CLAIMED, instance=running(), status=used).decide() == []


# Instances


def test_a_running_instance_needs_no_action() -> None:
    assert state_with(slot=CLAIMED, instance=running(), status=make.status("s")).decide() == []


def test_an_instance_ends_at_its_deadline() -> None:
    late = replace(running(), ends_at=NOW)
    state = state_with(slot=CLAIMED, instance=late, status=make.status("s"))
    assert state.decide(may_end={"i"}) == [EndInstance("i", EndReason.DEADLINE)]
    assert state.decide() == [], "its user was not told, or it has grace"


def test_an_instance_without_a_slot_in_the_backend_is_lost() -> None:
    (action,) = state_with(slot=CLAIMED, instance=running()).decide()
    assert action == EndInstance("i", EndReason.LOST, "it was not in the pool any more", slot_id="s")


def test_a_slot_that_is_not_marked_as_assigned_is_marked() -> None:
    unknown = replace(make.status("s"), assigned=False)
    assert state_with(slot=CLAIMED, instance=running(), status=unknown).decide() == [
        AssignSlot(CLAIMED, running().ends_at)
    ]


@pytest.mark.parametrize(("seconds", "given_up"), [(5, False), (15, True)])
def test_a_slot_without_a_node_is_destroyed_after_the_schedule_limit(seconds: int, given_up: bool) -> None:
    stuck = replace(make.status("s", Phase.CREATING), no_room="0/1 nodes are available")
    slot = make.slot("s", SlotState.CREATING, created_at=NOW - timedelta(seconds=seconds))
    expected = [DestroySlot("s", EndReason.NO_ROOM, "0/1 nodes are available")] if given_up else []
    assert state_with(slot=slot, status=stuck).decide() == expected


@pytest.mark.parametrize(
    ("status_reason", "reason"), [(EndReason.OUT_OF_MEMORY, EndReason.OUT_OF_MEMORY), (None, EndReason.CRASHED)]
)
def test_an_instance_whose_slot_died_ends_with_its_reason(status_reason: EndReason | None, reason: EndReason) -> None:
    dead = make.status("s", Phase.DEAD, status_reason, "exit code 137")
    assert state_with(slot=CLAIMED, instance=running(), status=dead).decide() == [
        EndInstance("i", reason, "exit code 137")
    ]


def test_the_cause_of_an_end_is_recorded_even_after_the_deadline() -> None:
    dead = make.status("s", Phase.DEAD, EndReason.OUT_OF_MEMORY)
    late = replace(running(), ends_at=NOW - timedelta(seconds=1))
    state = state_with(slot=CLAIMED, instance=late, status=dead)
    assert state.decide(may_end={"i"}) == [EndInstance("i", EndReason.OUT_OF_MEMORY)]


def test_an_end_that_was_begun_is_finished_with_its_first_reason() -> None:
    instance = make.instance("i", InstanceState.STOPPING, reason=EndReason.CANCELLED, slot_id="s")
    assert state_with(slot=CLAIMED, instance=instance, status=make.status("s")).decide() == [
        EndInstance("i", EndReason.CANCELLED)
    ]


def test_an_abandoned_start_is_ended() -> None:
    instance = make.instance("i", InstanceState.STARTING, requested_at=NOW - START_GRACE)
    assert state_with(instance=instance).decide() == []
    (action,) = state_with(instance=replace(instance, requested_at=NOW - START_GRACE - timedelta(seconds=1))).decide()
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
