"""The hub's round over the routes: no query for each, few rows at once, routes compared where some are missing."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub import orm
from sqlalchemy import event

from spawner.hub.activity import WRITTEN_AT_ONCE, ActivityRounds

AT = datetime(2026, 3, 1, 12)  # noqa: DTZ001  (as JupyterHub's tables have times)
HUB = "/hub/"


class Proxy:
    """Has routes, and counts comparisons."""

    def __init__(self, routes: dict[str, Any]) -> None:
        self.routes = routes
        self.checks = 0

    async def get_all_routes(self) -> dict[str, Any]:
        return self.routes

    async def check_routes(self, *_: Any) -> None:
        self.checks += 1


class Rounds:
    """A hub with `count` running servers, its rounds, and what they ask of the database."""

    def __init__(self, count: int) -> None:
        session = orm.new_session_factory("sqlite:///:memory:")()
        users = {}
        for number in range(count):
            row = orm.User(name=f"u{number}", last_activity=AT)
            spawner = orm.Spawner(name="", user=row, last_activity=AT)
            session.add(spawner)
            held = SimpleNamespace(orm_spawner=spawner, ready=True)
            users[number] = SimpleNamespace(name=row.name, orm_user=row, spawners={"": held})
        session.commit()
        self.users = users
        routes = {f"/user/u{number}/": self.route(number, AT) for number in range(count)}
        self.proxy = Proxy({HUB: {"data": {"hub": True}}} | routes)
        self.app = SimpleNamespace(
            db=session, users=users, proxy=self.proxy, _service_map={}, hub=SimpleNamespace(routespec=HUB),
            log=logging.getLogger("test"),
        )  # fmt: skip
        self.clock = 0.0
        self.rounds = ActivityRounds(self.app, monotonic=lambda: self.clock)
        self.selects: list[str] = []
        self.commits: list[int] = []
        event.listen(session.get_bind(), "before_cursor_execute", self._note)
        event.listen(session, "before_flush", lambda flushed, *_: self.commits.append(len(flushed.dirty)))

    def _note(self, _: Any, __: Any, statement: str, *___: Any) -> None:
        # Of a route's user, or of a user's servers. Listeners for groups have queries of their own.
        if "WHERE users.name = " in statement or "FROM spawners" in statement:
            self.selects.append(statement)

    @staticmethod
    def route(number: int, at: datetime) -> dict[str, Any]:
        data = {"user": f"u{number}", "server_name": "", "last_activity": at.isoformat() + "Z"}
        return {"target": "http://127.0.0.1:1", "data": data}

    def be_active(self, numbers: range, at: datetime) -> None:
        for number in numbers:
            self.proxy.routes[f"/user/u{number}/"] = self.route(number, at)

    def seen(self, number: int) -> tuple[datetime, datetime]:
        user = self.users[number]
        return user.orm_user.last_activity, user.spawners[""].orm_spawner.last_activity


LATER = AT + timedelta(minutes=1)


async def test_activity_is_written_without_a_query_and_in_parts() -> None:
    hub = Rounds(250)
    await hub.rounds.run()
    hub.be_active(range(220), LATER)
    hub.selects.clear()
    hub.commits.clear()
    await hub.rounds.run()
    assert hub.selects == []
    assert hub.seen(0) == (LATER, LATER)
    assert hub.seen(219) == (LATER, LATER)
    assert hub.seen(220) == (AT, AT)
    assert len(hub.commits) == 3
    assert max(hub.commits) <= 2 * WRITTEN_AT_ONCE, "rows of users and servers"


async def test_what_has_not_changed_is_not_written_again() -> None:
    hub = Rounds(5)
    await hub.rounds.run()
    hub.commits.clear()
    await hub.rounds.run()
    assert hub.commits == []


async def test_older_activity_does_not_replace_newer() -> None:
    hub = Rounds(1)
    hub.be_active(range(1), AT - timedelta(hours=1))
    await hub.rounds.run()
    assert hub.seen(0) == (AT, AT)


async def test_a_server_that_is_not_in_memory_is_found_in_the_database() -> None:
    hub = Rounds(2)
    user = hub.users.pop(1)
    hub.be_active(range(2), LATER)
    hub.proxy.routes["/user/unknown/"] = {"data": {"user": "unknown", "server_name": "", "last_activity": "2026-03-01T00:00:00Z"}}  # fmt: skip  # noqa: E501
    await hub.rounds.run()
    assert user.orm_user.last_activity == LATER


@pytest.mark.parametrize("lost", ["/user/u3/", HUB])
async def test_lost_routes_are_found_in_the_next_round(lost: str) -> None:
    hub = Rounds(5)
    await hub.rounds.run()
    await hub.rounds.run()
    assert hub.proxy.checks == 1, "the first round, and not again where nothing is missing"
    del hub.proxy.routes[lost]
    await hub.rounds.run()
    assert hub.proxy.checks == 2


async def test_routes_are_compared_every_minute_in_any_case() -> None:
    hub = Rounds(5)
    await hub.rounds.run()
    hub.clock = 61
    await hub.rounds.run()
    assert hub.proxy.checks == 2


async def test_a_round_that_cannot_be_written_is_written_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy.exc import OperationalError

    hub = Rounds(2)
    await hub.rounds.run()
    hub.be_active(range(2), LATER)
    with monkeypatch.context() as broken:

        def fail() -> None:
            raise OperationalError("", None, Exception("locked"))

        broken.setattr(hub.app.db, "commit", fail)
        await hub.rounds.run()
    assert hub.seen(0) == (AT, AT)
    await hub.rounds.run()
    assert hub.seen(0) == (LATER, LATER)
