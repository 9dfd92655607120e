"""Warm slots: how many to make, and which to give up. Pure; the loop carries it out.

`spawner.pool.warm.targets` says how many should wait. Nothing is kept warm at the cost of somebody who stands in line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from spawner.catalog import Catalog, Flavor, Image
from spawner.ledger import Slot, SlotState, Ticket
from spawner.pool.admin.settings import AdminSettings
from spawner.pool.backends.base import Backend
from spawner.pool.capacity import is_unassigned, room_for
from spawner.pool.warm.demand import NO_DEMAND, Demand
from spawner.pool.warm.targets import back_off, warm_targets


@dataclass(frozen=True)
class CreateSlot:
    """Create one warm slot."""

    flavor: Flavor
    image: Image


@dataclass(frozen=True)
class RemoveSlot:
    """Destroy a waiting slot that nobody needs, or that is too old."""

    slot_id: str


def decide(
    *,
    catalog: Catalog,
    backend: Backend,
    slots: Iterable[Slot],
    failures: Iterable[Slot],
    now: datetime,
    demand: Demand = NO_DEMAND,
    controls: AdminSettings | None = None,
    tickets: Iterable[Ticket] = (),
) -> list[CreateSlot | RemoveSlot]:
    """Bring the waiting slots of every flavor and image to their target.

    `slots` are all that take up room, creations that the pool has not shown yet included, so nothing is made twice.
    `failures` are recent slots that never became ready, newest first: a template that fails backs off.
    `tickets` are those of people who wait.
    """
    slots, failures, controls = list(slots), list(failures), controls or AdminSettings({})
    templates = warm_targets(catalog, backend, demand=demand, controls=controls, tickets=tickets, now=now)
    rests = is_paused_after_claim(catalog, slots, now)
    actions: list[CreateSlot | RemoveSlot] = []
    planned: list[Slot] = []  # takes room from the templates that come after
    for (flavor_id, image_id), template in templates.items():
        flavor, image = catalog.flavor(flavor_id), catalog.image(image_id)
        target, waiting = template.slots, _waiting(slots, flavor_id, image_id)
        fresh = [one for one in waiting if _is_fresh(one, backend.version(image), catalog, now)]
        stale = [one for one in waiting if one not in fresh]
        actions += [RemoveSlot(one.id) for one in fresh[target:]]
        # What is too old goes when its replacement is ready; one is replaced at a time.
        is_replaced = sum(one.state is SlotState.WARM for one in fresh) >= target
        actions += [RemoveSlot(one.id) for one in (stale if is_replaced else stale[max(0, target - len(fresh)) :])]
        if rests or back_off(flavor_id, image_id, failures, now) is not None:
            continue
        missing = target - len(fresh)
        if stale:
            missing = min(missing, 1)
        room = room_for(catalog, flavor, [*slots, *planned], backend.memory())
        if missing > 0 and room < 1 and stale:
            actions.append(RemoveSlot(stale[0].id))
        making = max(0, min(missing, room))
        actions += [CreateSlot(flavor, image)] * making
        planned += [Slot.planned(flavor.id, image.id, holder_id=None, created_at=now)] * making
    actions += [RemoveSlot(one.id) for one in slots if is_unassigned(one) and (one.flavor, one.image) not in templates]
    return _without_doubles(actions)


def is_paused_after_claim(catalog: Catalog, slots: Iterable[Slot], now: datetime) -> bool:
    """Somebody has just been given a slot, and their notebook needs the processor more than the next slot does."""
    pause = timedelta(seconds=catalog.limits.replenish_after_seconds)
    return any(slot.claimed_at is not None and now - slot.claimed_at < pause for slot in slots)


def _without_doubles(actions: list[CreateSlot | RemoveSlot]) -> list[CreateSlot | RemoveSlot]:
    seen: set[str] = set()
    result: list[CreateSlot | RemoveSlot] = []
    for action in actions:
        if isinstance(action, RemoveSlot):
            if action.slot_id in seen:
                continue
            seen.add(action.slot_id)
        result.append(action)
    return result


def _is_fresh(slot: Slot, version: str, catalog: Catalog, now: datetime) -> bool:
    """Whether a waiting slot is of the image as it is now, and has not waited for too long."""
    is_current = slot.version is None or slot.version == version
    return is_current and now - slot.created_at < timedelta(hours=catalog.limits.warm_hours)


def _waiting(slots: Iterable[Slot], flavor: str, image: str) -> list[Slot]:
    """Oldest first."""
    found = [one for one in slots if (one.flavor, one.image) == (flavor, image) and is_unassigned(one)]
    return sorted(found, key=lambda one: one.created_at)
