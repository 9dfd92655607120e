"""The rows of a ledger and the slots of a backend, as `decide` of the reconciliation reads them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import timedelta

from spawner.catalog import Limits
from spawner.ledger import Instance, InstanceState, Slot, SlotState
from spawner.pool.backends.base import SlotStatus
from spawner.steward.reconcile import (
    Action,
    DestroySlot,
    EndInstance,
    MarkWarm,
    NoteEnd,
    decide,
)
from tests.unit import make
from tests.unit.make import NOW

LIMITS = Limits(start_seconds=60)


@dataclass
class PoolState:
    """The rows of the ledger and the slots of the backend at `NOW`."""

    slots: dict[str, Slot] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    found: dict[str, SlotStatus] = field(default_factory=dict)

    def decide(self, may_end: Collection[str] = ()) -> list[Action]:
        return list(
            decide(
                slots=self.slots.values(),
                instances=self.instances.values(),
                found=self.found,
                now=NOW,
                limits=LIMITS,
                may_end=may_end,
            )
        )

    def apply(self, actions: list[Action]) -> None:
        """Apply each action as the steward does, with every call successful."""
        for action in actions:
            match action:
                case MarkWarm(slot_id):
                    if self.slots[slot_id].state is SlotState.CREATING:
                        self.slots[slot_id] = replace(self.slots[slot_id], state=SlotState.WARM)
                case DestroySlot(slot_id):
                    self._remove(slot_id)
                case NoteEnd(instance_id, reason):
                    instance = self.instances[instance_id]
                    self.instances[instance_id] = replace(instance, state=InstanceState.STOPPING, reason=reason)
                case EndInstance(instance_id):
                    self.instances.pop(instance_id, None)
                    for slot in list(self.slots.values()):
                        if slot.holder_id == instance_id:
                            self._remove(slot.id)

    def _remove(self, slot_id: str) -> None:
        self.slots.pop(slot_id, None)
        self.found.pop(slot_id, None)


def state_with(
    *, slot: Slot | None = None, instance: Instance | None = None, status: SlotStatus | None = None
) -> PoolState:
    """A state of one slot, one instance or both."""
    return PoolState(
        {slot.id: slot} if slot else {},
        {instance.id: instance} if instance else {},
        {status.id: status} if status else {},
    )


def running(**changes: object) -> Instance:
    return make.instance("i", slot_id="s", ends_at=NOW + timedelta(seconds=1), **changes)


CLAIMED = make.slot("s", SlotState.CLAIMED, holder_id="i")
