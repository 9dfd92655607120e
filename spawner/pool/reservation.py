"""The slot of a start: the one that is reserved for it, and the room for it where others are on their way out."""

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

MAX_WAIT_SECONDS = 120.0
"""How long a start waits for slots on their way out: its room is promised, and theirs to leave."""
POLL_SECONDS = 0.1
"""Between looks whether one has left. The ledger has no event for it that crosses processes."""


@dataclass(frozen=True)
class Reservation:
    """A slot that is reserved for an instance. One that `is_new` may be a row only: it is still to be created."""

    slot: Slot
    is_new: bool


async def reserve_slot(pool: Pool, choice: Choice, instance_id: str) -> Reservation:
    """The slot that admission has reserved, or where that one was bad, another. Raises `NoRoom`."""

    def take(connection: Connection) -> Slot:
        for slot in slots.of_holder(connection, instance_id):
            if slot.state in (SlotState.CREATING, SlotState.CLAIMED):
                return slot
        return pool.admission.reserve(connection, flavor=choice.flavor.id, image=choice.image.id, holder=instance_id)

    slot = await pool.ledger.awrite(take)
    is_new = slot.state is SlotState.CREATING
    if is_new:
        await _wait_for_room(pool, choice, slot)
    return Reservation(slot, is_new)


async def _wait_for_room(pool: Pool, choice: Choice, slot: Slot) -> None:
    """Wait until those who leave have left, as far as this slot needs their room."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + MAX_WAIT_SECONDS
    is_first_look = True
    while True:
        others = [one for one in await pool.ledger.aread(slots.occupying) if one.id != slot.id]
        leaving = [one for one in others if one.state is SlotState.DESTROYING]
        there = [one for one in others if not _comes_after(one, slot)]
        if not leaving or room_for(pool.catalog, choice.flavor, there, pool.backend.memory()) >= 1:
            return
        if is_first_look:
            for one in leaving:
                if one.reason is EndReason.SURPLUS:  # it gave way to us, so it is for us to see it off
                    await pool.destroy_slot_soon(one.id, EndReason.SURPLUS)
            is_first_look = False
        if loop.time() > deadline:
            raise NoRoom("Those who leave take too long.", details=f"slot {leaving[0].id} has not ended")
        await asyncio.sleep(POLL_SECONDS)


def _comes_after(other: Slot, slot: Slot) -> bool:
    """Whether another slot that is not there yet waits for its room behind this one."""
    is_row_only = other.state is SlotState.CREATING and not is_unassigned(other)
    return is_row_only and (other.created_at, other.id) > (slot.created_at, slot.id)
