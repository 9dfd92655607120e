"""Concurrent changes by several threads, as hub, desk and steward make them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from spawner.catalog import Catalog
from spawner.errors import LostRace, TooMany
from spawner.ledger import EndReason, InstanceState, Ledger, Slot, SlotState, StartStep, leases
from spawner.ledger.pool import instances, slots
from spawner.ledger.transitions import revision
from spawner.pool.capacity import room_for
from tests.ledger.conftest import Together
from tests.ledger.rows import NOW, claim, instance_in, later, request, slot_in
from tests.unit import make

THREADS = 16


def test_sixteen_concurrent_claims_get_each_of_eight_slots_once(
    ledger: Ledger, together: Together[Slot | None]
) -> None:
    for number in range(8):
        slot_in(ledger, SlotState.WARM, f"s{number}", at=number)
    given = together([lambda n=n: claim(ledger, f"i{n}") for n in range(THREADS)])  # type: ignore[misc]
    got = [slot for slot in given if slot is not None]
    assert sorted(slot.id for slot in got) == [f"s{number}" for number in range(8)]
    assert len({slot.holder_id for slot in got}) == 8
    for slot in got:
        assert ledger.read(slots.get, slot.id) == slot


def test_of_sixteen_concurrent_callers_one_gets_the_lease(ledger: Ledger, together: Together[bool]) -> None:
    def hold(name: str, *, at: float) -> bool:
        return ledger.write(leases.hold, "steward", holder=name, now=later(at), duration=timedelta(seconds=5))

    for at in (0, 60):  # not held before; expired
        names = [f"h{at}-{number}" for number in range(THREADS)]
        held = together([lambda n=n, a=at: hold(n, at=a) for n in names])  # type: ignore[misc]
        assert held.count(True) == 1
        assert ledger.read(leases.holder_of, "steward", now=later(at)) == names[held.index(True)]


def test_of_two_requests_of_one_user_one_wins(ledger: Ledger, together: Together[str]) -> None:
    for round_ in range(8):

        def ask(server: str, user: str = f"u{round_}") -> str:
            try:
                return request(ledger, f"{user}-{server}", user=user, server=server, at_most=1).server_name
            except TooMany:
                return ""

        assert sorted(together([lambda: ask("a"), lambda: ask("b")])) in (["", "a"], ["", "b"])


def test_of_two_starts_of_one_server_one_wins(ledger: Ledger, together: Together[str]) -> None:
    for round_ in range(8):

        def ask(name: str, user: str = f"u{round_}") -> str:
            try:
                return request(ledger, name, user=user).id
            except LostRace:
                return ""

        won = together([lambda r=round_: ask(f"{r}-a"), lambda r=round_: ask(f"{r}-b")])  # type: ignore[misc]
        assert won.count("") == 1
        assert len(ledger.read(instances.unended, f"u{round_}")) == 1


def test_of_a_claim_and_a_withdrawal_one_wins(ledger: Ledger, together: Together[bool]) -> None:
    def withdraw(name: str) -> bool:
        try:
            ledger.write(slots.withdraw, name)
        except LostRace:
            return False
        return True

    for number in range(8):
        name = f"s{number}"
        slot_in(ledger, SlotState.WARM, name)
        won = together([lambda: claim(ledger, "i1") is not None, lambda n=name: withdraw(n)])  # type: ignore[misc]
        assert sorted(won) == [False, True]
        assert ledger.read(slots.get, name).state is (SlotState.CLAIMED if won[0] else SlotState.DESTROYING)


def test_of_many_ends_one_gives_the_reason(ledger: Ledger, together: Together[bool]) -> None:
    instance_in(ledger, InstanceState.RUNNING)
    reasons = [EndReason.STOPPED, EndReason.DEADLINE, EndReason.CRASHED, EndReason.LOST] * 4

    def end(reason: EndReason) -> bool:
        try:
            ledger.write(instances.mark_stopping, "i1", reason=reason, now=later(2))
        except LostRace:
            return False
        return True

    won = together([lambda r=reason: end(r) for reason in reasons])  # type: ignore[misc]
    assert won.count(True) == 1
    assert ledger.read(instances.get, "i1").reason is reasons[won.index(True)]


def test_the_revision_counts_every_concurrent_change(ledger: Ledger, together: Together[None]) -> None:
    request(ledger)
    before = ledger.read(revision)
    together([lambda: ledger.write(instances.add_event, "i1", StartStep.REQUESTED, now=NOW) for _ in range(THREADS)])
    assert ledger.read(revision) == before + THREADS
    assert len({event.seq for event in ledger.read(instances.events_of, "i1")}) == THREADS


def _reserve_if_room(ledger: Ledger, catalog: Catalog, name: str) -> bool:
    """Reserve a slot if there is room, in one transaction, as a start does."""

    def take(connection: Connection) -> bool:
        occupying = slots.occupying(connection)
        if room_for(catalog, catalog.flavor("small"), occupying, None) <= 0:
            return False
        slots.intend(connection, slot_id=name, flavor="small", image="cpu", holder_id=name, now=NOW)
        return True

    return ledger.write(take)


def test_free_room_is_reserved_once(ledger: Ledger, together: Together[bool]) -> None:
    catalog = make.catalog(make.flavor("small", limit=3))
    took = together([lambda n=n: _reserve_if_room(ledger, catalog, f"s{n}") for n in range(THREADS)])  # type: ignore[misc]
    assert took.count(True) == 3
    assert len(ledger.read(slots.occupying)) == 3


def test_changes_of_the_same_rows_in_another_order_do_not_deadlock(ledger: Ledger, together: Together[None]) -> None:
    """A start attaches a slot (slot, then instance) while another thread ends the instance: both must succeed."""
    for number in range(4):
        instance_id, slot = f"i{number}", f"s{number}"
        request(ledger, instance_id, user=instance_id)
        ledger.write(slots.intend, slot_id=slot, flavor="small", image="cpu", holder_id=instance_id, now=NOW)
        slot_changed = threading.Event()

        def attach(
            connection: Connection,
            instance_id: str = instance_id,
            slot: str = slot,
            done: threading.Event = slot_changed,
        ) -> None:
            slots.mark_claimed(connection, slot, now=NOW)
            done.set()
            time.sleep(0.1)  # time for the other thread to change the instance, unless a lock prevents it
            instances.attach_slot(connection, instance_id, slot)

        def start(attach: Callable[[Connection], None] = attach) -> None:
            with contextlib.suppress(LostRace):
                ledger.write(attach)

        def end(instance_id: str = instance_id, done: threading.Event = slot_changed) -> None:
            done.wait(10)
            ledger.write(instances.mark_stopping, instance_id, reason=EndReason.CANCELLED, now=NOW)

        together([start, end])
        assert ledger.read(instances.get, instance_id).state is InstanceState.STOPPING


def test_a_reader_sees_one_snapshot(ledger: Ledger) -> None:
    """The desk reads several queries in one transaction; a change in between shows in none of them."""
    request(ledger)

    def look(connection: Connection) -> tuple[int, int]:
        before = len(instances.unended(connection))
        writer = threading.Thread(target=lambda: request(ledger, "i2", user="bob"))
        writer.start()
        writer.join(30)
        assert not writer.is_alive(), "a writer never waits for a reader"
        return before, len(instances.unended(connection))

    assert ledger.read(look) == (1, 1)
    assert len(ledger.read(instances.unended)) == 2


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_transaction_that_raises_writes_nothing(error: type[BaseException], ledger: Ledger) -> None:
    def write(connection: Connection) -> None:
        instances.add_event(connection, "i1", StartStep.REQUESTED, now=NOW)
        raise error

    before = ledger.read(revision)
    with pytest.raises(error):
        ledger.write(write)
    assert ledger.read(instances.events_of, "i1") == []
    assert ledger.read(revision) == before


# Leases


def test_a_lease_is_renewed_by_its_holder_only_until_it_ends(ledger: Ledger) -> None:
    def hold(name: str, at: float) -> bool:
        return ledger.write(leases.hold, "steward", holder=name, now=later(at), duration=timedelta(seconds=5))

    assert hold("a", 0)
    assert not hold("b", 4)
    assert hold("a", 4)
    assert not hold("b", 9), "at its last moment it is still held"
    assert ledger.read(leases.holder_of, "steward", now=later(9)) == "a"
    assert hold("b", 9.001)
    assert not hold("a", 9.002)
    assert ledger.read(leases.holder_of, "steward", now=later(15)) is None


def test_a_lease_is_released_by_its_holder_only(ledger: Ledger) -> None:
    def hold(name: str) -> bool:
        return ledger.write(leases.hold, "steward", holder=name, now=NOW, duration=timedelta(seconds=5))

    assert hold("a")
    ledger.write(leases.release, "steward", holder="b")
    assert not hold("b")
    ledger.write(leases.release, "steward", holder="a")
    assert hold("b")
    assert ledger.write(leases.hold, "another", holder="a", now=NOW, duration=timedelta(seconds=5))


async def test_a_row_is_written_even_if_its_writer_is_cancelled(ledger: Ledger) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def write(connection: Connection) -> None:
        begun.set()
        go_on.wait(10)
        instances.add_event(connection, "i1", StartStep.REQUESTED, now=NOW)

    task = asyncio.create_task(ledger.awrite(write))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    for _ in range(200):
        if await ledger.aread(instances.events_of, "i1"):
            return
        await asyncio.sleep(0.02)  # nothing signals the end of a thread that is not awaited
    raise AssertionError("the row was not written")
