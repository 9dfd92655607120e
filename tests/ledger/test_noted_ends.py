"""A noted end keeps its time, and its reason is replaced once the cause is known."""

from __future__ import annotations

import pytest

from spawner.ledger import EndReason, Instance, InstanceState, Ledger, SlotState
from spawner.ledger.pool import instances
from spawner.pool.pool import Pool
from tests.ledger.running import pool_on, run_instance, state_of


@pytest.fixture
def pool(ledger: Ledger) -> Pool:
    return pool_on(ledger)


@pytest.fixture
def running(ledger: Ledger) -> Instance:
    return run_instance(ledger)


async def test_the_cause_replaces_the_noted_reason(pool: Pool, running: Instance, ledger: Ledger) -> None:
    await pool.note_end(running.id, EndReason.CRASHED, "exit code 143")
    assert state_of(ledger) == (InstanceState.STOPPING, EndReason.CRASHED, "exit code 143", SlotState.CLAIMED)
    await pool.correct_reason(running.id, EndReason.OUT_OF_DISK, "too large")
    assert state_of(ledger) == (InstanceState.STOPPING, EndReason.OUT_OF_DISK, "too large", SlotState.CLAIMED)
    assert await pool.end(running.id, EndReason.OUT_OF_DISK, detail="too large")
    assert state_of(ledger) == (InstanceState.ENDED, EndReason.OUT_OF_DISK, "too large", SlotState.GONE)


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
    assert state_of(ledger) == (InstanceState.STOPPING, reason, None, SlotState.DESTROYING)
    await pool.end(running.id, reason)
    await pool.correct_reason(running.id, EndReason.LOST)
    assert state_of(ledger)[1] is reason
