"""Rows in any state, written by the ledger's own functions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from spawner.ledger import EndReason, Instance, Ledger, Slot, SlotState
from spawner.ledger.pool import instances, slots
from spawner.ledger.pool.rows import InstanceState

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def request(
    ledger: Ledger, name: str = "i1", *, user: str = "ann", server: str = "", at_most: int = 1, at: float = 0
) -> Instance:
    return ledger.write(
        instances.request,
        instance_id=name,
        user_name=user,
        server_name=server,
        flavor="small",
        image="cpu",
        example=None,
        hub_epoch="1",
        now=later(at),
        at_most=at_most,
    )


def instance_in(ledger: Ledger, state: InstanceState, name: str = "i1") -> Instance:
    """Write an instance and bring it to `state`."""
    request(ledger, name)
    if state in (InstanceState.RUNNING, InstanceState.STOPPING, InstanceState.ENDED):
        ledger.write(instances.mark_running, name, url="http://x", now=later(1), ends_at=later(60))
    if state in (InstanceState.STOPPING, InstanceState.ENDED):
        ledger.write(instances.mark_stopping, name, reason=EndReason.STOPPED, now=later(2))
    if state is InstanceState.ENDED:
        ledger.write(instances.mark_ended, name, now=later(3))
    return ledger.read(instances.get, name)


def intend(
    ledger: Ledger,
    name: str = "s1",
    *,
    flavor: str = "small",
    image: str = "cpu",
    instance: str | None = None,
    at: float = 0,
) -> Slot:
    return ledger.write(slots.intend, slot_id=name, flavor=flavor, image=image, holder_id=instance, now=later(at))


def slot_in(ledger: Ledger, state: SlotState, name: str = "s1", *, at: float = 0) -> Slot:
    """Write a slot and bring it to `state`; a claimed slot belongs to i1."""
    intend(ledger, name, instance="i1" if state is SlotState.CLAIMED else None, at=at)
    if state is SlotState.WARM:
        ledger.write(slots.mark_warm, name, now=later(at + 1))
    if state is SlotState.CLAIMED:
        ledger.write(slots.mark_claimed, name, now=later(at + 1))
    if state in (SlotState.DESTROYING, SlotState.GONE):
        ledger.write(slots.mark_destroying, name, reason=EndReason.STOPPED)
    if state is SlotState.GONE:
        ledger.write(slots.mark_gone, name, now=later(at + 2))
    return ledger.read(slots.get, name)


def claim(ledger: Ledger, instance: str, *, flavor: str = "small", image: str = "cpu") -> Slot | None:
    return ledger.write(slots.claim_waiting, flavor=flavor, image=image, holder_id=instance, now=NOW)
