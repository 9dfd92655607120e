"""Orphans, both ways: what the pool has and the ledger does not know, and what the ledger believes and is gone.

`decide` is pure: it looks at one moment and says what to do about it. Everything it says is safe to do twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from spawner.catalog import Limits
from spawner.ledger import EndReason, Instance, InstanceState, Slot, SlotState, Ticket
from spawner.pool.backends.base import Phase, Slots, SlotStatus
from spawner.pool.noted_ends import is_noted_only

CREATE_GRACE = timedelta(seconds=15)
"""How long a committed intent may take to be seen in the pool before it is taken for one that was never carried out."""
END_CAUSE_TIMEOUT = timedelta(seconds=10)
"""How long the cause of an instance's end is waited for before the first guess counts. A kubelet writes it within two
seconds; where it never comes (its node is gone, or another container of the pod goes on) the instance ends anyway."""
PLATFORM_REASONS = (EndReason.EVICTED, EndReason.LOST)
"""Endings by the platform: a slot that was being made and is lost so says nothing against its flavor or image."""
ABSENT = "it was not in the pool any more"
START_GRACE = timedelta(seconds=330)
"""A start that is older than JupyterHub's own limit (300 s) has nobody left who goes on with it."""


@dataclass(frozen=True)
class DestroySlot:
    """Destroy a slot; the ledger may or may not know it."""

    slot_id: str
    reason: EndReason
    detail: str | None = None


@dataclass(frozen=True)
class MarkWarm:
    """A slot that waits for nobody in particular is ready."""

    slot_id: str


@dataclass(frozen=True)
class NoteEnd:
    """Write that a loan is over, with the reason as it looks now; its slot stays until the cause is known."""

    instance_id: str
    reason: EndReason
    detail: str | None = None


@dataclass(frozen=True)
class EndInstance:
    """End a loan, or finish ending it."""

    instance_id: str
    reason: EndReason
    detail: str | None = None
    slot_id: str | None = None
    """Where the reason is that this slot was not found: make sure of that first."""
    corrects: bool = False
    """Whether its end was noted before, and this is the cause."""


@dataclass(frozen=True)
class AssignSlot:
    """Tell the pool until when a slot is somebody's; the start could not."""

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
    cause_pending: Mapping[str, datetime] | None = None,
    requires_user_namespaces: Collection[str] = (),
) -> Iterator[Action]:
    """What brings ledger and pool together.

    `slots`, `instances` and `tickets` (all that are not over) must have been read *after* `found`: a slot is in the
    ledger before it is in the pool, so what is found and not known is truly nobody's. From `closes_at` on nothing runs.
    `unsettled`: since when the ends of slots are known whose cause is not. `insists`: flavors for which the catalog
    asks for user namespaces, whatever nodes support.
    """
    held = {ticket.id for ticket in tickets}
    known = {slot.id: slot for slot in slots}
    loans = {instance.id: instance for instance in instances}
    for slot_id in found:
        if slot_id not in known:
            yield DestroySlot(slot_id, EndReason.ORPHANED)
    for slot in known.values():
        is_held = slot.instance_id in held
        action = (
            _about_held(slot, found)
            if is_held
            else _about_slot(slot, loans, found, now, limits, requires_user_namespaces)
        )
        if action is not None:
            yield action
    for instance in loans.values():
        its_slot = known.get(instance.slot_id or "")
        ending = _about_instance(instance, its_slot, found, now, closes_at, cause_pending or {})
        if ending is not None:
            yield ending


def _about_slot(
    slot: Slot,
    loans: dict[str, Instance],
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
    if slot.instance_id is not None:
        # Its instance decides, as long as there is one: ending it destroys the slot.
        loan = loans.get(slot.instance_id)
        if loan is None:
            return DestroySlot(slot.id, EndReason.ORPHANED)
        if loan.state is InstanceState.RUNNING and loan.ends_at and status and _is_lent_unknown_to_the_pool(status):
            return AssignSlot(slot, loan.ends_at)
        return None
    if status is None:
        is_fresh = slot.state is SlotState.CREATING and age < CREATE_GRACE
        return None if is_fresh else DestroySlot(slot.id, EndReason.LOST, ABSENT)
    if status.phase is Phase.DEAD:
        reason = status.reason or EndReason.LOST
        # Where the catalog insists on what its nodes cannot do, every slot fails: that counts, and backs off.
        is_its_own = reason not in PLATFORM_REASONS or (
            status.lacks_user_namespace and slot.flavor in requires_user_namespaces
        )
        if slot.state is SlotState.CREATING and is_its_own:
            reason = EndReason.START_FAILED
        return DestroySlot(slot.id, reason, status.detail or None)
    if slot.state is SlotState.CREATING:
        if status.phase is Phase.READY:
            return MarkWarm(slot.id)
        if status.no_room and age > timedelta(seconds=limits.schedule_seconds):
            return DestroySlot(slot.id, EndReason.NO_ROOM, status.no_room)
        if age > start:
            return DestroySlot(slot.id, EndReason.START_FAILED, f"not ready after {start.seconds} s")
    return None


def _about_held(slot: Slot, found: Slots) -> Action | None:
    """A slot that is reserved for somebody whose start has not begun. One that was warm must stay so."""
    if slot.state is SlotState.DESTROYING:
        return DestroySlot(slot.id, slot.reason or EndReason.ORPHANED)
    if slot.state is not SlotState.CLAIMED:
        return None
    status = found.get(slot.id)
    if status is None or status.phase is Phase.DEAD:
        return DestroySlot(slot.id, (status and status.reason) or EndReason.LOST, ABSENT if status is None else None)
    return None


def _is_lent_unknown_to_the_pool(status: SlotStatus) -> bool:
    return status.phase is Phase.READY and not status.assigned


def cause_pending_since(found: Slots, before: Mapping[str, datetime], now: datetime) -> dict[str, datetime]:
    """Since when each slot's end is known whose cause is not; `before` is what this said at the last look."""
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
        kind = NoteEnd if _cause_may_come(status, now, cause_pending) else EndInstance
        return kind(instance.id, status.reason or EndReason.CRASHED, status.detail or None)
    if instance.ends_at is not None and instance.ends_at <= now:
        return EndInstance(instance.id, EndReason.DEADLINE)
    return None


def _cause_may_come(status: SlotStatus, now: datetime, cause_pending: Mapping[str, datetime]) -> bool:
    return not status.is_final and now - cause_pending.get(status.id, now) < END_CAUSE_TIMEOUT


def _about_ending(
    instance: Instance, slot: Slot | None, found: Slots, now: datetime, cause_pending: Mapping[str, datetime]
) -> EndInstance | None:
    """Finish an end. Where it was only noted, its slot is not being destroyed yet: first the cause must be known."""
    status = found.get(instance.slot_id or "")
    if slot is not None and is_noted_only(instance, [slot]):
        if status is None and instance.reason is EndReason.CRASHED:  # a guess; any other reason was stated as the cause
            return EndInstance(instance.id, EndReason.LOST, ABSENT, corrects=True)
        if status is not None and status.phase is Phase.DEAD:
            if _cause_may_come(status, now, cause_pending):
                return None
            return EndInstance(instance.id, status.reason or EndReason.CRASHED, status.detail or None, corrects=True)
    return EndInstance(instance.id, instance.reason or EndReason.STOPPED)
