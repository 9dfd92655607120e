"""Whether the user of a served ticket came: asked of the hub and of the instance, on a real ledger."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from spawner.aio import KeyedTaskSet
from spawner.ledger import EndReason, Instance, Ledger, Ticket
from spawner.ledger.people import people
from spawner.ledger.people.rows import HubUser
from spawner.ledger.pool import tickets
from spawner.ledger.pool.open_rows import OpenRowsReader
from spawner.pool.time.idle.report import Report
from spawner.steward.dispatch import START_ACTIVITY, Dispatcher
from tests.ledger.pool import SimulatedPool

EARLY, LATE = timedelta(seconds=3), START_ACTIVITY + timedelta(seconds=3)


class Hub:
    """A hub that has seen activity at one time."""

    def __init__(self, seen: datetime | None) -> None:
        self.seen = seen

    async def last_activity(self, *_: Any, **__: Any) -> datetime | None:
        return self.seen


class Instances:
    """An instance that says one thing of itself."""

    def __init__(self, report: Report | None) -> None:
        self.report = report

    async def of(self, _: Instance) -> Report | None:
        return self.report


@pytest.fixture
def pool(ledger: Ledger) -> SimulatedPool:
    return SimulatedPool(ledger)


def served(pool: SimulatedPool) -> Ticket:
    """A ticket that waited, of an instance that runs now."""
    first = pool.start("ann")
    user = HubUser(id=1, name="bob", since="2026")
    pool.ledger.write(people.of_user, user, new_id=lambda: "bob", now=pool.time)
    pool.ask("bob")
    pool.pass_time(5)
    pool.end(first)
    pool.finish_endings()
    (called,) = pool.call_due()
    pool.run(pool.begin(called))
    return pool.ticket(called)


async def check(
    pool: SimulatedPool, ticket: Ticket, *, seen_after: timedelta | None, report: Report | None
) -> list[Any]:
    """The ends that one check asks for."""
    ended = []

    async def end(instance_id: str, reason: EndReason) -> None:
        ended.append((instance_id, reason))

    parts: Any = SimpleNamespace(ledger=pool.ledger, catalog=pool.catalog, now=lambda: pool.time, end=end)
    assert ticket.served_at is not None
    hub: Any = Hub(None if seen_after is None else ticket.served_at + seen_after)
    tasks = KeyedTaskSet(lambda *_: None)
    asks = Instances(report)
    await Dispatcher(parts, tasks, OpenRowsReader(), hub=hub, hub_token="", webhook=None, asks=asks)._check_collected(
        ticket
    )
    return ended


@pytest.mark.parametrize(
    ("seen_after", "report"),
    [
        (EARLY, Report(now=0, opened=True)),  # opened in the first seconds, and closed again
        (LATE, Report(now=0, opened=False)),
        (LATE, None),
        (None, None),  # the server has ended
    ],
)
async def test_who_has_opened_the_instance_once_keeps_it(
    pool: SimulatedPool, seen_after: timedelta | None, report: Report | None
) -> None:
    ticket = served(pool)
    assert [one.id for one in pool.ledger.read(tickets.uncollected)] == [ticket.id]
    assert await check(pool, ticket, seen_after=seen_after, report=report) == []
    assert pool.ledger.read(tickets.uncollected) == []


@pytest.mark.parametrize("opened", [False, None])
async def test_an_instance_that_nobody_opened_goes_to_the_next(pool: SimulatedPool, opened: bool | None) -> None:
    ticket = served(pool)
    ended = await check(pool, ticket, seen_after=EARLY, report=Report(now=0, opened=opened))
    assert ended == [(ticket.instance_id, EndReason.NOT_COLLECTED)]


async def test_an_instance_that_does_not_answer_is_not_ended(pool: SimulatedPool) -> None:
    ticket = served(pool)
    assert await check(pool, ticket, seen_after=EARLY, report=None) == []
    assert [one.id for one in pool.ledger.read(tickets.uncollected)] == [ticket.id], "it is asked again"
