"""Ends that are written before their cause is known: see `SlotStatus.is_final`."""

from __future__ import annotations

from collections.abc import Iterable

from spawner.ledger import EndReason, Instance, InstanceState, Slot, SlotState

PROVISIONAL_REASONS = (EndReason.CRASHED, EndReason.OUT_OF_MEMORY, EndReason.OUT_OF_DISK, EndReason.LOST)
"""Reasons that an end may have until its cause is known."""


def is_noted_only(instance: Instance, slots: Iterable[Slot]) -> bool:
    """Whether an instance's end is written, but its slot is not being destroyed yet."""
    return (
        instance.state is InstanceState.STOPPING
        and instance.reason in PROVISIONAL_REASONS
        and any(slot.state is SlotState.CLAIMED and slot.instance_id == instance.id for slot in slots)
    )
