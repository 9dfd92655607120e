"""What can be had now: pure counting over the catalog and the slots that take up room."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from spawner.catalog import Catalog, Flavor, Image
from spawner.ledger.pool.rows import Slot, SlotState
from spawner.pool.backends.base import Backend, Unavailable


@dataclass(frozen=True)
class Capacity:
    """How many more instances of a flavor can start now; `warm` of them from a warm slot.

    `why_not` says why the backend cannot serve the flavor at all.
    """

    available: int
    warm: int
    why_not: Unavailable | None = None


def room_for(catalog: Catalog, flavor: Flavor, slots: Iterable[Slot], memory: int | None) -> int:
    """How many more slots of a flavor may be created, given those that take up room already."""
    slots = list(slots)
    room = flavor.limit - sum(slot.flavor == flavor.id for slot in slots)
    if memory is not None:
        reserved = {known.id: known.reserved for known in catalog.flavors}
        left = memory - sum(reserved.get(slot.flavor, 0) for slot in slots)
        room = min(room, left // max(1, flavor.reserved))
    return max(0, room)


def capacity_of(
    catalog: Catalog, backend: Backend, flavor: Flavor, slots: Iterable[Slot], *, without_room: Collection[str] = ()
) -> Capacity:
    """The stock of one flavor over all images. Slots of other flavors that wait for nobody count as room.

    `without_room` are flavors for which the backend had none just now, whatever the catalog's limits say.
    """
    why_not = backend.why_not(flavor)
    if why_not is not None:
        return Capacity(0, 0, why_not)
    slots = list(slots)
    usable = [slot for slot in slots if slot.flavor == flavor.id and is_unassigned(slot)]
    staying = [slot for slot in slots if slot.flavor == flavor.id or not is_unassigned(slot)]
    warm = sum(slot.state is SlotState.WARM for slot in usable)
    room = 0 if flavor.id in without_room else room_for(catalog, flavor, staying, backend.memory())
    return Capacity(available=len(usable) + room, warm=warm)


def slot_to_preempt(
    catalog: Catalog, flavor: Flavor, image: Image, slots: Iterable[Slot], memory: int | None
) -> Slot | None:
    """A slot that waits for nobody and gives its room to somebody who is here: the youngest of another kind.

    None where even all of them together would not make room: then none should be given up for nothing.
    """
    slots = list(slots)
    waiting = [slot for slot in slots if is_unassigned(slot) and (slot.flavor, slot.image) != (flavor.id, image.id)]
    staying = [slot for slot in slots if slot not in waiting]
    if room_for(catalog, flavor, staying, memory) < 1:
        return None
    return max(waiting, key=lambda slot: slot.created_at, default=None)


def is_unassigned(slot: Slot) -> bool:
    """Whether a slot is there, or on its way, for whoever comes next."""
    return slot.instance_id is None and slot.state in (SlotState.WARM, SlotState.CREATING)
