"""The steward's looks at use with the real ledger: rows, notices, answers, ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from spawner.catalog.keep import Keep
from spawner.errors import BackendUnavailable
from spawner.guard_settings import GuardSettings
from spawner.ledger import EndReason, Instance, InstanceState, Ledger
from spawner.ledger.bundles import bundles, choices
from spawner.ledger.bundles.rows import BundleState
from spawner.ledger.pool import instances
from spawner.ledger.time import notices, use
from spawner.ledger.time.rows import Activity, Answer, InstanceUse, NoticeKind, SessionNotice
from spawner.ledger.transitions import revision
from spawner.pool.backends.base import SlotUse, Usage
from spawner.pool.time.idle.report import Report
from spawner.steward.guard import Guard
from spawner.steward.idle import EVERY, IdleWatch
from spawner.steward.readings import Readings
from tests.ledger.rows import NOW
from tests.ledger.running import DestroyingBackend, pool_on, run_instance
from tests.unit import make


@dataclass
class MeasuredBackend(DestroyingBackend):
    """A pool whose slots use what a test says."""

    use: SlotUse | None = field(default_factory=lambda: SlotUse(seconds=0, network=0))
    is_away: bool = False
    readings: int = 0

    async def usage(self, slot_ids: Sequence[str], *, ports: frozenset[int] | None) -> Usage:
        self.readings += 1
        if self.is_away:
            raise BackendUnavailable("The cluster is away.")
        return Usage({} if self.use is None else dict.fromkeys(slot_ids, self.use))


@dataclass
class Told:
    """What the instance says of itself."""

    report: Report | None = field(default_factory=lambda: Report(now=0, tabs=1))
    asked: int = 0

    async def ask(self, asked: Sequence[Instance]) -> Mapping[str, Report]:
        self.asked += len(asked)
        return {} if self.report is None else dict.fromkeys((one.id for one in asked), self.report)


@dataclass
class Watching:
    """A watch over the one instance `i1`, with the test's clock."""

    ledger: Ledger
    backend: MeasuredBackend = field(default_factory=MeasuredBackend)
    told: Told = field(default_factory=Told)
    time: datetime = NOW
    flavor: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        pool = pool_on(self.ledger)
        self._ids = 0
        self.pool = replace(
            pool,
            catalog=make.catalog(make.flavor(**self.flavor)),
            backend=self.backend,
            now=lambda: self.time,
            new_id=self._new_id,
        )
        self.watch = IdleWatch(self.pool, Readings(self.pool), self.told, monotonic=self.monotonic)
        run_instance(self.ledger)

    def monotonic(self) -> float:
        return (self.time - NOW).total_seconds()

    def _new_id(self) -> str:
        self._ids += 1
        return f"n{self._ids}"

    async def look(self, *, minutes: float = 1) -> InstanceUse:
        """A look after so many minutes, and the row then."""
        self.time += timedelta(minutes=minutes)
        await self.watch.look()
        return self.ledger.read(use.of_instances, ["i1"])["i1"]

    async def rest(self, *, minutes: int) -> InstanceUse:
        """Looks for so many minutes in which nothing is used."""
        for _ in range(minutes):
            row = await self.look()
        return row

    @property
    def notices(self) -> list[SessionNotice]:
        return self.ledger.read(notices.of_instance, "i1")

    @property
    def instance(self) -> Instance:
        return self.ledger.read(instances.get, "i1")


async def test_an_unused_instance_gets_a_notice_and_ends_five_minutes_later(ledger: Ledger) -> None:
    here = Watching(ledger)
    row = await here.rest(minutes=40)
    assert (row.activity, row.seen_at, here.notices) == (Activity.IDLE, here.time, [])
    assert row.stops_at is not None
    assert abs(row.stops_at - NOW - timedelta(minutes=61)) < timedelta(seconds=2)
    row = await here.rest(minutes=17)
    (notice,) = here.notices
    assert (notice.kind, notice.mark, notice.person_id, notice.params) == (
        NoticeKind.IDLE, "idle-1", "ann", {"minutes": 60, "activity": "idle"},
    )  # fmt: skip
    assert notice.due_at == notice.written_at + timedelta(minutes=5)
    assert row.stops_at == notice.due_at
    await here.rest(minutes=3)
    assert here.instance.state is InstanceState.RUNNING
    await here.rest(minutes=2)
    await here.pool._endings.join()
    ended = here.instance
    assert (ended.state, ended.reason) == (InstanceState.ENDED, EndReason.IDLE)
    assert here.backend.destroyed == ["s1"]


async def test_files_are_kept_after_an_idle_end_where_the_user_chose_it(ledger: Ledger) -> None:
    here = Watching(ledger)
    here.pool.catalog = here.pool.catalog.model_copy(update={"keep": Keep(enabled=True)})
    ledger.write(choices.choose, "ann", wanted=True, now=NOW)
    await here.rest(minutes=62)
    await here.pool._endings.join()
    assert here.instance.reason is EndReason.IDLE
    bundle = ledger.read(bundles.of_instance, "i1")
    assert bundle is not None
    assert bundle.state is BundleState.MAKING


async def test_an_answer_withdraws_the_stop(ledger: Ledger) -> None:
    here = Watching(ledger)
    await here.rest(minutes=58)
    (notice,) = here.notices
    assert ledger.write(notices.answer, notice.id, Answer.STILL_HERE, here.time)
    row = await here.look()
    assert row.stops_at is None
    await here.rest(minutes=40)
    assert (len(here.notices), here.instance.state) == (1, InstanceState.RUNNING)


