"""Getting a slot for somebody who is here: one that waits, or a new one where there is room, or room is made."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from sqlalchemy import Connection

from spawner.errors import LostRace, PoolFull
from spawner.ledger import EndReason, Slot, SlotState, slots
from spawner.pool.options import Choice
from spawner.pool.pool import Pool
from spawner.pool.stock import room_for, yields_room

LEAVING_SECONDS = 30.0
"""How long somebody waits for slots that are on their way out: to restart must not mean to find the pool full."""
LOOK_SECONDS = 0.1
"""Between looks whether one has left. The ledger has no event for it that crosses processes."""


@dataclass(frozen=True)
class Taken:
    """A slot that is now reserved for an instance. A new one is a row only: it is still to be created."""

    slot: Slot
    is_new: bool


async def take_slot(pool: Pool, choice: Choice, instance_id: str) -> Taken:
    """Reserve a waiting slot, atomically, or a new one. Raises `PoolFull`."""
    slot_id = pool.new_id()
    flavor, image = choice.flavor, choice.image

    def take(connection: Connection) -> Slot | None:
        now = pool.now()
        if image.agent:  # what knows no claim cannot wait for one
            waiting = slots.claim_waiting(
                connection, flavor=flavor.id, image=image.id, instance_id=instance_id, now=now
            )
            if waiting is not None:
                return waiting
        if room_for(pool.catalog, flavor, slots.occupying(connection), pool.backend.memory()) < 1:
            return None
        return slots.intend(
            connection, slot_id=slot_id, flavor=flavor.id, image=image.id, instance_id=instance_id, now=now
        )

    while (slot := await pool.ledger.awrite(take)) is None:
        await _make_room(pool, choice)
    return Taken(slot, is_new=slot.id == slot_id)


async def _make_room(pool: Pool, choice: Choice) -> None:
    """Wait for what is leaving, or let a slot of another kind that waits for nobody give way. Raises `PoolFull`."""
    occupying = await pool.ledger.aread(slots.occupying)
    memory = pool.backend.memory()
    leaving = [slot for slot in occupying if slot.state is SlotState.DESTROYING]
    staying = [slot for slot in occupying if slot.state is not SlotState.DESTROYING]
    # As many wait as will find room, and no more: a crowd that waits in vain would keep the ledger from everybody.
    if leaving and room_for(pool.catalog, choice.flavor, staying, memory) > pool.waiting_for_room:
        pool.waiting_for_room += 1
        try:
            await _wait_for_one_to_leave(pool, {slot.id for slot in leaving}, choice)
        finally:
            pool.waiting_for_room -= 1
        return
    gives_way = yields_room(pool.catalog, choice.flavor, choice.image, occupying, memory)
    if gives_way is None:
        raise full(choice)
    with contextlib.suppress(LostRace):  # somebody took it in the meantime: the caller looks again
        await pool.ledger.awrite(slots.withdraw, gives_way.id)
        await pool.destroy_slot(gives_way.id, EndReason.SURPLUS)


async def _wait_for_one_to_leave(pool: Pool, leaving: set[str], choice: Choice) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LEAVING_SECONDS
    while loop.time() < deadline:
        await asyncio.sleep(LOOK_SECONDS)
        if leaving - {slot.id for slot in await pool.ledger.aread(slots.occupying)}:
            return
    raise full(choice)


def full(choice: Choice) -> PoolFull:
    """The refusal of a pool that has lent out all that it may."""
    return PoolFull(
        "Everything of the shape {flavor} is lent out just now.",
        next_step="Try another shape, or come back when somebody has stopped.",
        flavor=choice.flavor.id,
    )


def no_room(choice: Choice, details: str) -> PoolFull:
    """The refusal of a cluster that has no machine for it, whatever the catalog promises."""
    return PoolFull(
        "No machine has room for the shape {flavor} just now.",
        next_step="Try another shape, or come back when somebody has stopped.",
        flavor=choice.flavor.id,
        details=details,
    )
