"""The guard's looks with the real ledger: notes, what follows from them, and what an administrator can do about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from spawner.errors import BackendUnavailable
from spawner.guard_settings import GuardSettings
from spawner.ledger import EndReason, InstanceState, Ledger
from spawner.ledger.people import people
from spawner.ledger.people.rows import HubUser, Identity
from spawner.ledger.pool import guard_notes, instances, whereabouts
from spawner.ledger.pool.rows import GuardKind, GuardNote
from spawner.pool.backends.base import SlotUse, Unseen, Usage
from spawner.pool.pool import Pool
from spawner.steward.guard import Guard
from tests.ledger.rows import NOW, later, request
from tests.ledger.running import DestroyingBackend, pool_on, run_instance

MINER = SlotUse(seconds=1, names=("bash", "xmrig"), places=("203.0.113.80:3333",))


@dataclass
class WatchedBackend(DestroyingBackend):
    """A pool whose slots use what a test says."""

    use: SlotUse = field(default_factory=SlotUse)
    unseen: Unseen | None = None
    asked: list[list[str]] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)

    async def usage(self, slot_ids: list[str], *, ports: frozenset[int]) -> Usage:
        assert {3333, 3334} <= ports
        self.asked.append(slot_ids)
        return Usage(dict.fromkeys(slot_ids, self.use), unseen=self.unseen, sees_inside=True, can_slow=True)

    async def slow(self, slot_id: str, share: float) -> bool:
        self.shares.append(share)
        return True


@dataclass
class Hub:
    """What JupyterHub knows of a server's use; it is asked about busy instances only."""

    last: datetime | None = None
    is_away: bool = False
    asked: int = 0

    async def last_activity(self, name: str, token: str, *, server_name: str = "") -> datetime | None:
        assert (name, token) == ("ann", "secret")
        self.asked += 1
        if self.is_away:
            raise BackendUnavailable("The hub is away.")
        return self.last


@dataclass
class Watching:
    """A guard over the one instance `i1`, with the test's clock."""

    ledger: Ledger
    rules: GuardSettings
    backend: WatchedBackend = field(default_factory=WatchedBackend)
    hub: Hub = field(default_factory=Hub)
    time: datetime = NOW

    def __post_init__(self) -> None:
        pool = pool_on(self.ledger)
        self.pool = Pool(**{name: getattr(pool, name) for name in (
            "catalog", "ledger", "view", "session", "master_key", "hub_epoch", "coming_up",
        )}, backend=self.backend, now=lambda: self.time, new_id=self._new_id)  # type: ignore[arg-type]  # fmt: skip
        self._ids = 0
        self.guard = Guard(self.pool, self.rules, hub=self.hub, hub_token="secret")  # type: ignore[arg-type]
        run_instance(self.ledger)

    def _new_id(self) -> str:
        self._ids += 1
        return f"n{self._ids}"

    async def look(self, *, minutes: float = 5) -> list[GuardNote]:
        """A look after so many minutes, and the notes of the person then."""
        self.time += timedelta(minutes=minutes)
        await self.guard.look()
        return self.ledger.read(guard_notes.of_person, "ann")

    async def work(self, *, hours: float, share: float = 1.0) -> list[GuardNote]:
        """Looks for so many hours, in which the slot uses this share of its one processor."""
        for _ in range(int(hours * 12)):
            self.backend.use = SlotUse(seconds=(self.backend.use.seconds or 0) + 300 * share)
            notes = await self.look()
        return notes


def watching(ledger: Ledger, **rules: object) -> Watching:
    return Watching(ledger, GuardSettings.model_validate({"ports": [3334], **rules}))


async def test_a_program_and_a_place_are_noted_once_and_nothing_follows(ledger: Ledger) -> None:
    here = watching(ledger)
    here.backend.use = MINER
    notes = await here.look()
    assert [(one.kind, one.evidence, one.instance_id) for one in notes] == [
        (GuardKind.PROCESS, {"names": ["xmrig"]}, "i1"),
        (GuardKind.PLACE, {"places": ["203.0.113.80:3333"]}, "i1"),
    ]
    again = await here.look()
    assert [one.id for one in again] == [one.id for one in notes]
    assert {one.seen_at for one in again} == {here.time}
    assert {one.noted_at for one in again} == {here.time - timedelta(minutes=5)}
    assert here.hub.asked == 0, "JupyterHub is asked about busy instances only"
    assert here.backend.shares == []
    assert ledger.read(instances.get, "i1").state is InstanceState.RUNNING


@pytest.mark.parametrize(("idle", "noted"), [(90, True), (10, False)])
async def test_busy_for_hours_is_noted_where_nobody_is_there(ledger: Ledger, idle: float, noted: bool) -> None:
    here = watching(ledger)
    here.hub.last = NOW + timedelta(hours=3) - timedelta(minutes=idle)
    notes = await here.work(hours=3)
    assert [one.kind for one in notes] == ([GuardKind.BUSY] if noted else [])
    assert 0 < here.hub.asked < 36


async def test_a_hub_that_is_away_accuses_nobody(ledger: Ledger) -> None:
    here = watching(ledger)
    here.hub.is_away = True
    assert await here.work(hours=3) == []


async def test_light_use_asks_nothing(ledger: Ledger) -> None:
    here = watching(ledger)
    assert await here.work(hours=3, share=0.3) == []
    assert here.hub.asked == 0