async def test_an_answer_in_the_last_moment_wins(ledger: Ledger) -> None:
    """It comes after the look has read the notices, and before it writes the end."""
    here = Watching(ledger)
    await here.rest(minutes=60)
    ask = here.told.ask

    async def slow(asked: Sequence[Instance]) -> Mapping[str, Report]:
        ledger.write(notices.answer, here.notices[-1].id, Answer.STILL_HERE, here.time)
        return await ask(asked)

    here.told.ask = slow  # type: ignore[method-assign]
    await here.rest(minutes=2)
    assert here.instance.state is InstanceState.RUNNING


async def test_use_withdraws_the_notice(ledger: Ledger) -> None:
    here = Watching(ledger)
    await here.rest(minutes=58)
    here.backend.use = SlotUse(seconds=50, network=0)
    row = await here.look()
    (notice,) = here.notices
    assert (notice.answer, row.activity, row.stops_at) == (Answer.STILL_HERE, Activity.WORKING, None)


async def test_another_steward_goes_on_where_the_first_was(ledger: Ledger) -> None:
    here = Watching(ledger)
    await here.rest(minutes=30)
    here.watch = IdleWatch(here.pool, Readings(here.pool), here.told, monotonic=here.monotonic)
    await here.rest(minutes=28)
    assert len(here.notices) == 1


async def test_a_steward_that_was_away_ends_nothing_at_once(ledger: Ledger) -> None:
    here = Watching(ledger)
    await here.rest(minutes=58)
    await here.look(minutes=120)
    assert here.instance.state is InstanceState.RUNNING, "the notice stood for two hours, but nobody looked"
    await here.rest(minutes=4)
    assert here.instance.reason is EndReason.IDLE


async def test_a_backend_that_does_not_answer_is_not_idleness(ledger: Ledger) -> None:
    here = Watching(ledger, told=Told(report=None))
    await here.rest(minutes=2)
    seen_at = here.time
    here.backend.is_away = True
    row = await here.rest(minutes=200)
    assert (row.seen_at, here.notices, here.instance.state) == (seen_at, [], InstanceState.RUNNING)


async def test_where_idle_is_off_the_signs_of_life_are_written_all_the_same(ledger: Ledger) -> None:
    here = Watching(ledger, flavor={"idle": "off"})
    row = await here.rest(minutes=100)
    assert (row.seen_at, row.stops_at, here.notices) == (here.time, None, [])


async def test_a_gpu_instance_that_uses_none_is_offered_cpu_once(ledger: Ledger) -> None:
    gpu = {"name": "GPU", "memory": "8GiB"}
    here = Watching(ledger, flavor={"accelerator": gpu})
    for minute in range(60):
        here.backend.use = SlotUse(seconds=minute * 50, network=0, gpu=0.0)
        await here.look()
    (offer,) = here.notices
    assert (offer.kind, offer.params) == (NoticeKind.CPU_OFFER, {"minutes": 45, "flavor": "small"})


async def test_looks_that_change_nothing_wake_no_page(ledger: Ledger) -> None:
    here = Watching(ledger)
    await here.rest(minutes=20)
    before = ledger.read(revision)
    await here.rest(minutes=5)
    assert ledger.read(revision) == before


async def test_an_ended_instance_is_left_alone(ledger: Ledger) -> None:
    here = Watching(ledger)
    await here.look()
    ledger.write(instances.mark_stopping, "i1", reason=EndReason.STOPPED, now=here.time)
    here.time += timedelta(minutes=1)
    await here.watch.look()
    assert ledger.read(use.of_instances, ["i1"])["i1"].seen_at < here.time
    assert ledger.read(use.of_instances, []) == {}


async def test_the_guard_and_the_watch_share_a_reading_and_none_gets_one_twice(sqlite_ledger: Ledger) -> None:
    here = Watching(sqlite_ledger)
    readings = Readings(here.pool)
    watch = IdleWatch(here.pool, readings, here.told)
    guard = Guard(here.pool, GuardSettings(), hub=None, hub_token="", readings=readings)  # type: ignore[arg-type]
    await guard.look()
    await watch.look()
    assert here.backend.readings == 1
    await watch.look()
    assert here.backend.readings == 2
    await guard.look()
    assert here.backend.readings == 3, "it also wants names and places"


def test_it_looks_each_minute_whatever_the_clock_does(sqlite_ledger: Ledger) -> None:
    here = Watching(sqlite_ledger)
    assert here.watch.is_due
    here.watch._looked_at = here.time
    assert not here.watch.is_due
    here.time += EVERY
    assert here.watch.is_due
    here.time -= timedelta(days=1)
    assert here.watch.is_due


@pytest.mark.parametrize("count", [0, 1, 1200])
def test_rows_are_written_and_read_in_one_go(ledger: Ledger, count: int) -> None:
    rows = [InstanceUse(f"i{n}", NOW, Activity.IDLE, NOW, None, {"v": n}) for n in range(count)]
    ledger.write(use.put, rows)
    later = [replace(one, activity=Activity.WORKING, stops_at=NOW) for one in rows]
    ledger.write(use.put, later)
    ids = [one.instance_id for one in rows]
    assert ledger.read(use.of_instances, ids) == {one.instance_id: one for one in later}
    assert ledger.read(use.activities, ids) == dict.fromkeys(ids, Activity.WORKING)
