"""Which warm slots to create and which to remove. Pure: `spawner.steward.runner` carries the actions out.

`spawner.pool.warm.targets` computes how many slots of each flavor and image should be warm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from spawner.catalog import Catalog, Flavor, Image
from spawner.ledger import Slot, SlotState, Ticket
from spawner.pool.admin.settings import AdminSettings
from spawner.pool.backends.base import Backend
from spawner.pool.capacity import is_unassigned, room_for
from spawner.pool.templates import is_current, version_of
from spawner.pool.warm.demand import NO_DEMAND, Demand
from spawner.pool.warm.targets import back_off, warm_targets


@dataclass(frozen=True)
class CreateSlot:
    """Create one warm slot."""

    flavor: Flavor
    image: Image


@dataclass(frozen=True)
class RemoveSlot:
    """Destroy an unassigned slot that exceeds its target, or that is too old."""

    slot_id: str


Action = CreateSlot | RemoveSlot


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
) -> list[Action]:
    """Bring the unassigned slots of every flavor and image to their target.

    `slots` are all slots that take up room, with those that the backend does not list yet, so none is created twice.
    `failures` are recent slots that never became ready, newest first: creation of their kind backs off.
    `tickets` are the waiting ones. No slot is removed twice.
    """
    slots, failures = list(slots), list(failures)
    targets = warm_targets(
        catalog, backend, demand=demand, controls=controls or AdminSettings({}), tickets=tickets, now=now
    )
    replenishment = _Replenishment(catalog, backend, slots, failures, now)
    actions: list[Action] = []
    for (flavor_id, image_id), target in targets.items():
        actions += replenishment.reach(catalog.flavor(flavor_id), catalog.image(image_id), target.slots)
    actions += [
        RemoveSlot(slot.id) for slot in slots if is_unassigned(slot) and (slot.flavor, slot.image) not in targets
    ]
    return _without_repeated_removals(actions)


@dataclass(frozen=True)
class _Replenishment:
    """One pass over all targets: a slot planned for one target takes up room that later targets cannot use."""

    catalog: Catalog
    backend: Backend
    slots: list[Slot]
    failures: list[Slot]
    now: datetime
    planned: list[Slot] = field(default_factory=list)

    def reach(self, flavor: Flavor, image: Image, target: int) -> Iterator[Action]:
        """The removals and creations for one flavor and image."""
        unassigned = _unassigned(self.slots, flavor.id, image.id)
        version = version_of(self.catalog, self.backend, flavor, image) if unassigned else ""
        fresh = [slot for slot in unassigned if self._is_fresh(slot, version)]
        stale = [slot for slot in unassigned if slot not in fresh]
        yield from map(_remove, fresh[target:])
        yield from map(_remove, _replaced(fresh, stale, target))
        if back_off(flavor.id, image.id, self.failures, self.now) is None:
            missing = target - len(fresh) - self._claimed_just_now(flavor, image)
            yield from self._fill(flavor, image, missing=missing, stale=stale)

    def _fill(self, flavor: Flavor, image: Image, *, missing: int, stale: list[Slot]) -> Iterator[Action]:
        if stale:
            missing = min(missing, 1)  # stale slots are replaced one at a time
        room = room_for(self.catalog, flavor, [*self.slots, *self.planned], self.backend.memory())
        if missing > 0 and room < 1 and stale:
            yield _remove(stale[0])
        for _ in range(min(missing, room)):
            self.planned.append(Slot.planned(flavor.id, image.id, holder_id=None, created_at=self.now))
            yield CreateSlot(flavor, image)

    def _claimed_just_now(self, flavor: Flavor, image: Image) -> int:
        """How many warm slots of this kind were claimed within `limits.replenish_after_seconds`.

        Each is replaced after a pause of its own, because its notebook gets the processor first. So a stream of starts
        delays the refill and does not prevent it. Slots that were made for a start are not replaced.
        """
        pause = timedelta(seconds=self.catalog.limits.replenish_after_seconds)
        return sum(
            (slot.flavor, slot.image) == (flavor.id, image.id)
            and slot.claimed_at is not None
            and self.now - slot.claimed_at < pause
            and slot.warm_at != slot.claimed_at
            for slot in self.slots
        )

    def _is_fresh(self, slot: Slot, version: str) -> bool:
        """Whether a slot was made from the present template and is younger than `limits.warm_hours`."""
        return is_current(slot, version) and self.now - slot.created_at < timedelta(
            hours=self.catalog.limits.warm_hours
        )


def _replaced(fresh: list[Slot], stale: list[Slot], target: int) -> list[Slot]:
    """Stale slots to remove: all once enough fresh ones are warm; until then those beyond the target."""
    ready = sum(slot.state is SlotState.WARM for slot in fresh)
    return stale if ready >= target else stale[max(0, target - len(fresh)) :]


def _remove(slot: Slot) -> RemoveSlot:
    return RemoveSlot(slot.id)


def _without_repeated_removals(actions: list[Action]) -> list[Action]:
    seen: set[str] = set()
    result: list[Action] = []
    for action in actions:
        if isinstance(action, RemoveSlot):
            if action.slot_id in seen:
                continue
            seen.add(action.slot_id)
        result.append(action)
    return result


def _unassigned(slots: Iterable[Slot], flavor: str, image: str) -> list[Slot]:
    """Oldest first."""
    found = [slot for slot in slots if (slot.flavor, slot.image) == (flavor, image) and is_unassigned(slot)]
    return sorted(found, key=lambda slot: slot.created_at)
