"""JupyterHub's start loads its tables with a number of queries that does not grow with servers and accounts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub import orm
from jupyterhub.app import JupyterHub
from jupyterhub.auth import DummyAuthenticator
from jupyterhub.objects import Hub
from jupyterhub.spawner import SimpleLocalProcessSpawner
from jupyterhub.user import UserDict
from sqlalchemy import event

from spawner.hub.loading import load_few

AT = datetime(2026, 3, 1)  # noqa: DTZ001  (as JupyterHub's tables have times)


class Running(SimpleLocalProcessSpawner):  # type: ignore[misc]
    """A server that runs, which the test does not ask over HTTP."""

    async def poll(self) -> int | None:
        return 0


@pytest.fixture
def _loads_few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("init_spawners", "init_users"):
        monkeypatch.setattr(JupyterHub, name, vars(JupyterHub)[name])  # put back afterwards
    load_few()


def hub_with(count: int) -> JupyterHub:
    """A hub whose database has so many users, each with a running server and a role."""
    make = orm.new_session_factory("sqlite:///:memory:")
    with make() as session:
        role = orm.Role(name="user", scopes=["self"])
        for number in range(count):
            user = orm.User(name=f"u{number}", created=AT, roles=[role])
            spawner = orm.Spawner(name="", user=user, started=AT)
            spawner.server = orm.Server(ip="127.0.0.1", port=1, base_url=f"/user/u{number}/")
            session.add(spawner)
        session.commit()
    app = JupyterHub(authenticator_class=DummyAuthenticator)
    app.authenticator = DummyAuthenticator(allow_all=True)
    app.session_factory = make
    app.db = make()
    settings = {"spawner_class": Running, "authenticator": app.authenticator, "hub": Hub(), "base_url": "/"}
    app.users = UserDict(lambda: app.db, settings | {"config": None})
    app.proxy = SimpleNamespace()
    return app


@contextmanager
def queries(app: JupyterHub) -> Iterator[list[str]]:
    """The SELECT statements of the block."""
    found: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.startswith("SELECT"):
            found.append(statement)

    engine = app.db.get_bind()
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def queries_of(method: str, count: int) -> list[str]:
    app = hub_with(count)
    with queries(app) as found:
        await getattr(app, method)()
    return found


@pytest.mark.usefixtures("_loads_few")
async def test_running_servers_are_loaded_by_as_many_queries_whatever_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def nothing(*_: Any) -> None:
        return

    monkeypatch.setattr("jupyterhub.user.User.stop", nothing)
    few, many = len(await queries_of("init_spawners", 20)), len(await queries_of("init_spawners", 200))
    assert many <= few + 4, f"{few} queries for 20, {many} for 200"


@pytest.mark.usefixtures("_loads_few")
async def test_accounts_are_loaded_without_roles_and_groups() -> None:
    found = await queries_of("init_users", 5)
    assert any("FROM users" in query for query in found)
    assert not any("user_role_map" in query or "user_group_map" in query for query in found)
