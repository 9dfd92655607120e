"""Which servers run is read once for all who ask, and says of none that it runs that does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from spawner.errors import BackendUnavailable
from spawner.hub.exit_watcher import ExitWatcher
from spawner.hub.running import FRESH_SECONDS, RunningReader
from spawner.hub.spawner import InstanceSpawner
from spawner.ledger import EndReason, Ledger
from spawner.ledger.people import people
from spawner.ledger.people.rows import HubUser
from spawner.ledger.pool import instances
from spawner.pool.backends.base import Phase, Slots
from tests.ledger.rows import later
from tests.ledger.running import run_instance
from tests.unit import make

ANN = HubUser(7, "ann", "2026-03-01T00:00:00Z")


class View:
    """The pool's slots; None: it cannot be reached."""

    def __init__(self, slots: Slots | None = None) -> None:
        self.slots = slots

    async def now(self) -> Slots:
        if self.slots is None:
            raise BackendUnavailable("away")
        return self.slots


def reader_of(ledger: Ledger, view: View, clock: Callable[[], float] = lambda: 0.0) -> tuple[RunningReader, list[str]]:
    """A reader, and the reads that it makes."""
    reads: list[str] = []

    async def aread(query: Any, *args: Any) -> Any:
        reads.append(query.__name__)
        return await ledger.aread(query, *args)

    return RunningReader(SimpleNamespace(aread=aread), view, clock), reads  # type: ignore[arg-type]


def slots_of(phase: Phase) -> Slots:
    return {"s1": make.status("s1", phase)}


async def test_hundreds_that_ask_at_once_make_one_read(ledger: Ledger) -> None:
    run_instance(ledger)
    person = ledger.write(people.of_user, ANN, new_id=lambda: "ann", now=later(0))
    clock = [0.0]
    reader, reads = reader_of(ledger, View(slots_of(Phase.READY)), lambda: clock[0])
    found = await asyncio.gather(*(reader.instance("ann", "") for _ in range(300)), reader.person(ANN))
    assert all(one is not None for one in found)
    assert found[-1] == person
    assert reads == ["read_running"]
    clock[0] = 2 * FRESH_SECONDS
    await reader.instance("ann", "")
    assert len(reads) == 2


@pytest.mark.parametrize("slots", [{}, slots_of(Phase.DEAD), None], ids=["gone", "dead", "unreachable"])
async def test_a_slot_that_is_not_seen_alive_is_looked_for_by_itself(ledger: Ledger, slots: Slots | None) -> None:
    run_instance(ledger)
    reader, _ = reader_of(ledger, View(slots))
    assert await reader.instance("ann", "") is None


async def test_what_ends_and_whom_the_hub_has_made_anew_are_not_listed(ledger: Ledger) -> None:
    run_instance(ledger)
    ledger.write(people.of_user, ANN, new_id=lambda: "ann", now=later(0))
    reader, _ = reader_of(ledger, View(slots_of(Phase.READY)))
    assert await reader.person(HubUser(8, "ann", ANN.since)) is None
    assert await reader.person(HubUser(7, "ann", "2026-04-01T00:00:00Z")) is None
    ledger.write(instances.mark_stopping, "i1", reason=EndReason.STOPPED, now=later(2))
    reader, _ = reader_of(ledger, View(slots_of(Phase.READY)))
    assert await reader.instance("ann", "") is None
    assert await reader.keys() == set()


class Watched:
    """A spawner that counts its polls, each of which finds its state unknown."""

    def __init__(self, key: tuple[str, str], slot_id: str = "s1") -> None:
        self.slot_id: str | None = slot_id
        self.server_key = key
        self.polls = 0

    async def poll_and_notify(self) -> int | None:
        self.polls += 1
        await asyncio.sleep(0)
        if self.server_key == ("broken", ""):
            raise RuntimeError("broken")
        return None


class Looks:
    """What is running by the ledger, for so many looks."""

    def __init__(self, *names: str, looks: int) -> None:
        self.keys = {(name, "") for name in names}
        self.left = looks

    async def running(self) -> set[tuple[str, str]]:
        for _ in range(5):  # let the polls of the look before end
            await asyncio.sleep(0)
        self.left -= 1
        if self.left < 0:
            raise asyncio.CancelledError
        return self.keys


async def look(watcher: ExitWatcher, looks: Looks) -> None:
    with pytest.raises(asyncio.CancelledError):
        await watcher.look_at_all(looks.running)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spawner.hub.exit_watcher.LOOK_SECONDS", 0)


async def test_servers_that_do_not_run_by_the_ledger_are_polled_until_their_state_is_known() -> None:
    watcher = ExitWatcher(View(slots_of(Phase.READY)))  # type: ignore[arg-type]
    running, ended, broken = (Watched((name, "")) for name in ("running", "ended", "broken"))
    for one in (running, ended, broken):
        watcher.add(one)
    await look(watcher, Looks("running", looks=2))
    assert (running.polls, ended.polls, broken.polls) == (0, 2, 2)
    watcher.remove(ended)
    await look(watcher, Looks("running", looks=1))
    assert ended.polls == 2


async def test_a_slot_whose_end_the_watch_did_not_show_is_found() -> None:
    watcher = ExitWatcher(View(slots_of(Phase.READY)))  # type: ignore[arg-type]
    here, gone = Watched(("a", "")), Watched(("b", ""), slot_id="s2")
    watcher.add(here)
    watcher.add(gone)
    await look(watcher, Looks("a", "b", looks=2))
    assert (here.polls, gone.polls) == (0, 2)


async def test_nothing_is_polled_while_the_pool_cannot_be_reached() -> None:
    watcher = ExitWatcher(View(None))  # type: ignore[arg-type]
    one = Watched(("a", ""))
    watcher.add(one)
    await look(watcher, Looks("a", looks=2))
    assert one.polls == 0


def test_jupyterhub_has_no_timer_for_each_server() -> None:
    watched: list[Any] = []
    context = SimpleNamespace(exit_watcher=SimpleNamespace(add=watched.append))
    spawner: Any = SimpleNamespace(is_paid=False, _hub_pool=context, _poll_callback=None)
    InstanceSpawner.start_polling(spawner)
    assert watched == [spawner]
    assert spawner._poll_callback is None
