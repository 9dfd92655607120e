"""Several hubs on one ledger: each sees its own people, one line is everybody's, and a drain ends nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from jupyterhub import orm
from tornado.web import Finish

from spawner.aio import KeyedTaskSet
from spawner.desk.admin.metrics import read_scrape
from spawner.desk.admin.state import read_admin
from spawner.errors import NameTaken, OfAnotherHub
from spawner.hub.context import HUB_POOL_KEY
from spawner.hub.groups import _different
from spawner.hub.people import PEOPLE_KEY, HubPeople
from spawner.hub.running import read_running
from spawner.hub.terms import check_before_spawn
from spawner.hub_settings import HubSettings
from spawner.ledger import Ledger, TicketState, leases
from spawner.ledger.people import bans, forgetting, groups, moves, people
from spawner.ledger.people.rows import Ban, BanCode, GroupSource, HubUser, Identity, Person
from spawner.ledger.pool import instances
from spawner.ledger.pool.open_rows import OpenRowsReader
from spawner.ledger.transitions import revision
from spawner.local.liveness import make_questions
from spawner.pool.build import utc_now
from spawner.pool.day_reader import DayReader
from spawner.settings import Settings
from spawner.steward.dispatch import Dispatcher
from spawner.steward.guard import _running
from spawner.terms.documents import documents_of
from tests.ledger.pool import SimulatedPool
from tests.ledger.rows import NOW, request
from tests.paid.make import write_binding, write_order

SINCE = "2026-03-01T00:00:00Z"
ANN, BOB = HubUser(1, "ann", SINCE), HubUser(1, "bob", SINCE, "b")
"""The first user of each hub, made at the same time."""


def subject(name: str) -> Identity:
    return Identity("https://issuer", name.ljust(64, "0"))


def log_in(ledger: Ledger, user: HubUser, new_id: str = "") -> Person:
    """The person's id is the name at the first login."""
    return ledger.write(people.identify, user, subject(user.name), new_id=lambda: new_id or user.name, now=NOW)


def drain(ledger: Ledger, limit: int = 100) -> int:
    """Move people from hub `main` to hub `b`."""
    return ledger.write(moves.move, "main", to="b", now=NOW, limit=limit)


@pytest.fixture
def two(ledger: Ledger) -> Ledger:
    """A ledger with Ann on hub `main` and Bob on hub `b`, who has the same number there."""
    assert {log_in(ledger, ANN).hub, log_in(ledger, BOB).hub} == {"main", "b"}
    return ledger


def test_users_of_two_hubs_with_one_number_are_two_people(two: Ledger) -> None:
    assert two.read(people.current, "ann", SINCE).id == "ann"
    assert two.read(people.current, "bob", SINCE, "b").id == "bob"
    assert two.read(people.current, "bob", SINCE) is None
    assert [one.id for one in two.read(people.present)] == ["ann"]
    assert [one.id for one in two.read(people.present, [1], "b")] == ["bob"]
    namesake = two.write(people.of_user, HubUser(2, "ann", SINCE, "b"), new_id=lambda: "other", now=NOW)
    assert namesake.id == "other"
    two.write(people.leave, BOB)
    assert two.read(people.current, "ann", SINCE).hub_id == 1


def test_a_hub_writes_groups_of_its_own_people_only(two: Ledger) -> None:
    for person in ("ann", "bob"):
        two.write(groups.record_hub, person, hub=["course"], now=NOW)
    assert two.read(_different, {}, None, "b") == [("bob", frozenset())], "Ann's groups are not for hub b to remove"
    assert two.read(groups.of, "ann", GroupSource.HUB) == ("course",)


def test_a_hub_that_comes_back_sees_its_own_peoples_servers(two: Ledger) -> None:
    for person in ("ann", "bob"):
        request(two, f"i-{person}", user=person)
        two.write(instances.mark_running, f"i-{person}", url="http://x", now=NOW, ends_at=NOW)
    assert [one.id for one in two.read(read_running, "b").people.values()] == ["bob"]
    assert [one.id for one in two.read(read_running).people.values()] == ["ann"]


def test_a_ban_is_found_by_its_own_hubs_user(two: Ledger) -> None:
    assert not bans.BannedUser(None, 1, "ann", SINCE).is_of(BOB)  # type: ignore[arg-type]
    assert not bans.BannedUser(None, None, "bob", SINCE).may_be_of(BOB)  # type: ignore[arg-type]


def test_who_logs_in_at_another_hub_is_led_to_theirs_and_nothing_is_written(two: Ledger) -> None:
    before = two.read(revision)
    with pytest.raises(OfAnotherHub) as refused:
        two.write(people.identify, HubUser(7, "bob", SINCE), subject("bob"), new_id=lambda: "new", now=NOW)
    assert refused.value.hub == "b"
    assert two.read(revision) == before
    assert len(two.read(people.of_name, "bob")) == 1


