"""From when a start counts: the home page shows the same as the administrators' statistics."""

from __future__ import annotations

from spawner.desk.user.snapshot import SnapshotReader
from spawner.ledger.pool import instances, tickets
from spawner.pool.statistics import start_seconds
from tests.ledger.pool import SimulatedPool


def test_a_start_counts_from_the_request_of_its_user(pool: SimulatedPool) -> None:
    ticket = pool.ask("ann")
    asked_at = pool.time
    pool.pass_time(2)
    begun = pool.begin(ticket)
    pool.pass_time(3)
    pool.run(begun)
    snapshot = pool.ledger.read(SnapshotReader(pool.admission, lambda: pool.time).read, "ann")
    assert snapshot.begun_at == asked_at
    instance = pool.ledger.read(instances.get, begun.id)
    assert start_seconds(instance, pool.ledger.read(tickets.of_instance, begun.id)) == 5
