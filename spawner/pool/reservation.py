"""The slot of a start: the one that admission reserved, and the wait for room while other slots end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sqlalchemy import Connection

from spawner.errors import NoRoom
from spawner.ledger import EndReason, Slot, SlotState
from spawner.ledger.pool import slots
from spawner.pool.capacity import is_unassigned, room_for
from spawner.pool.options import Choice
from spawner.pool.pool import Pool
from spawner.pool.templates import is_current, version_of

MAX_WAIT_SECONDS = 120.0
"""How long a start waits for slots that are being destroyed."""
POLL_SECONDS = 0.1
"""Between reads of the ledger, which has no events across processes."""


@dataclass(frozen=True)
class Reservation:
    """A slot reserved for an instance. `is_new`: it may be a row only, and the caller creates it."""

    slot: Slot
    is_new: bool


async def reserve_slot(pool: Pool, choice: Choice, instance_id: str) -> Reservation:
    """The slot that admission reserved; another one where that slot has failed. Raises `NoRoom`."""

    def reserve(connection: Connection) -> Slot:
        version = version_of(pool.catalog, pool.backend, choice.flavor, choice.image)
        for slot in slots.of_holder(connection, instance_id):
            if slot.state in (SlotState.CREATING, SlotState.CLAIMED):
                if is_current(slot, version):
                    return slot
                slots.mark_destroying(connection, slot.id, reason=EndReason.SURPLUS)  # the catalog has changed since
        return pool.admission.reserve(connection, flavor=choice.flavor.id, image=choice.image.id, holder=instance_id)

    slot = await pool.ledger.awrite(reserve)
    is_new = slot.state is SlotState.CREATING
    if is_new:
        await _wait_for_room(pool, choice, slot)
    return Reservation(slot, is_new)


async def _wait_for_room(pool: Pool, choice: Choice, slot: Slot) -> None:
    """Wait until enough of the slots that are being destroyed are gone."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + MAX_WAIT_SECONDS
    is_first_read = True
    while True:
        others = [other for other in await pool.ledger.aread(slots.occupying) if other.id != slot.id]
        ending = [other for other in others if other.state is SlotState.DESTROYING]
        ahead = [other for other in others if not _comes_after(other, slot)]
        if not ending or room_for(pool.catalog, choice.flavor, ahead, pool.backend.memory()) >= 1:
            return
        if is_first_read:
            for other in ending:
                if other.reason is EndReason.SURPLUS:  # We preempted this slot, so we delete it.
                    await pool.destroy_slot_soon(other.id, EndReason.SURPLUS)
            is_first_read = False
        if loop.time() > deadline:
            raise NoRoom("Those who leave take too long.", details=f"slot {ending[0].id} has not ended")
        await asyncio.sleep(POLL_SECONDS)


def _comes_after(other: Slot, slot: Slot) -> bool:
    """Whether another slot is a row only, and waits for room behind this one."""
    is_row_only = other.state is SlotState.CREATING and not is_unassigned(other)
    return is_row_only and (other.created_at, other.id) > (slot.created_at, slot.id)