def test_a_drain_moves_who_has_nothing_and_they_stay_the_same_person(two: Ledger) -> None:
    assert drain(two) == 1
    assert drain(two) == 0
    assert {two.read(people.get, name).hub for name in ("ann", "bob")} == {"b"}
    with pytest.raises(OfAnotherHub):  # JupyterHub still has the user, with a session
        two.write(people.of_user, ANN, new_id=lambda: "new", now=NOW)
    there = HubUser(9, "ann", "2026-04-01T00:00:00Z", "b")
    back = log_in(two, there, "new")
    assert (back.id, back.hub, back.hub_id) == ("ann", "b", 9)
    assert two.write(moves.move, "b", to="main", now=NOW, limit=100) == 2
    again = two.write(people.of_user, ANN, new_id=lambda: "new", now=NOW)
    assert (again.id, again.hub, again.hub_id) == ("ann", "main", 1), "by the session of before"
    with pytest.raises(OfAnotherHub):
        two.write(people.of_user, there, new_id=lambda: "new", now=NOW)


def test_a_user_made_later_under_the_name_of_one_who_was_moved_is_somebody_else(two: Ledger) -> None:
    drain(two)
    taker = two.write(people.of_user, HubUser(9, "ann", "2026-04-01T00:00:00Z", "b"), new_id=lambda: "new", now=NOW)
    assert taker.id == "new"


def test_a_moved_person_is_erased_once_the_former_hub_has_deleted_the_user(two: Ledger) -> None:
    drain(two)
    refused = [one.message for one in two.read(forgetting.preview, "ann", now=NOW).refusals]
    assert refused == ["The JupyterHub of the hub main, from which ann was moved, still has the user."]
    assert two.read(forgetting.preview, "ann", now=NOW, is_gone=True).refusals == ()
    there = HubUser(9, "ann", "2026-04-01T00:00:00Z", "b")
    log_in(two, there, "new")
    refused += [one.message for one in two.read(forgetting.preview, "ann", now=NOW).refusals]
    assert refused[1:] == ["JupyterHub still has the user ann.", refused[0]], "by both hubs"
    two.write(people.leave, ANN)
    two.write(people.leave, there)
    assert two.read(forgetting.preview, "ann", now=NOW).refusals == ()


def test_a_name_is_kept_for_who_was_moved_until_they_come(two: Ledger) -> None:
    assert two.read(people.is_name_elsewhere, "ann", "b")
    assert not two.read(people.is_name_elsewhere, "ann", "main")
    drain(two)
    two.write(people.leave, ANN)
    assert two.read(people.is_name_elsewhere, "ann", "b"), "she has not logged in there yet"
    log_in(two, HubUser(9, "ann", "2026-04-01T00:00:00Z", "b"), "new")
    assert not two.read(people.is_name_elsewhere, "ann", "b")


def test_a_drain_leaves_whom_it_would_cost_something(ledger: Ledger) -> None:
    pool = SimulatedPool(ledger)
    for number, name in enumerate(("runs", "waits", "pays", "taken", "idle"), start=1):
        log_in(ledger, HubUser(number, name, SINCE))
    ledger.write(people.of_user, HubUser(6, "by-link", SINCE), new_id=lambda: "by-link", now=NOW)
    ledger.write(people.of_user, HubUser(1, "taken", SINCE, "b"), new_id=lambda: "taken-b", now=NOW)
    running = pool.start("runs")
    waiting = pool.ask("waits")
    assert waiting.state is TicketState.WAITING
    write_binding(ledger, "b1", user_name="pays")
    write_order(ledger, "o1", user_name="pays")
    log_in(ledger, HubUser(7, "banned", SINCE))
    banned = ledger.read(people.of_name, "banned")[0].id
    ledger.write(bans.put, Ban("ban-1", banned, BanCode.MINING, "", "", "", "root", NOW, None))
    assert ledger.read(moves.movable, "main", to="b", now=NOW, limit=100) == ["idle"]
    assert drain(ledger) == 1
    assert ledger.read(instances.get, running.id).ended_at is None
    assert pool.ticket(waiting).state is TicketState.WAITING
    pool.end(running)
    pool.finish_endings()
    assert drain(ledger) == 1, "now"


def test_a_start_on_the_former_hub_is_refused_in_its_own_transaction(two: Ledger) -> None:
    pool = SimulatedPool(two)
    drain(two)
    with pytest.raises(OfAnotherHub):
        two.write(replace(pool.admission, hub="main").ask, pool.spawn_request("ann"))
    assert pool.alive() == []
    assert two.write(replace(pool.admission, hub="b").ask, pool.spawn_request("ann")).state is TicketState.CALLED


async def test_one_line_whose_turns_each_hub_starts_for_its_own(two: Ledger) -> None:
    """Bob waits for Ann's place. The steward of hub main calls him, and that of hub b has its hub start it."""
    pool = SimulatedPool(two)
    first = pool.start("ann")
    pool.ask("bob")
    pool.pass_time(5)
    pool.end(first)
    pool.finish_endings()
    asked: list[tuple[str, str]] = []
    by_hub = {name: _dispatcher(pool, name, asked) for name in ("main", "b")}
    await by_hub["b"][0].round(serve_pool=False)
    assert [ticket.state for ticket in pool.alive()] == [TicketState.WAITING], "another steward acts on the pool"
    await by_hub["main"][0].round()
    assert [ticket.state for ticket in pool.alive()] == [TicketState.CALLED]
    await by_hub["main"][1].join()
    assert asked == [], "hub main has no such user, and would end the ticket"
    await by_hub["b"][0].round(serve_pool=False)
    await by_hub["b"][1].join()
    assert asked == [("b", "bob")]


