"""Warm slots: how many to make, and which to give up. Pure; the loop carries it out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from spawner.catalog import Catalog, Flavor, Image
from spawner.ledger import Slot, SlotState
from spawner.pool.backends.base import Backend
from spawner.pool.stock import room_for

LONGEST_BACKOFF = timedelta(minutes=5)


@dataclass(frozen=True)
class MakeSlot:
    """Create one warm slot."""

    flavor: Flavor
    image: Image


@dataclass(frozen=True)
class GiveUp:
    """Destroy a waiting slot that nobody needs."""

    slot_id: str


def decide(
    *, catalog: Catalog, backend: Backend, slots: Iterable[Slot], failures: Iterable[Slot], now: datetime
) -> list[MakeSlot | GiveUp]:
    """Bring every flavor's waiting slots (of the default image) to its target.

    `slots` are all that take up room, creations that the pool has not shown yet included, so nothing is made twice.
    `failures` are recent slots that never became ready, newest first: a template that fails backs off.
    """
    slots = list(slots)
    image = catalog.image(catalog.defaults.image)
    actions: list[MakeSlot | GiveUp] = []
    planned: list[Slot] = []  # takes room from the flavors that come after
    for flavor in catalog.flavors:
        waiting = _waiting(slots, flavor.id, image.id)
        target = 0 if backend.why_not(flavor, image) or not image.agent else flavor.warm
        actions += [GiveUp(slot.id) for slot in sorted(waiting, key=lambda slot: slot.created_at)[target:]]
        if _is_too_soon(catalog, slots, now) or _backs_off(flavor, image, failures, now):
            continue
        missing = target - len(waiting)
        room = room_for(catalog, flavor, [*slots, *planned], backend.memory())
        making = max(0, min(missing, room))
        actions += [MakeSlot(flavor, image)] * making
        planned += [_plan(flavor, image, now)] * making
    offered = {(flavor.id, known.id) for flavor in catalog.flavors for known in catalog.images}
    actions += [
        GiveUp(slot.id)
        for slot in slots
        if slot.instance_id is None
        and slot.state in (SlotState.WARM, SlotState.CREATING)
        and ((slot.flavor, slot.image) not in offered or slot.image != image.id)
    ]
    return actions


def _plan(flavor: Flavor, image: Image, now: datetime) -> Slot:
    return Slot("", flavor.id, image.id, SlotState.CREATING, None, now, None, None, None, None, None)


def _waiting(slots: list[Slot], flavor: str, image: str) -> list[Slot]:
    return [
        slot
        for slot in slots
        if (slot.flavor, slot.image) == (flavor, image)
        and slot.instance_id is None
        and slot.state in (SlotState.WARM, SlotState.CREATING)
    ]


def _is_too_soon(catalog: Catalog, slots: list[Slot], now: datetime) -> bool:
    """Somebody has just been given a slot, and their notebook needs the processor more than the next slot does."""
    pause = timedelta(seconds=catalog.limits.replenish_after_seconds)
    return any(slot.claimed_at is not None and now - slot.claimed_at < pause for slot in slots)


def _backs_off(flavor: Flavor, image: Image, failures: Iterable[Slot], now: datetime) -> bool:
    bad = [slot for slot in failures if (slot.flavor, slot.image) == (flavor.id, image.id)]
    if not bad:
        return False
    pause = min(LONGEST_BACKOFF, timedelta(seconds=2 ** min(len(bad), 10)))
    return now - bad[0].created_at < pause
