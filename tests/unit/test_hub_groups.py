"""Groups of JupyterHub's users reach the ledger, from whichever side they change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jupyterhub import orm
from sqlalchemy.orm import Session

from spawner.errors import LedgerUnusable
from spawner.hub.groups import GroupListener
from spawner.hub.people import HubPeople, hub_user
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import migrate
from spawner.ledger.people import groups, people
from spawner.ledger.people.rows import GroupSource
from spawner.settings import Settings
from tests.unit.make import NOW


@pytest.fixture
def of_hub(tmp_path: Path) -> Iterator[HubPeople]:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
    settings = Settings(catalog=tmp_path, state=tmp_path, examples=tmp_path, ledger_url=url)
    made = HubPeople(settings, now=lambda: NOW, new_id=lambda: "unused")
    yield made
    made.ledger.close()


@pytest.fixture
def session() -> Iterator[Session]:
    """JupyterHub's database: ann and bob, and the group `old`, in which ann is."""
    with orm.new_session_factory("sqlite:///:memory:")() as session:
        ann, bob = orm.User(name="ann"), orm.User(name="bob")
        session.add_all([ann, bob, orm.Group(name="old", users=[ann])])
        session.commit()
        yield session


@pytest.fixture
def listener(of_hub: HubPeople, session: Session) -> GroupListener:
    """The ledger knows ann and bob, and thinks that bob is in `gone`."""
    for name in ("ann", "bob"):
        user = hub_user(orm.User.find(session, name))
        of_hub.ledger.write(people.of_user, user, new_id=lambda name=name: name, now=NOW)
    of_hub.ledger.write(groups.replace, "bob", GroupSource.HUB, ["gone"], by="hub", now=NOW)
    of_hub.ledger.write(groups.replace, "bob", GroupSource.ADMINISTRATOR, ["op"], by="root", now=NOW)
    made = GroupListener(of_hub)
    made.listen(session)
    return made


async def test_groups_reach_the_ledger(of_hub: HubPeople, session: Session, listener: GroupListener) -> None:
    async def committed(change: Callable[[], object] = lambda: None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The groups of ann and bob after a change."""
        change()
        session.commit()
        await listener._background.join()
        ann, bob = (of_hub.ledger.read(groups.of, name) for name in ("ann", "bob"))
        return ann, bob

    ann, bob = (orm.User.find(session, name) for name in ("ann", "bob"))
    old = orm.Group.find(session, "old")
    session.execute(orm.User.__table__.select())  # a transaction, as the hub begins several when it starts
    assert await committed() == (("old",), ("op",)), "at the start: what changed while no hub listened"
    assert await committed(lambda: old.users.append(bob)) == (("old",), ("old", "op")), "from the group's side"
    assert await committed(lambda: ann.groups.remove(old)) == ((), ("old", "op")), "from the user's side"
    assert await committed(lambda: session.add(orm.Group(name="new", users=[ann]))) == (("new",), ("old", "op"))
    ann.groups.append(old)
    session.flush()
    session.rollback()
    assert await committed() == (("new",), ("old", "op")), "what is rolled back changes nothing"
    assert await committed(lambda: session.delete(old)) == (("new",), ("op",)), "a group is deleted"


class Away:
    """A ledger that cannot be reached."""

    async def aread(self, *_: object, **__: object) -> None:
        raise LedgerUnusable("The ledger does not answer.")


async def test_a_ledger_that_is_away_learns_at_the_next_change(
    of_hub: HubPeople, session: Session, listener: GroupListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = of_hub.ledger
    with monkeypatch.context() as away:
        away.setitem(vars(of_hub), "ledger", Away())
        orm.Group.find(session, "old")  # begins a transaction
        session.commit()
        await listener._background.join()
    assert ledger.read(groups.of, "ann") == ()
    orm.Group.find(session, "old")
    session.commit()
    await listener._background.join()
    assert ledger.read(groups.of, "ann") == ("old",)
