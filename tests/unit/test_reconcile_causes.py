"""The cause of an end is recorded once it is known, and the wait for it is limited."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from spawner.ledger import EndReason, InstanceState, SlotState
from spawner.pool.backends.base import Phase
from spawner.steward.reconcile import (
    END_CAUSE_TIMEOUT,
    DestroySlot,
    EndInstance,
    NoteEnd,
    cause_pending_since,
    decide,
)
from tests.unit import make
from tests.unit.make import NOW
from tests.unit.reconcile import CLAIMED, LIMITS, running, state_with


def test_the_end_of_an_instance_is_recorded_when_its_cause_is_known() -> None:
    guess = replace(make.status("s", Phase.DEAD, EndReason.CRASHED, "exit code 0"), is_final=False)
    state = state_with(slot=CLAIMED, instance=running(), status=guess)
    noted = state.decide()
    assert noted == [NoteEnd("i", EndReason.CRASHED, "exit code 0")], "the user is told at once"
    state.apply(noted)
    assert state.decide() == [], "its slot stays until the cause is known"
    state.found["s"] = make.status("s", Phase.DEAD, EndReason.OUT_OF_DISK, "too large")
    assert state.decide() == [EndInstance("i", EndReason.OUT_OF_DISK, "too large", corrects=True)]


def test_a_pod_that_is_gone_before_its_cause_was_known_was_lost() -> None:
    noted = replace(running(), state=InstanceState.STOPPING, reason=EndReason.CRASHED)
    (action,) = state_with(slot=CLAIMED, instance=noted).decide()
    assert action == EndInstance("i", EndReason.LOST, "it was not in the pool any more", corrects=True)


@pytest.mark.parametrize("cause", [EndReason.OUT_OF_MEMORY, EndReason.OUT_OF_DISK])
def test_a_final_cause_stays_when_the_pod_is_gone(cause: EndReason) -> None:
    noted = replace(running(), state=InstanceState.STOPPING, reason=cause)
    (action,) = state_with(slot=CLAIMED, instance=noted).decide()
    assert action == EndInstance("i", cause)


@pytest.mark.parametrize("reason", [EndReason.STOPPED, EndReason.DEADLINE, EndReason.MAINTENANCE, EndReason.CANCELLED])
def test_a_requested_end_waits_for_no_cause(reason: EndReason) -> None:
    guess = replace(make.status("s", Phase.DEAD, EndReason.CRASHED), is_final=False)
    asked = replace(running(), state=InstanceState.STOPPING, reason=reason)
    assert state_with(slot=CLAIMED, instance=asked, status=guess).decide() == [EndInstance("i", reason)]


def test_a_recorded_cause_stays_while_the_slot_is_destroyed() -> None:
    leaving = replace(CLAIMED, state=SlotState.DESTROYING)
    over = replace(running(), state=InstanceState.STOPPING, reason=EndReason.CRASHED)
    deleted = make.status("s", Phase.DEAD, EndReason.LOST, "its pod was deleted")
    actions = state_with(slot=leaving, instance=over, status=deleted).decide()
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
    """Otherwise a start could claim it."""
    guess = replace(make.status("s", Phase.DEAD, EndReason.START_FAILED), is_final=False)
    assert state_with(slot=make.slot("s"), status=guess).decide() == [DestroySlot("s", EndReason.START_FAILED)]


def test_the_time_of_an_end_without_a_cause_is_kept_until_the_cause_is_known() -> None:
    guess = replace(make.status("s", Phase.DEAD, EndReason.CRASHED), is_final=False)
    later = NOW + timedelta(seconds=3)
    first = cause_pending_since({"s": guess, "well": make.status("well")}, {}, NOW)
    assert first == {"s": NOW}
    assert cause_pending_since({"s": guess}, first, later) == {"s": NOW}
    assert cause_pending_since({"s": replace(guess, is_final=True)}, first, later) == {}
    assert cause_pending_since({}, first, later) == {}
