"""Why no more instances of a flavor can start, or fewer than its limit: the limit, or the pool's memory. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from spawner.catalog import Catalog, Flavor
from spawner.ledger.pool.rows import Slot
from spawner.pool.backends.base import Backend
from spawner.pool.capacity import capacity_of, is_unassigned


@dataclass(frozen=True)
class Shortage:
    """What is used up. `users`: how many slots of which flavors use it, the largest share first.

    `needed`, `used` and `total` are bytes of memory; of a limit they are numbers of slots.
    """

    is_memory: bool
    needed: int
    used: int
    total: int
    users: tuple[tuple[str, int], ...]


def shortage_of(
    catalog: Catalog, backend: Backend, flavor: Flavor, slots: Iterable[Slot], *, without_room: Collection[str] = ()
) -> Shortage | None:
    """None where one more can start, or where the backend itself says why not."""
    slots = list(slots)
    capacity = capacity_of(catalog, backend, flavor, slots, without_room=without_room)
    if capacity.available > 0 or capacity.why_not is not None or flavor.id in without_room:
        return None
    taken = Counter(slot.flavor for slot in slots if slot.flavor == flavor.id or not is_unassigned(slot))
    if taken[flavor.id] >= flavor.limit:
        return Shortage(False, 1, taken[flavor.id], flavor.limit, ((flavor.id, taken[flavor.id]),))
    return _of_memory(catalog, backend, flavor, taken)


def less_room(
    catalog: Catalog, backend: Backend, flavor: Flavor, slots: Iterable[Slot], *, without_room: Collection[str] = ()
) -> Shortage | None:
    """What has the memory, where more can start, but not as many as the limit says; else None."""
    slots = list(slots)
    capacity = capacity_of(catalog, backend, flavor, slots, without_room=without_room)
    in_use = sum(slot.flavor == flavor.id and not is_unassigned(slot) for slot in slots)
    if capacity.available == 0 or flavor.id in without_room or in_use + capacity.available >= flavor.limit:
        return None
    return _of_memory(catalog, backend, flavor, Counter(slot.flavor for slot in slots if not is_unassigned(slot)))


def _of_memory(catalog: Catalog, backend: Backend, flavor: Flavor, taken: Counter[str]) -> Shortage | None:
    memory = backend.memory()
    if memory is None:
        return None
    reserved = {one.id: one.reserved for one in catalog.flavors}
    shares = sorted(taken.items(), key=lambda pair: (-pair[1] * reserved.get(pair[0], 0), pair[0]))
    used = sum(count * reserved.get(name, 0) for name, count in shares)
    return Shortage(True, flavor.reserved, used, memory, tuple(shares))
