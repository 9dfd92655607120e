"""How many instances can start now. Pure: counts over the catalog and the slots that take up room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from spawner.catalog import Catalog, Flavor, Image
from spawner.ledger.pool.rows import Slot, SlotState
from spawner.pool.backends.base import Backend, Unavailable
from spawner.pool.templates import is_current, version_of


@dataclass(frozen=True)
class Capacity:
    """How many more instances of a flavor can start now; `warm` of them from a warm slot.

    `why_not` says why the backend cannot serve the flavor at all.
    """

    available: int
    warm: int
    why_not: Unavailable | None = None


class Room:
    """The room that slots leave: a count per flavor, and the memory that all flavors share. Constant time per slot.

    `memory` is the backend's, in bytes; None where flavors share none.
    """

    def __init__(self, catalog: Catalog, slots: Iterable[Slot], memory: int | None) -> None:
        self._reserved = {flavor.id: flavor.reserved for flavor in catalog.flavors}
        self._taken: Counter[str] = Counter()
        self._memory = memory
        for slot in slots:
            self.take(slot.flavor)

    @classmethod
    def beside(cls, catalog: Catalog, taken: Mapping[str, int], memory: int | None) -> Room:
        """The room beside so many slots of each flavor."""
        room = cls(catalog, (), memory)
        for flavor_id, count in taken.items():
            room.take(flavor_id, count)
        return room

    def take(self, flavor_id: str, count: int = 1) -> None:
        """Count more slots of a flavor, which may be none of the catalog's."""
        self._taken[flavor_id] += count
        if self._memory is not None:
            self._memory -= self._reserved.get(flavor_id, 0) * count

    def is_at_limit(self, flavor: Flavor) -> bool:
        """Whether there are as many slots of a flavor as its limit allows."""
        return self._taken[flavor.id] >= flavor.limit

    def left_for(self, flavor: Flavor) -> int:
        """How many more slots of a flavor may be created."""
        room = flavor.limit - self._taken[flavor.id]
        if self._memory is not None:
            room = min(room, self._memory // max(1, flavor.reserved))
        return max(0, room)


def room_for(catalog: Catalog, flavor: Flavor, slots: Iterable[Slot], memory: int | None) -> int:
    """How many more slots of a flavor may be created beside these. `memory` is the backend's, in bytes."""
    return Room(catalog, slots, memory).left_for(flavor)


def capacity_of(
    catalog: Catalog, backend: Backend, flavor: Flavor, slots: Iterable[Slot], *, without_room: Collection[str] = ()
) -> Capacity:
    """The capacity for one flavor over all images. Unassigned slots of other flavors count as room.

    `without_room` are flavors for which the backend had no room within `limits.no_room_seconds`.
    """
    why_not = backend.why_not(flavor)
    if why_not is not None:
        return Capacity(0, 0, why_not)
    slots = list(slots)
    usable = [slot for slot in slots if slot.flavor == flavor.id and is_unassigned(slot)]
    staying = [slot for slot in slots if slot.flavor == flavor.id or not is_unassigned(slot)]
    warm = sum(_starts_at_once(catalog, backend, flavor, slot) for slot in usable)
    room = 0 if flavor.id in without_room else room_for(catalog, flavor, staying, backend.memory())
    return Capacity(available=len(usable) + room, warm=warm)


def _starts_at_once(catalog: Catalog, backend: Backend, flavor: Flavor, slot: Slot) -> bool:
    """Whether a warm slot was made from the present template: any other is given to nobody."""
    image = next((one for one in catalog.images if one.id == slot.image), None)
    if slot.state is not SlotState.WARM or image is None:
        return False
    return slot.version is None or is_current(slot, version_of(catalog, backend, flavor, image))


def slot_to_preempt(
    catalog: Catalog,
    flavor: Flavor,
    image: Image,
    slots: Iterable[Slot],
    memory: int | None,
    *,
    version: str | None = None,
) -> Slot | None:
    """The unassigned slot to destroy for a start: the youngest of another flavor, image or version.

    None where destroying all of them would not make room.
    """
    slots = list(slots)

    def serves(slot: Slot) -> bool:
        return (slot.flavor, slot.image) == (flavor.id, image.id) and (version is None or is_current(slot, version))

    waiting = [slot for slot in slots if is_unassigned(slot) and not serves(slot)]
    staying = [slot for slot in slots if slot not in waiting]
    if room_for(catalog, flavor, staying, memory) < 1:
        return None
    return max(waiting, key=lambda slot: slot.created_at, default=None)


def is_unassigned(slot: Slot) -> bool:
    """Whether a slot is warm, or becomes warm, and no instance or ticket holds it."""
    return slot.holder_id is None and slot.state in (SlotState.WARM, SlotState.CREATING)
