"""Reconciles the ledger with the backend: slots that the ledger does not know, and rows whose slot is gone.

`decide` is pure: it maps one snapshot to actions. Each action is idempotent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from spawner.catalog import Limits
from spawner.ledger import EndReason, Instance, InstanceState, Slot, SlotState, Ticket
from spawner.pool.backends.base import Phase, Slots, SlotStatus
from spawner.pool.noted_ends import is_noted_only, reason_of_running

CREATE_GRACE = timedelta(seconds=15)
"""How long after its intent a slot may be missing from the backend before it counts as never created."""
END_CAUSE_TIMEOUT = timedelta(seconds=10)
"""How long to wait for the cause of an instance's end before the provisional reason stays. A kubelet writes the cause
within two seconds, or never: its node is gone, or another container of the pod still runs."""
PLATFORM_REASONS = (EndReason.EVICTED, EndReason.LOST)
"""Ends by the platform: a slot that is lost so during creation is no failure of its flavor or image."""
ABSENT = "it was not in the pool any more"
START_GRACE = timedelta(seconds=330)
"""Longer than JupyterHub's own limit for a start (300 s): nothing continues an older one."""


@dataclass(frozen=True)
class DestroySlot:
    """Destroy a slot, whether or not the ledger has it."""

    slot_id: str
    reason: EndReason
    detail: str | None = None


@dataclass(frozen=True)
class MarkWarm:
    """An unassigned slot is ready."""

    slot_id: str


@dataclass(frozen=True)
class NoteEnd:
    """Write that an instance has ended, with a provisional reason. Its slot stays until the cause is known."""

    instance_id: str
    reason: EndReason
    detail: str | None = None
    died_at: datetime | None = None


@dataclass(frozen=True)
class EndInstance:
    """End an instance, or finish ending it."""

    instance_id: str
    reason: EndReason
    detail: str | None = None
    slot_id: str | None = None
    """The slot whose absence is the reason: confirm it with an uncached read."""
    corrects: bool = False
    """Whether `NoteEnd` wrote the end before, and this is its cause."""
    died_at: datetime | None = None


@dataclass(frozen=True)
class AssignSlot:
    """Mark a slot as assigned in the backend, because its start could not."""

    slot: Slot
    ends_at: datetime


Action = DestroySlot | MarkWarm | NoteEnd | EndInstance | AssignSlot


def decide(
    *,
    slots: Iterable[Slot],
    instances: Iterable[Instance],
    tickets: Iterable[Ticket] = (),
    found: Slots,
    now: datetime,
    limits: Limits,
    closes_at: datetime | None = None,
    may_end: Collection[str] = (),
    cause_pending: Mapping[str, datetime] | None = None,
    requires_user_namespaces: Collection[str] = (),
) -> Iterator[Action]:
    """The actions that reconcile ledger and backend.

    `slots`, `instances` and `tickets` (the open ones) must be read *after* `found`: a row is written before its slot is
    created, so a found slot without a row is an orphan. From `closes_at` on no instance runs. `may_end`: ids of
    instances that end at their deadline now (`spawner.pool.time.deadlines`). `cause_pending`: for slots that ended
    without a final cause, when the end was first seen. `requires_user_namespaces`: flavors for which
    the catalog asks for user namespaces, whatever nodes support.
    """
    held = {ticket.id for ticket in tickets}
    known = {slot.id: slot for slot in slots}
    by_id = {instance.id: instance for instance in instances}
    for slot_id in found:
        if slot_id not in known:
            yield DestroySlot(slot_id, EndReason.ORPHANED)
    for slot in known.values():
        is_held = slot.holder_id in held
        action = (
            _about_held(slot, found)
            if is_held
            else _about_slot(slot, by_id, found, now, limits, requires_user_namespaces)
        )
        if action is not None:
            yield action
    for instance in by_id.values():
        its_slot = known.get(instance.slot_id or "")
        ending = _about_instance(instance, its_slot, found, now, closes_at, may_end, cause_pending or {})
        if ending is not None:
            yield ending


