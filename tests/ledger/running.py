"""A running instance on a claimed slot, and a pool that can end it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from spawner.ledger import EndReason, Instance, InstanceState, Ledger, SlotState
from spawner.ledger.pool import instances, slots
from spawner.pool.pool import Pool
from tests.ledger.rows import later, request
from tests.unit import make


@dataclass
class DestroyingBackend:
    """A backend whose `destroy` always succeeds."""

    destroyed: list[str] = field(default_factory=list)

    async def destroy(self, slot_id: str) -> None:
        self.destroyed.append(slot_id)


def pool_on(ledger: Ledger) -> Pool:
    """A pool with the real ledger and a backend that destroys any slot."""
    parts: dict[str, Any] = dict.fromkeys(("view", "session"))
    return Pool(
        catalog=make.catalog(),
        ledger=ledger,
        backend=DestroyingBackend(),  # type: ignore[arg-type]
        master_key=b"",
        hub_epoch="1",
        now=lambda: later(5),
        new_id=str,
        coming_up=asyncio.Semaphore(1),
        **parts,
    )


def run_instance(ledger: Ledger) -> Instance:
    """The instance `i1` runs on the claimed slot `s1`."""
    request(ledger, "i1")
    ledger.write(slots.intend, slot_id="s1", flavor="small", image="cpu", holder_id="i1", now=later(0))
    ledger.write(slots.mark_claimed, "s1", now=later(1))
    ledger.write(instances.attach_slot, "i1", "s1")
    return ledger.write(instances.mark_running, "i1", url="http://x", now=later(1), ends_at=later(60))


def state_of(ledger: Ledger) -> tuple[InstanceState, EndReason | None, str | None, SlotState]:
    """State, reason and detail of `i1`, and the state of `s1`."""
    instance = ledger.read(instances.get, "i1")
    return instance.state, instance.reason, instance.detail, ledger.read(slots.get, "s1").state