def test_a_guard_looks_at_its_own_hubs_instances(two: Ledger) -> None:
    pool = SimulatedPool(two)
    instance = pool.start("ann")
    assert [one.id for one in two.read(_running, "main")] == [instance.id]
    assert two.read(_running, "b") == []


async def test_a_hub_whose_own_steward_is_dead_says_so_while_another_acts_on_the_pool(ledger: Ledger) -> None:
    now, duration = utc_now(), timedelta(hours=1)
    for name in (leases.STEWARD, leases.hub_lease("main")):
        assert ledger.write(leases.hold, name, holder="a", now=now, duration=duration)

    def ends(hub: str) -> list[datetime | None]:
        limits, days = SimulatedPool(ledger).catalog.limits, DayReader()
        return [
            ledger.read(read_admin, limits=limits, now=now, hub=hub).lease_ends_at,
            ledger.read(read_scrape, limits=limits, now=now, days=days, hub=hub).lease_ends_at,
        ]

    async def is_alive(hub: str) -> bool:
        settings: Any = SimpleNamespace(hubs=HubSettings.model_construct(name=hub))
        return await make_questions(settings, ledger)["steward"]()

    assert ends("main") == [now + duration] * 2
    assert ends("b") == [None] * 2
    assert ledger.write(leases.hold, leases.hub_lease("b"), holder="b", now=now, duration=-duration)
    assert ends("b") == [now - duration] * 2
    assert await is_alive("main")
    assert not await is_alive("b")


def hub_people(ledger: Ledger, name: str) -> HubPeople:
    """The people of one of two hubs, whose users log in by a link and need not accept terms."""
    others = {"main": "https://a.example.org", "b": "https://b.example.org"}
    settings = Settings.model_validate(
        {
            "catalog": "/c",
            "state": "/s",
            "examples": "/e",
            "public": others.pop(name),
            "kubernetes": {"namespace": "pool"},
            "hubs": {"name": name, "others": others},
        }
    )
    made = HubPeople(settings, now=lambda: NOW, new_id=lambda: "new")
    vars(made)["ledger"] = ledger
    return made


async def test_the_page_that_starts_a_notebook_redirects_who_was_moved_also_without_terms(
    sqlite_ledger: Ledger,
) -> None:
    log_in(sqlite_ledger, ANN)
    of_main, pool = hub_people(sqlite_ledger, "main"), SimulatedPool(sqlite_ledger)
    asked: list[str] = []
    created = datetime.fromisoformat(SINCE).replace(tzinfo=None)
    context = SimpleNamespace(settings=of_main.settings, documents=documents_of(of_main.settings, pool.catalog))
    handler = SimpleNamespace(
        current_user=SimpleNamespace(id=1, name="ann", created=created, orm_user=orm.User(name="ann")),
        settings={HUB_POOL_KEY: context, PEOPLE_KEY: lambda: of_main},
        request=SimpleNamespace(uri="/hub/spawn?flavor=small"),
        redirect=asked.append,
    )
    await check_before_spawn(handler)
    assert asked == []
    drain(sqlite_ledger)
    with pytest.raises(Finish):
        await check_before_spawn(handler)
    assert asked == ["https://b.example.org/hub/spawn?flavor=small"]


async def test_somebody_else_does_not_get_the_name_of_who_was_moved_and_has_not_come_yet(
    sqlite_ledger: Ledger,
) -> None:
    log_in(sqlite_ledger, ANN)
    drain(sqlite_ledger)
    of_b, admitted = hub_people(sqlite_ledger, "b"), AsyncMock()
    with orm.new_session_factory("sqlite:///:memory:")() as session:
        with pytest.raises(NameTaken):
            await of_b.log_in(session, "ann", subject("another"), admitted)
        admitted.assert_not_called()
        assert await of_b.log_in(session, "ann", subject("ann"), admitted) == "ann"


def _dispatcher(pool: SimulatedPool, name: str, asked: list[tuple[str, str]]) -> tuple[Dispatcher, KeyedTaskSet]:
    async def start(user_name: str, *_: Any, **__: Any) -> None:
        asked.append((name, user_name))

    parts: Any = SimpleNamespace(
        ledger=pool.ledger, catalog=pool.catalog, now=lambda: pool.time, admission=pool.admission
    )
    hub: Any = SimpleNamespace(start=start)
    nobody: Any = None
    tasks = KeyedTaskSet(lambda *_: None)
    made = Dispatcher(parts, tasks, OpenRowsReader(), hub=hub, hub_token="", webhook=None, asks=nobody, hub_name=name)
    return made, tasks
