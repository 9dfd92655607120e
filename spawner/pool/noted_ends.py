"""Ends that are written before their cause is known: see `SlotStatus.is_final`."""

from __future__ import annotations

from collections.abc import Iterable

from spawner.ledger import EndReason, Instance, InstanceState, Slot, SlotState
from spawner.pool.backends.base import SlotStatus

PROVISIONAL_REASONS = (EndReason.CRASHED, EndReason.OUT_OF_MEMORY, EndReason.OUT_OF_DISK, EndReason.LOST)
"""Reasons that an end may have until its cause is known."""


def reason_of_running(status: SlotStatus) -> EndReason:
    """Why the slot of an instance that ran has died.

    Where the backend was not told that the slot is assigned, it takes the end for a failed start.
    """
    if status.reason is None or status.reason is EndReason.START_FAILED:
        return EndReason.CRASHED
    return status.reason


def is_noted_only(instance: Instance, slots: Iterable[Slot]) -> bool:
    """Whether an instance's end is written, but its slot is not being destroyed yet."""
    return (
        instance.state is InstanceState.STOPPING
        and instance.reason in PROVISIONAL_REASONS
        and any(slot.state is SlotState.CLAIMED and slot.holder_id == instance.id for slot in slots)
    )
