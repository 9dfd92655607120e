"""The steward writes what is due for the ends of sessions, in real transactions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from spawner.aio import KeyedTaskSet
from spawner.ledger import Instance, Ledger
from spawner.ledger.channels.rows import ChannelKind, MessageEvent
from spawner.ledger.channels.tables import channels, messages
from spawner.ledger.pool import instances
from spawner.ledger.pool.tables import instances as instances_table
from spawner.ledger.time import extensions, notices
from spawner.ledger.time.rows import NoticeKind, SessionNotice
from spawner.pool.pool import Pool
from spawner.steward.deadlines import DeadlineKeeper
from tests.ledger.pool import SimulatedPool
from tests.unit import make

MINUTE = timedelta(minutes=1)


@dataclass
class Steward:
    """Rounds of the part of the steward that keeps ends, at the pool's time."""

    simulated: SimulatedPool
    busy: bool | None = False
    told: list[str] = field(default_factory=list)
    tasks: KeyedTaskSet = field(default_factory=lambda: KeyedTaskSet(lambda *_: None))
    keeper: DeadlineKeeper = field(init=False)
    pool: Pool = field(init=False)

    def __post_init__(self) -> None:
        parts: dict[str, Any] = dict.fromkeys(("view", "session", "backend"))
        pool = Pool(
            catalog=self.simulated.catalog,
            ledger=self.simulated.ledger,
            master_key=b"",
            hub_epoch="1",
            now=lambda: self.simulated.time,
            new_id=self.simulated.new_id,
            coming_up=asyncio.Semaphore(1),
            **parts,
        )
        self.pool = pool
        self.keeper = DeadlineKeeper(pool, self.tasks, ask=self.ask, tell=self.tell)

    async def ask(self, _: Instance) -> bool | None:
        return self.busy

    def tell(self, _: Connection, notice: SessionNotice) -> None:
        self.told.append(notice.mark.partition(":")[0])

    async def round(self, *, tickets: bool = True) -> set[str]:
        ledger = self.simulated.ledger
        waiting = self.simulated.alive() if tickets else []
        found = await self.keeper.round(ledger.read(instances.unended), waiting, None)
        await self.tasks.join()
        return found


@pytest.fixture
def pool(ledger: Ledger) -> SimulatedPool:
    return SimulatedPool(ledger, make.catalog(make.flavor(limit=1)))


def said(pool: SimulatedPool, instance: Instance) -> list[tuple[NoticeKind, int]]:
    return [(one.kind, one.params["minutes"]) for one in pool.ledger.read(notices.of_instance, instance.id)]


def end_of(pool: SimulatedPool, instance: Instance) -> timedelta:
    """Of a session, in time since it became usable."""
    now = pool.ledger.read(instances.get, instance.id)
    assert now.ends_at is not None
    assert now.usable_at is not None
    return now.ends_at - now.usable_at


async def test_notices_are_written_once_by_two_stewards_and_the_session_ends(pool: SimulatedPool) -> None:
    ann = pool.start("ann")
    first, second = Steward(pool), Steward(pool)
    for minutes in (1, 210, 230, 235, 239):
        pool.time = ann.requested_at + minutes * MINUTE
        assert await first.round() | await second.round() == set()
    assert said(pool, ann) == [(NoticeKind.DEADLINE, minutes) for minutes in (30, 10, 5, 1)]
    assert first.told + second.told == ["deadline"] * 4
    pool.time = ann.requested_at + 240 * MINUTE
    assert await first.round() == set(), "the instance is asked first whether a cell runs"
    assert await first.round() == {ann.id}


async def test_an_end_that_nobody_was_told_of_moves_with_its_notice(pool: SimulatedPool) -> None:
    ann, steward = pool.start("ann"), Steward(pool)
    pool.time += timedelta(hours=6)
    assert await steward.round() == set()
    assert (said(pool, ann), end_of(pool, ann)) == ([(NoticeKind.DEADLINE, 5)], timedelta(hours=6, minutes=5))
    assert pool.ledger.read(extensions.of_instance, ann.id) == [], "it is no extension, and costs none"
    pool.pass_time(300)
    await steward.round()
    assert await steward.round() == {ann.id}


async def test_a_busy_cell_gets_grace_in_the_ledger(pool: SimulatedPool) -> None:
    ann, steward = pool.start("ann"), Steward(pool, busy=True)
    for minutes in (230, 240, 240):
        pool.time = ann.requested_at + minutes * MINUTE
        assert await steward.round() == set()
    assert said(pool, ann)[-1] == (NoticeKind.GRACE, 10)
    assert (end_of(pool, ann), steward.told[-1]) == (timedelta(hours=4, minutes=10), "grace")
    pool.time = ann.requested_at + 250 * MINUTE
    assert await steward.round() == {ann.id}


async def test_nobody_gets_grace_while_others_wait(pool: SimulatedPool) -> None:
    ann, steward = pool.start("ann"), Steward(pool, busy=True)
    pool.time = ann.requested_at + 230 * MINUTE
    await steward.round()
    pool.ask("bob")
    pool.time = ann.requested_at + 240 * MINUTE
    assert await steward.round() == {ann.id}


async def test_who_begins_to_wait_after_the_snapshot_was_read_counts(pool: SimulatedPool) -> None:
    ann, steward = pool.start("ann"), Steward(pool, busy=True)
    for minutes in (230, 240):
        pool.time = ann.requested_at + minutes * MINUTE
        await steward.round()
    pool.ask("bob")
    assert await steward.round(tickets=False) == set()
    assert end_of(pool, ann) == timedelta(hours=4)
    assert await steward.round(tickets=False) == {ann.id}


async def test_no_notice_of_an_end_that_was_extended_since_the_snapshot(pool: SimulatedPool) -> None:
    ann, steward = pool.start("ann"), Steward(pool)
    pool.time = ann.requested_at + 230 * MINUTE
    snapshot = pool.ledger.read(instances.unended)

    def extend(connection: Connection) -> None:
        later = pool.time + timedelta(hours=2)
        connection.execute(update(instances_table).where(instances_table.c.id == ann.id).values(ends_at=later))

    pool.ledger.write(extend)
    assert await steward.keeper.round(snapshot, [], None) == set()
    assert said(pool, ann) == []


async def test_the_first_warning_before_an_end_is_sent_to_the_persons_channel(pool: SimulatedPool) -> None:
    ann, steward = pool.start("ann"), Steward(pool)
    steward.keeper = DeadlineKeeper(steward.pool, steward.tasks, ask=steward.ask)
    made = {"language": "en", "events": ["deadline"], "made_at": pool.time, "confirmed_at": pool.time}
    row = {"id": "c1", "person_id": ann.person_id, "kind": ChannelKind.EMAIL, "address": "ann@localhost", **made}
    pool.ledger.write(lambda connection: connection.execute(insert(channels).values(**row)))
    for minutes in (210, 230):
        pool.time = ann.requested_at + minutes * MINUTE
        await steward.keeper.round(pool.ledger.read(instances.unended), [], None)
    assert len(said(pool, ann)) == 2
    sent = pool.ledger.read(lambda connection: connection.execute(select(messages.c.event)).scalars().all())
    assert sent == [MessageEvent.DEADLINE]
