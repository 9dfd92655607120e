"""An end that is noted before its cause is known, and the cause that takes its place; on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from spawner.ledger import EndReason, Instance, InstanceState, Ledger, SlotState
from spawner.ledger.pool import instances, slots
from spawner.pool.pool import Pool
from tests.ledger.rows import later, request
from tests.unit import make


@dataclass
class Gone:
    """A backend whose `destroy` always succeeds."""

    destroyed: list[str] = field(default_factory=list)

    async def destroy(self, slot_id: str) -> None:
        self.destroyed.append(slot_id)


@pytest.fixture
def pool(ledger: Ledger) -> Pool:
    """The real one, but for what makes slots."""
    parts: dict[str, Any] = dict.fromkeys(("view", "session"))
    return Pool(
        catalog=make.catalog(),
        ledger=ledger,
        backend=Gone(),  # type: ignore[arg-type]
        master_key=b"",
        hub_epoch="1",
        now=lambda: later(5),
        new_id=str,
        coming_up=asyncio.Semaphore(1),
        **parts,
    )


@pytest.fixture
def running(ledger: Ledger) -> Instance:
    """An instance that runs on a claimed slot."""
    request(ledger, "i1")
    ledger.write(slots.intend, slot_id="s1", flavor="small", image="cpu", holder_id="i1", now=later(0))
    ledger.write(slots.mark_claimed, "s1", now=later(1))
    ledger.write(instances.attach_slot, "i1", "s1")
    return ledger.write(instances.mark_running, "i1", url="http://x", now=later(1), ends_at=later(60))


def seen(ledger: Ledger) -> tuple[InstanceState, EndReason | None, str | None, SlotState]:
    """The instance's row, and its slot's state."""
    instance = ledger.read(instances.get, "i1")
    return instance.state, instance.reason, instance.detail, ledger.read(slots.get, "s1").state


async def test_the_cause_takes_the_place_of_what_was_noted(pool: Pool, running: Instance, ledger: Ledger) -> None:
    await pool.note_end(running.id, EndReason.CRASHED, "exit code 143")
    assert seen(ledger) == (InstanceState.STOPPING, EndReason.CRASHED, "exit code 143", SlotState.CLAIMED)
    await pool.correct_reason(running.id, EndReason.OUT_OF_DISK, "too large")
    assert seen(ledger) == (InstanceState.STOPPING, EndReason.OUT_OF_DISK, "too large", SlotState.CLAIMED)
    assert await pool.end(running.id, EndReason.OUT_OF_DISK, detail="too large")
    assert seen(ledger) == (InstanceState.ENDED, EndReason.OUT_OF_DISK, "too large", SlotState.GONE)


async def test_an_end_that_is_noted_twice_keeps_its_time(pool: Pool, running: Instance, ledger: Ledger) -> None:
    await pool.note_end(running.id, EndReason.CRASHED)
    first = ledger.read(instances.get, running.id)
    await pool.note_end(running.id, EndReason.LOST)
    assert ledger.read(instances.get, running.id) == first


@pytest.mark.parametrize("reason", [EndReason.STOPPED, EndReason.DEADLINE, EndReason.CRASHED])
async def test_the_reason_of_a_stopping_instance_stays(
    reason: EndReason, pool: Pool, running: Instance, ledger: Ledger
) -> None:
    """For example a stop by its user, which causes the pod's deletion."""
    await pool.intend_end(running.id, reason)
    await pool.correct_reason(running.id, EndReason.LOST, "its pod was deleted")
    assert seen(ledger) == (InstanceState.STOPPING, reason, None, SlotState.DESTROYING)
    await pool.end(running.id, reason)
    await pool.correct_reason(running.id, EndReason.LOST)
    assert seen(ledger)[1] is reason
