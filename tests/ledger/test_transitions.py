"""A row takes only the transitions of `pool/rows.py`, from a state that its caller expects; else nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection

from spawner.errors import LostRace, TooMany
from spawner.ledger import EndReason, InstanceState, Ledger, SlotState, StartStep
from spawner.ledger.pool import instances, slots
from spawner.ledger.transitions import revision
from tests.ledger.rows import claim, instance_in, intend, later, request, slot_in

Move = Callable[..., Any]

INSTANCES: dict[str, tuple[Move, set[InstanceState], InstanceState]] = {
    "attach": (
        partial(instances.attach_slot, slot_id="s1"),
        {InstanceState.STARTING},
        InstanceState.STARTING,
    ),
    "run": (
        partial(instances.mark_running, url="http://y", now=later(5), ends_at=later(9)),
        {InstanceState.STARTING},
        InstanceState.RUNNING,
    ),
    "stop": (
        partial(instances.mark_stopping, reason=EndReason.DEADLINE, now=later(6), detail="late"),
        {InstanceState.STARTING, InstanceState.RUNNING},
        InstanceState.STOPPING,
    ),
    "end": (partial(instances.mark_ended, now=later(7)), {InstanceState.STOPPING}, InstanceState.ENDED),
}
SLOTS: dict[str, tuple[Move, set[SlotState], SlotState]] = {
    "warm": (partial(slots.mark_warm, now=later(5)), {SlotState.CREATING}, SlotState.WARM),
    "claimed": (partial(slots.mark_claimed, now=later(5)), {SlotState.CREATING}, SlotState.CLAIMED),
    "destroying": (
        partial(slots.mark_destroying, reason=EndReason.LOST, detail="why"),
        {SlotState.CREATING, SlotState.WARM, SlotState.CLAIMED},
        SlotState.DESTROYING,
    ),
    "withdraw": (slots.withdraw, {SlotState.CREATING, SlotState.WARM}, SlotState.DESTROYING),
    "gone": (partial(slots.mark_gone, now=later(5)), {SlotState.DESTROYING}, SlotState.GONE),
}


def on_row(move: Move, name: str) -> Callable[[Connection], Any]:
    return lambda connection: move(connection, name)


@pytest.mark.parametrize("state", InstanceState)
@pytest.mark.parametrize("name", INSTANCES)
def test_an_instance_changes_only_from_the_expected_state(name: str, state: InstanceState, ledger: Ledger) -> None:
    move, right, to = INSTANCES[name]
    before = instance_in(ledger, state)
    counted = ledger.read(revision)
    if state in right:
        ledger.write(on_row(move, "i1"))
        assert ledger.read(instances.get, "i1").state is to
        assert ledger.read(revision) > counted
        return
    with pytest.raises(LostRace, match=f"instances i1 is {state}, not "):
        ledger.write(on_row(move, "i1"))
    assert ledger.read(instances.get, "i1") == before
    assert ledger.read(revision) == counted


@pytest.mark.parametrize("state", SlotState)
@pytest.mark.parametrize("name", SLOTS)
def test_a_slot_changes_only_from_the_expected_state(name: str, state: SlotState, ledger: Ledger) -> None:
    move, right, to = SLOTS[name]
    before = slot_in(ledger, state)
    counted = ledger.read(revision)
    if state in right:
        ledger.write(on_row(move, "s1"))
        assert ledger.read(slots.get, "s1").state is to
        assert ledger.read(revision) > counted
        return
    with pytest.raises(LostRace):
        ledger.write(on_row(move, "s1"))
    assert ledger.read(slots.get, "s1") == before
    assert ledger.read(revision) == counted


@pytest.mark.parametrize("move", [move for move, _, _ in [*INSTANCES.values(), *SLOTS.values()]])
def test_a_missing_row_is_a_lost_race(move: Move, ledger: Ledger) -> None:
    with pytest.raises(LostRace):
        ledger.write(on_row(move, "nowhere"))


def test_writes_before_a_lost_race_are_rolled_back(ledger: Ledger) -> None:
    before = slot_in(ledger, SlotState.CREATING)
    instance_in(ledger, InstanceState.STOPPING)

    def attach(connection: Connection) -> None:
        slots.mark_claimed(connection, "s1", now=later(9))
        instances.attach_slot(connection, "i1", "s1")

    with pytest.raises(LostRace):
        ledger.write(attach)
    assert ledger.read(slots.get, "s1") == before


def test_an_instances_fields_are_kept(ledger: Ledger) -> None:
    request(ledger)
    ledger.write(instances.attach_slot, "i1", "s1")
    ledger.write(instances.mark_running, "i1", url="http://127.0.0.1:1", now=later(1), ends_at=later(60))
    ledger.write(instances.mark_stopping, "i1", reason=EndReason.OUT_OF_MEMORY, now=later(2), detail="猫 😀")
    ledger.write(instances.mark_ended, "i1", now=later(3))
    instance = ledger.read(instances.get, "i1")
    assert (instance.slot_id, instance.url, instance.reason, instance.detail) == (
        "s1", "http://127.0.0.1:1", EndReason.OUT_OF_MEMORY, "猫 😀",
    )  # fmt: skip
    assert (instance.requested_at, instance.usable_at, instance.stopping_at, instance.ended_at, instance.ends_at) == (
        later(0), later(1), later(2), later(3), later(60),
    )  # fmt: skip


def test_the_first_reason_stays(ledger: Ledger) -> None:
    instance_in(ledger, InstanceState.RUNNING)
    ledger.write(instances.mark_stopping, "i1", reason=EndReason.DEADLINE, now=later(2))
    with pytest.raises(LostRace):
        ledger.write(instances.mark_stopping, "i1", reason=EndReason.STOPPED, now=later(3))
    assert ledger.read(instances.get, "i1").reason is EndReason.DEADLINE


# Requests


@pytest.mark.parametrize("state", [InstanceState.STARTING, InstanceState.RUNNING])
def test_a_server_has_one_live_instance(state: InstanceState, ledger: Ledger) -> None:
    instance_in(ledger, state)
    with pytest.raises(LostRace, match=r"The server \(default\) of ann is being started already"):
        request(ledger, "i2", at_most=5)
    assert [instance.id for instance in ledger.read(instances.unended)] == ["i1"]


@pytest.mark.parametrize("state", [InstanceState.STOPPING, InstanceState.ENDED])
def test_an_instance_that_is_being_wiped_blocks_no_start(state: InstanceState, ledger: Ledger) -> None:
    instance_in(ledger, state)
    assert request(ledger, "i2").state is InstanceState.STARTING
    request(ledger, "i3", user="bob")
    request(ledger, "i4", server="second", at_most=2)


def test_a_user_has_no_more_instances_than_allowed(ledger: Ledger) -> None:
    request(ledger, "i1", server="a", at_most=2)
    request(ledger, "i2", server="b", at_most=2)
    with pytest.raises(TooMany, match="You already have 2 running notebooks"):
        request(ledger, "i3", server="c", at_most=2)
    with pytest.raises(TooMany, match="You already have a running notebook"):
        request(ledger, "i3", server="c", at_most=1)
    request(ledger, "i3", user="bob", server="c", at_most=1)
    assert [instance.id for instance in ledger.read(instances.unended, "ann")] == ["i1", "i2"]


def test_strange_names_are_kept_as_they_are(ledger: Ledger) -> None:
    for number, name in enumerate(["", "猫", "a'; DROP TABLE instances; --", "😀" * 60, "x" * 255, "A", "a", "full"]):
        request(ledger, f"i{number}", user=name, person=f"p{number}")
        assert ledger.read(instances.get, f"i{number}").user_name == name
        with pytest.raises(LostRace):
            request(ledger, "again", user=name, person=f"p{number}")


def test_the_latest_instance_of_a_server_is_found(ledger: Ledger) -> None:
    assert ledger.read(instances.latest, "ann", "") is None
    instance_in(ledger, InstanceState.ENDED)
    request(ledger, "i2", at=9)
    request(ledger, "i3", server="other", at=20, at_most=9)
    latest = ledger.read(instances.latest, "ann", "")
    assert latest is not None
    assert latest.id == "i2"
    last = ledger.read(instances.last_ended, "ann")
    assert last is not None
    assert last.id == "i1"
    assert ledger.read(instances.last_ended, "bob") is None


# Slots


def test_the_oldest_warm_slot_is_reserved_first(ledger: Ledger) -> None:
    for name, at in (("young", 5), ("old", 1), ("middle", 3)):
        slot_in(ledger, SlotState.WARM, name, at=at)
    given = [claim(ledger, f"i{number}") for number in range(4)]
    assert [slot.id if slot else None for slot in given] == ["old", "middle", "young", None]
    first = given[0]
    assert first is not None
    assert (first.state, first.holder_id) == (SlotState.CLAIMED, "i0")


def test_an_unassigned_slot_in_creation_is_reserved_when_none_is_warm(ledger: Ledger) -> None:
    intend(ledger, "making", at=0)
    slot_in(ledger, SlotState.WARM, "warm", at=5)
    warm, making = claim(ledger, "i1"), claim(ledger, "i2")
    assert warm is not None
    assert making is not None
    assert (warm.id, making.id) == ("warm", "making")
    assert (making.state, making.holder_id) == (SlotState.CREATING, "i2")
    assert claim(ledger, "i3") is None


@pytest.mark.parametrize("state", [SlotState.CLAIMED, SlotState.DESTROYING, SlotState.GONE])
def test_assigned_and_ending_slots_are_not_reserved(state: SlotState, ledger: Ledger) -> None:
    slot_in(ledger, state)
    assert claim(ledger, "i2") is None


def test_a_slot_of_another_flavor_or_image_is_not_reserved(ledger: Ledger) -> None:
    slot_in(ledger, SlotState.WARM)
    assert claim(ledger, "i2", flavor="large") is None
    assert claim(ledger, "i2", image="torch") is None


def test_a_slot_that_was_just_reserved_cannot_be_withdrawn(ledger: Ledger) -> None:
    slot_in(ledger, SlotState.WARM)
    assert claim(ledger, "i1")
    with pytest.raises(LostRace, match=r"The slot s1 is somebody's\."):
        ledger.write(slots.withdraw, "s1")


def test_all_slots_but_gone_ones_take_up_room(ledger: Ledger) -> None:
    for number, state in enumerate(SlotState):
        slot_in(ledger, state, f"s{number}", at=number)
    found = ledger.read(slots.occupying)
    assert [slot.state for slot in found] == [state for state in SlotState if state is not SlotState.GONE]
    assert [slot.id for slot in ledger.read(slots.of_holder, "i1")] == ["s2"]


# Progress and counting


def test_progress_is_read_from_the_beginning_or_after_a_position(ledger: Ledger) -> None:
    request(ledger)
    for step in (StartStep.REQUESTED, StartStep.SLOT_CREATING, StartStep.RUNNING):
        ledger.write(instances.add_event, "i1", step, now=later(1), params={"名": "值"})
    ledger.write(instances.add_event, "other", StartStep.FAILED, now=later(1))
    events = ledger.read(instances.events_of, "i1")
    assert [event.step for event in events] == [StartStep.REQUESTED, StartStep.SLOT_CREATING, StartStep.RUNNING]
    assert events[0].params == {"名": "值"}
    assert events[0].at == later(1)
    assert ledger.read(instances.events_of, "i1", after=events[1].seq) == events[2:]
    assert ledger.read(instances.events_of, "i1", after=events[2].seq) == []


def test_every_change_increases_the_revision_and_reads_do_not(ledger: Ledger) -> None:
    seen = [ledger.read(revision)]
    for change in (
        lambda: request(ledger),
        lambda: ledger.write(instances.add_event, "i1", StartStep.REQUESTED, now=later(0)),
        lambda: slot_in(ledger, SlotState.WARM),
        lambda: claim(ledger, "i1"),
        lambda: ledger.write(slots.mark_destroying, "s1", reason=EndReason.STOPPED),
    ):
        change()
        seen.append(ledger.read(revision))
    assert seen == sorted(set(seen))
    ledger.read(instances.unended)
    assert claim(ledger, "i2") is None
    assert ledger.read(revision) == seen[-1]


def test_old_ended_instances_are_deleted_with_their_progress(ledger: Ledger) -> None:
    instance_in(ledger, InstanceState.ENDED, "old")
    instance_in(ledger, InstanceState.STOPPING, "ending")
    for name in ("old", "ending"):
        ledger.write(instances.add_event, name, StartStep.REQUESTED, now=later(0))
    assert ledger.write(instances.prune, before=later(3)) == 0, "it ended at that very moment, not before"
    assert ledger.write(instances.prune, before=later(4)) == 1
    assert [instance.id for instance in ledger.read(instances.unended)] == ["ending"]
    assert ledger.read(instances.latest, "ann", "").id == "ending"  # type: ignore[union-attr]
    assert ledger.read(instances.events_of, "old") == []
    assert len(ledger.read(instances.events_of, "ending")) == 1


def test_old_gone_slots_are_deleted(ledger: Ledger) -> None:
    for number, state in enumerate(SlotState):
        slot_in(ledger, state, f"s{number}")
    assert ledger.write(slots.prune, before=later(2)) == 0
    assert ledger.write(slots.prune, before=later(3)) == 1
    assert len(ledger.read(slots.occupying)) == 4


# Back-off


def fail(ledger: Ledger, name: str, *, at: float, flavor: str = "small") -> None:
    intend(ledger, name, at=at, flavor=flavor)
    ledger.write(slots.mark_destroying, name, reason=EndReason.START_FAILED)


def test_failures_are_those_since_the_last_slot_that_became_ready(ledger: Ledger) -> None:
    fail(ledger, "bad1", at=1)
    slot_in(ledger, SlotState.WARM, "good", at=2)
    fail(ledger, "bad2", at=3)
    fail(ledger, "bad3", at=4)
    intend(ledger, "unknown", at=5)
    assert [slot.id for slot in ledger.read(slots.failures, since=later(0))] == ["bad3", "bad2"]
    assert [slot.id for slot in ledger.read(slots.failures, since=later(3.5))] == ["bad3"]


def test_a_slot_given_up_before_it_was_ready_is_no_failure(ledger: Ledger) -> None:
    intend(ledger, "s1")
    ledger.write(slots.withdraw, "s1")
    assert ledger.read(slots.failures, since=later(-1)) == []


def no_room(ledger: Ledger, name: str, *, at: float, flavor: str = "small") -> None:
    """A slot that the backend had no place for, given up at once."""
    intend(ledger, name, flavor=flavor, at=at)
    ledger.write(slots.mark_destroying, name, reason=EndReason.NO_ROOM)
    ledger.write(slots.mark_gone, name, now=later(at + 1))


def test_a_flavor_has_no_room_if_its_last_slot_found_none(ledger: Ledger) -> None:
    slot_in(ledger, SlotState.GONE, "before", at=-20)
    assert ledger.read(slots.without_room, since=later(-60)) == set()
    no_room(ledger, "s1", at=0)
    no_room(ledger, "s2", at=5, flavor="large")
    assert ledger.read(slots.without_room, since=later(-60)) == {"small", "large"}
    assert ledger.read(slots.without_room, since=later(3)) == {"large"}, "an old try tells nothing"
    slot_in(ledger, SlotState.WARM, "found", at=8)
    assert ledger.read(slots.without_room, since=later(-60)) == {"large"}, "the next try found room"


def test_room_is_tried_again_when_an_instance_ends(ledger: Ledger) -> None:
    no_room(ledger, "s1", at=0)
    slot_in(ledger, SlotState.GONE, "left", at=3)
    assert ledger.read(slots.without_room, since=later(-60)) == set()