async def test_slower_then_stopped_where_the_operator_says_so(ledger: Ledger) -> None:
    here = watching(ledger, slower_after_minutes=10, slower_share=0.5, stop_after_minutes=20)
    here.backend.use = MINER
    await here.look()
    await here.look(minutes=9)
    assert here.backend.shares == []
    notes = await here.look(minutes=1)
    assert here.backend.shares == [0.5]
    assert [one.slowed_at is not None for one in notes].count(True) >= 1
    notes = await here.look(minutes=10)
    assert all(one.stopped_at == here.time for one in notes)
    instance = ledger.read(instances.get, "i1")
    assert (instance.state in (InstanceState.STOPPING, InstanceState.ENDED), instance.reason) == (True, EndReason.GUARD)


async def test_a_slowed_instance_is_measured_by_what_it_has(ledger: Ledger) -> None:
    """Else a slowed one would never look busy again, and never be stopped."""
    here = watching(ledger, away_minutes=0, slower_after_minutes=0, slower_share=0.25, stop_after_minutes=600)
    await here.work(hours=3)
    assert here.backend.shares == [0.25]
    (note,) = await here.work(hours=3, share=0.25)
    assert note.seen_at == here.time


async def test_a_dismissed_note_leads_to_nothing_and_gives_the_speed_back(ledger: Ledger) -> None:
    here = watching(ledger, slower_after_minutes=0, stop_after_minutes=10)
    here.backend.use = SlotUse(names=("xmrig",))
    (note,) = await here.look()
    assert here.backend.shares == [0.25]
    assert ledger.write(guard_notes.dismiss, note.id, by="admin", now=here.time)
    assert not ledger.write(guard_notes.dismiss, note.id, by="admin", now=here.time), "once"
    (note,) = await here.look()
    assert here.backend.shares == [0.25, 1]
    (note,) = await here.look(minutes=60)
    assert (note.dismissed_by, note.slowed_at, note.stopped_at) == ("admin", None, None)
    assert here.backend.shares == [0.25, 1]
    assert ledger.read(guard_notes.undismissed, at_most=10) == []
    assert ledger.read(instances.get, "i1").state is InstanceState.RUNNING


async def test_a_look_says_what_cannot_be_seen(ledger: Ledger) -> None:
    here = watching(ledger)
    here.backend.unseen = Unseen.NO_METRICS
    await here.look()
    look = ledger.read(guard_notes.last_look)
    assert look is not None
    assert (look.at, look.instances) == (here.time, 1)
    assert look.sight == {"unseen": "no_metrics", "inside": True, "slows": True}


def test_a_guard_that_is_off_never_looks(ledger: Ledger) -> None:
    assert watching(ledger).guard.is_due
    assert not Guard(pool_on(ledger), GuardSettings(note=False), hub=None, hub_token="").is_due  # type: ignore[arg-type]


async def test_looks_are_minutes_apart(ledger: Ledger) -> None:
    here = watching(ledger)
    await here.look()
    here.time += timedelta(minutes=4.9)
    assert not here.guard.is_due
    here.time += timedelta(minutes=0.1)
    assert here.guard.is_due


async def test_notes_are_a_persons_and_go_with_time(ledger: Ledger) -> None:
    here = watching(ledger)
    here.backend.use = SlotUse(names=("xmrig",))
    await here.look()
    (shown,) = ledger.read(guard_notes.undismissed, at_most=10)
    assert shown.instance is not None
    assert shown.instance.id == "i1"
    assert ledger.write(guard_notes.prune, before=here.time) == 0
    assert ledger.write(guard_notes.prune, before=here.time + timedelta(seconds=1)) == 1


def test_notes_go_along_when_two_people_turn_out_to_be_one(ledger: Ledger) -> None:
    ids = iter(("p1", "p2", "p3"))
    first, second = HubUser(1, "ann", "2026-01-01T00:00:00Z"), HubUser(2, "ann2", "2026-02-01T00:00:00Z")
    identity = Identity("https://id.example.org", "d" * 64)
    known = ledger.write(people.identify, first, identity, new_id=lambda: next(ids), now=NOW)
    ledger.write(people.leave, first)
    other = ledger.write(people.of_user, second, new_id=lambda: next(ids), now=NOW)
    note = GuardNote("n", other.id, "i", GuardKind.BUSY, {}, NOW, NOW, NOW)
    ledger.write(guard_notes.put, note)
    ledger.write(people.identify, second, identity, new_id=lambda: next(ids), now=NOW)
    assert [one.id for one in ledger.read(guard_notes.of_person, known.id)] == ["n"]


def test_an_instance_is_found_by_its_slot_and_by_its_address(ledger: Ledger) -> None:
    for name, slot, url in (("i1", "s1", "http://10.1.2.3:8888"), ("i2", "s2", "http://[fd00::7]:8888")):
        request(ledger, name, user=name)
        ledger.write(instances.attach_slot, name, slot)
        ledger.write(instances.mark_running, name, url=url, now=later(1), ends_at=later(60))
    assert {slot: one.id for slot, one in ledger.read(whereabouts.of_slots, ["s1", "s2", "s3"]).items()} == {
        "s1": "i1",
        "s2": "i2",
    }
    assert [one.id for one in ledger.read(whereabouts.at_address, "10.1.2.3")] == ["i1"]
    assert [one.id for one in ledger.read(whereabouts.at_address, "fd00::7")] == ["i2"]
    assert ledger.read(whereabouts.at_address, "10.1.2") == []