def _about_slot(
    slot: Slot,
    instances: Mapping[str, Instance],
    found: Slots,
    now: datetime,
    limits: Limits,
    requires_user_namespaces: Collection[str],
) -> Action | None:
    status = found.get(slot.id)
    age = now - slot.created_at
    start = timedelta(seconds=limits.start_seconds)
    if slot.state is SlotState.DESTROYING:
        return DestroySlot(slot.id, slot.reason or EndReason.ORPHANED)
    if slot.holder_id is not None:
        # Ending the instance destroys its slot.
        holder = instances.get(slot.holder_id)
        if holder is None:
            return DestroySlot(slot.id, EndReason.ORPHANED)
        if holder.state is InstanceState.RUNNING and holder.ends_at and status and _is_unmarked(status):
            return AssignSlot(slot, holder.ends_at)
        return None
    if status is None:
        is_fresh = slot.state is SlotState.CREATING and age < CREATE_GRACE
        return None if is_fresh else DestroySlot(slot.id, EndReason.LOST, ABSENT)
    if status.phase is Phase.DEAD:
        reason = status.reason or EndReason.LOST
        # Where the catalog requires user namespaces that no node supports, every slot fails: count it and back off.
        is_its_own = reason not in PLATFORM_REASONS or (
            status.lacks_user_namespace and slot.flavor in requires_user_namespaces
        )
        if slot.state is SlotState.CREATING and is_its_own:
            reason = EndReason.START_FAILED
        return DestroySlot(slot.id, reason, status.detail or None)
    if status.was_assigned:
        # The ledger was restored from a backup of before the slot's assignment. It must not be assigned again.
        return DestroySlot(slot.id, EndReason.ORPHANED)
    if slot.state is SlotState.CREATING:
        if status.phase is Phase.READY:
            return MarkWarm(slot.id)
        if status.no_room and age > timedelta(seconds=limits.schedule_seconds):
            return DestroySlot(slot.id, EndReason.NO_ROOM, status.no_room)
        if age > start:
            return DestroySlot(slot.id, EndReason.START_FAILED, f"not ready after {start.seconds} s")
    return None


def _about_held(slot: Slot, found: Slots) -> Action | None:
    """A slot that is reserved for a called ticket. It was warm, or is being created; a warm one must stay so."""
    if slot.state is SlotState.DESTROYING:
        return DestroySlot(slot.id, slot.reason or EndReason.ORPHANED)
    if slot.state is not SlotState.CLAIMED:
        return None
    status = found.get(slot.id)
    if status is None or status.phase is Phase.DEAD:
        return DestroySlot(slot.id, (status and status.reason) or EndReason.LOST, ABSENT if status is None else None)
    return None


def _is_unmarked(status: SlotStatus) -> bool:
    """Whether the backend was not told that a slot in use is assigned."""
    return status.phase is Phase.READY and not status.assigned


def cause_pending_since(found: Slots, before: Mapping[str, datetime], now: datetime) -> dict[str, datetime]:
    """When each end without a final cause was first seen. `before` is the result of the previous round."""
    return {
        slot_id: before.get(slot_id, now)
        for slot_id, status in found.items()
        if status.phase is Phase.DEAD and not status.is_final
    }


def _about_instance(
    instance: Instance,
    slot: Slot | None,
    found: Slots,
    now: datetime,
    closes_at: datetime | None,
    may_end: Collection[str],
    cause_pending: Mapping[str, datetime],
) -> NoteEnd | EndInstance | None:
    if instance.state is InstanceState.STOPPING:
        return _about_ending(instance, slot, found, now, cause_pending)
    if closes_at is not None and closes_at <= now:
        return EndInstance(instance.id, EndReason.MAINTENANCE)
    if instance.state is InstanceState.STARTING:
        is_abandoned = now - instance.requested_at > START_GRACE
        return EndInstance(instance.id, EndReason.LOST, "its start was abandoned") if is_abandoned else None
    status = found.get(instance.slot_id or "")
    if status is None:
        return EndInstance(instance.id, EndReason.LOST, ABSENT, slot_id=instance.slot_id)
    if status.phase is Phase.DEAD:
        reason, detail = reason_of_running(status), status.detail or None
        kind = NoteEnd if _cause_may_come(status, now, cause_pending) else EndInstance
        return kind(instance.id, reason, detail, died_at=status.died_at)
    if instance.id in may_end:
        return EndInstance(instance.id, EndReason.DEADLINE)
    return None


def _cause_may_come(status: SlotStatus, now: datetime, cause_pending: Mapping[str, datetime]) -> bool:
    return not status.is_final and now - cause_pending.get(status.id, now) < END_CAUSE_TIMEOUT


def _about_ending(
    instance: Instance, slot: Slot | None, found: Slots, now: datetime, cause_pending: Mapping[str, datetime]
) -> EndInstance | None:
    """Finish an end. Where `NoteEnd` wrote it, destroy the slot only when the cause is known."""
    status = found.get(instance.slot_id or "")
    if slot is not None and is_noted_only(instance, [slot]):
        if status is None and instance.reason is EndReason.CRASHED:  # provisional; any other reason is the cause
            return EndInstance(instance.id, EndReason.LOST, ABSENT, corrects=True)
        if status is not None and status.phase is Phase.DEAD:
            if _cause_may_come(status, now, cause_pending):
                return None
            reason, detail = reason_of_running(status), status.detail or None
            return EndInstance(instance.id, reason, detail, corrects=True, died_at=status.died_at)
    return EndInstance(instance.id, instance.reason or EndReason.STOPPED)
