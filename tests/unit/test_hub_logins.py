"""Two new accounts that log in under one name at the same time: the name and its person are the first one's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from jupyterhub import orm
from sqlalchemy.orm import Session

from spawner.errors import NameTaken
from spawner.hub.people import LOGIN_TIME, HubPeople, hub_user
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import migrate
from spawner.ledger.people.rows import Identity
from spawner.pool.build import new_id
from spawner.settings import Settings
from tests.unit.make import NOW

FIRST, SECOND = Identity("https://id", "first"), Identity("https://id", "second")


@pytest.fixture
def of_hub(tmp_path: Path) -> Iterator[HubPeople]:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
    settings = Settings(catalog=tmp_path, state=tmp_path, examples=tmp_path, ledger_url=url)
    made = HubPeople(settings, now=lambda: NOW, new_id=new_id)
    yield made
    made.ledger.close()


@pytest.fixture
def session() -> Iterator[Session]:
    with orm.new_session_factory("sqlite:///:memory:")() as session:
        yield session


def make_user(session: Session) -> orm.User:
    """As JupyterHub does after the login."""
    user = orm.User(name="ann")
    session.add(user)
    session.commit()
    return user


async def test_before_there_is_a_user_the_second_is_refused(of_hub: HubPeople, session: Session) -> None:
    assert await of_hub.log_in(session, "ann", FIRST) == "ann"
    used = []

    async def admit() -> None:
        used.append("invitation")

    with pytest.raises(NameTaken):
        await of_hub.log_in(session, "ann", SECOND, admit)
    assert used == [], "and keeps the invitation"
    assert await of_hub.log_in(session, "ann", FIRST) == "ann", "the same account again"
    person = await of_hub.of(hub_user(make_user(session)))
    assert person.identity == FIRST.digest


async def test_a_second_that_comes_while_the_first_is_admitted_is_refused(of_hub: HubPeople, session: Session) -> None:
    waits, goes_on = asyncio.Event(), asyncio.Event()

    async def admit() -> None:
        waits.set()
        await goes_on.wait()

    slow = asyncio.create_task(of_hub.log_in(session, "ann", SECOND, admit))
    await waits.wait()
    await of_hub.log_in(session, "ann", FIRST)
    goes_on.set()
    with pytest.raises(NameTaken):
        await slow
    assert (await of_hub.of(hub_user(make_user(session)))).identity == FIRST.digest


async def test_a_login_that_was_not_finished_gives_the_name_free(of_hub: HubPeople, session: Session) -> None:
    await of_hub.log_in(session, "ann", FIRST)
    of_hub.now = lambda: NOW + LOGIN_TIME + timedelta(seconds=1)
    await of_hub.log_in(session, "ann", SECOND)
    assert (await of_hub.of(hub_user(make_user(session)))).identity == SECOND.digest
