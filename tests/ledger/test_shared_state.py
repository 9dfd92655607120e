"""A change of the pool is read once, however many pages are open; a page reads its own rows only where they changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection

from spawner.desk.user.pages import EventsHandler
from spawner.desk.user.shared_state import SharedState, SharedStateReader
from spawner.desk.user.snapshot import CACHE_TTL, SnapshotReader
from spawner.ledger import EndReason, Ledger, StartStep
from spawner.ledger.people import bans
from spawner.ledger.people.rows import Ban, BanCode
from spawner.ledger.pool import instances, slots, tickets
from spawner.ledger.time import notices
from spawner.ledger.time.rows import NoticeKind, SessionNotice
from spawner.pool.queue.admission import Admission
from tests.ledger.rows import NOW, later, request
from tests.ledger.running import run_instance
from tests.unit import make


@dataclass
class Clock:
    time: datetime = NOW

    def __call__(self) -> datetime:
        return self.time


class CountedReader(SnapshotReader):
    """Counts builds, each of which takes `seconds`."""

    def __init__(self, clock: Clock, *, seconds: float = 0.0) -> None:
        admission = Admission(make.catalog(), make.SimulatedBackend(), clock, str)  # type: ignore[arg-type]
        super().__init__(admission, clock)
        self.clock = clock
        self.seconds = seconds
        self.builds = 0

    def _build(self, *args: Any) -> Any:
        self.builds += 1
        self.clock.time += timedelta(seconds=self.seconds / 2)
        return super()._build(*args)


def test_a_snapshot_that_takes_long_to_build_is_used_again(ledger: Ledger) -> None:
    reader = CountedReader(Clock(), seconds=10)
    for _ in range(3):
        ledger.read(reader.read, "ann")
    assert reader.builds == 1
    reader.clock.time += 2 * CACHE_TTL
    ledger.read(reader.read, "ann")
    assert reader.builds == 2


def test_a_change_is_seen_by_the_next_read(ledger: Ledger) -> None:
    reader = CountedReader(Clock())
    assert ledger.read(reader.read, "ann").pool.slots == []
    run_instance(ledger)
    assert [slot.id for slot in ledger.read(reader.read, "ann").pool.slots] == ["s1"]


def test_what_a_transaction_may_undo_is_not_shown_to_others(ledger: Ledger) -> None:
    reader = CountedReader(Clock())

    def undone(connection: Connection) -> None:
        slots.intend(connection, slot_id="s9", flavor="small", image="cpu", holder_id=None, now=NOW)
        assert len(reader.read(connection, "ann").pool.slots) == 1
        raise LookupError

    with pytest.raises(LookupError):
        ledger.write(undone)
    run_instance(ledger)
    assert [slot.id for slot in ledger.read(reader.read, "ann").pool.slots] == ["s1"]


async def test_thousands_of_pages_share_one_read(ledger: Ledger) -> None:
    reads = 0

    async def aread(query: Any) -> Any:
        nonlocal reads
        reads += 1
        return await ledger.aread(query)

    clock = Clock()
    shared = SharedStateReader(SimpleNamespace(aread=aread), CountedReader(clock), clock)  # type: ignore[arg-type]
    await asyncio.gather(*(shared.after(1) for _ in range(2000)))
    assert reads == 1
    await shared.after(2)
    assert reads == 2
    clock.time += 2 * CACHE_TTL
    await shared.after(2)
    assert reads == 3, "wait estimates change with time alone"


def shared_state(ledger: Ledger) -> SharedState:
    clock = Clock(later(5))
    return ledger.read(SharedStateReader(ledger, CountedReader(clock), clock)._read)


def ban(connection: Connection) -> object:
    return bans.put(connection, Ban("b", "ann", BanCode.OTHER, "", "", "", "admin", NOW, None))


def notice(connection: Connection) -> object:
    row = SessionNotice("n", "i1", "ann", NoticeKind.DEADLINE, "m", later(9), later(3), {})
    return notices.write(connection, row)


OWN: dict[str, Callable[[Connection], object]] = {
    "the end is moved": lambda c: instances.move_end(c, "i1", expected=later(60), ends_at=later(90)),
    "it ends": lambda c: instances.mark_stopping(c, "i1", reason=EndReason.STOPPED, now=later(2)),
    "a ticket": lambda c: tickets.join(c, make.ticket("t9", person_id="ann")),
    "a notice": notice,
    "a ban": ban,
}


@pytest.mark.parametrize("change", OWN)
def test_a_persons_mark_changes_with_their_rows_and_nobody_elses(ledger: Ledger, change: str) -> None:
    run_instance(ledger)
    ledger.write(tickets.join, make.ticket("t1", person_id="bob"))
    before = shared_state(ledger)
    ledger.write(OWN[change])
    after = shared_state(ledger)
    assert before.mark("ann") != after.mark("ann")
    assert before.mark("carl") == after.mark("carl")


def test_a_step_of_a_start_changes_the_mark(ledger: Ledger) -> None:
    request(ledger, "i1")
    before = shared_state(ledger)
    ledger.write(instances.add_event, "i1", StartStep.CLAIMED, now=later(1))
    assert before.mark("ann") != shared_state(ledger).mark("ann")


async def test_a_page_reads_nothing_where_only_the_pool_has_changed(ledger: Ledger) -> None:
    clock, reads = Clock(), 0
    run_instance(ledger)
    reader = CountedReader(clock)
    shared = SharedStateReader(ledger, reader, clock)
    number = 0

    async def read_own(snapshot: Any) -> Any:
        nonlocal reads
        reads += 1
        return EventsHandlerRows(snapshot)

    parts = SimpleNamespace(shared=shared, snapshots=reader, paid=None)
    desk = SimpleNamespace(ledger=ledger, changes=SimpleNamespace(number=0))
    page: Any = SimpleNamespace(parts=parts, desk=desk, person_id="ann", read_own=read_own, compose=lambda own: own)
    page.own, page.mark, page.read_at, page._own_seconds = None, (), 0.0, 30.0

    async def state_after(change: Callable[[Connection], object]) -> Any:
        nonlocal number
        number += 1
        ledger.write(change)
        desk.changes.number = number
        return await EventsHandler.current_state(page)

    await EventsHandler.current_state(page)
    assert reads == 1
    new_slot = lambda c: slots.intend(c, slot_id="s2", flavor="small", image="cpu", holder_id=None, now=NOW)  # noqa: E731
    shown = await state_after(new_slot)
    assert reads == 1
    assert len(shown.snapshot.pool.slots) == 2
    await state_after(OWN["the end is moved"])
    assert reads == 2
    page._own_seconds = 0.0  # few pages are open: each reads at every change what has no mark, such as hours
    await state_after(lambda c: slots.intend(c, slot_id="s3", flavor="small", image="cpu", holder_id=None, now=NOW))
    assert reads == 3


@dataclass(frozen=True)
class EventsHandlerRows:
    """The part of a page's rows that is replaced."""

    snapshot: Any
