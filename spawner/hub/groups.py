"""Writes to the ledger which groups JupyterHub's users are in, and which of them the login names.

JupyterHub has both kinds in one list. What the login names comes from the login itself; the rest of the list is
JupyterHub's own. Admission and the desk read the ledger only, so changes are written at each login, refresh, start and
change of a group in JupyterHub, and once after the hub has started.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jupyterhub import orm
from sqlalchemy import Connection, event, inspect, select
from sqlalchemy.orm import Session, selectinload
from tornado.web import HTTPError

from spawner.aio import TaskSet
from spawner.errors import FreepoolError
from spawner.hub.people import HubPeople, hub_people
from spawner.ledger.people import groups, people
from spawner.ledger.people.rows import GroupSource, HubUser

log = logging.getLogger("freepool.hub")
CHANGED = "freepool_users_with_changed_groups"
MOST_USERS = 1000
"""Where more change at once, the groups of everybody are compared."""
CHUNK = 200
"""People whose groups are written in one transaction."""


async def record_login(user: Any, names: Collection[str]) -> None:
    """A user has logged in. Raises HTTPError where that cannot be written: rights that are gone must not stay."""
    try:
        await _record(user, names)
    except FreepoolError as error:
        raise HTTPError(503, error.message) from error


async def record_refresh(user: Any, names: Collection[str]) -> None:
    """The provider was asked again. That runs within any request of the user's, which must not fail for it."""
    try:
        await _record(user, names)
    except FreepoolError as error:
        log.warning("the groups of %s are not in the ledger yet: %s", user.name, error)


async def _record(user: Any, names: Collection[str]) -> None:
    people_of_hub = hub_people(user.settings)
    await people_of_hub.record_groups(await people_of_hub.of(people_of_hub.user(user)), user, login=names)


@dataclass
class GroupListener:
    """Follows all changes of JupyterHub's groups."""

    people_of_hub: HubPeople
    _has_caught_up: bool = False
    _order: asyncio.Lock = field(default_factory=asyncio.Lock)
    _background: TaskSet = field(default_factory=lambda: TaskSet(_log_failure))

    def listen(self, sessions: Any = Session) -> None:
        """Begin. `sessions`: a session or a class of them."""
        event.listen(sessions, "before_flush", self._note)
        event.listen(sessions, "after_commit", self._follow)
        event.listen(sessions, "after_rollback", lambda session: session.info.pop(self._key, None))

    @property
    def _key(self) -> str:
        """Where a session keeps what this listener has noted."""
        return f"{CHANGED}-{id(self)}"

    def _follow(self, session: Session) -> None:
        changed = session.info.pop(self._key, None)
        if not self._has_caught_up or (changed and len(changed) > MOST_USERS):
            changed = None  # all of them
        elif not changed:
            return
        work = self._write(session, changed)
        try:
            self._background.start(work)
            self._has_caught_up = True
        except RuntimeError:  # no event loop yet, or a command of JupyterHub's
            work.close()

    def _note(self, session: Session, _context: Any, _instances: Any) -> None:
        """Note whose groups the flush changes, from whichever side they were changed."""
        changed: set[int] = session.info.setdefault(self._key, set())
        for row in (*session.dirty, *session.new):
            if isinstance(row, orm.User) and inspect(row).attrs.groups.history.has_changes() and row.id:
                changed.add(row.id)
            elif isinstance(row, orm.Group):
                history = inspect(row).attrs.users.history
                changed.update(user.id for user in (*history.added, *history.deleted) if user.id)
        for row in session.deleted:
            if isinstance(row, orm.Group):
                history = inspect(row).attrs.users.load_history()
                changed.update(user.id for user in history.sum() if user.id)

    async def _write(self, session: Session, user_ids: set[int] | None) -> None:
        """Write the groups of these users; None: of everybody. Those whom the ledger does not know follow later."""
        try:
            async with self._order:  # an older list must not be written after a newer one
                in_hub = _groups_in_hub(session, user_ids, self.people_of_hub.user)
                changed = await self.people_of_hub.ledger.aread(_different, in_hub, user_ids, self.people_of_hub.hub)
                for begin in range(0, len(changed), CHUNK):
                    await self.people_of_hub.ledger.awrite(self._record_all, changed[begin : begin + CHUNK])
        except FreepoolError as error:
            self._has_caught_up = False
            log.warning("changed groups are not in the ledger yet; the next change tries again: %s", error)

    def _record_all(self, connection: Connection, changed: Iterable[tuple[str, frozenset[str]]]) -> None:
        login = None if self.people_of_hub.settings.login.has_provider else ()
        for person_id, hub in changed:
            groups.record_hub(connection, person_id, hub=hub, login=login, now=self.people_of_hub.now())


def _groups_in_hub(
    session: Session, user_ids: set[int] | None, hub_user: Callable[[orm.User], HubUser]
) -> dict[HubUser, frozenset[str]]:
    """The groups of these users; None: of all who are in one."""
    query = select(orm.User).options(selectinload(orm.User.groups))
    query = query.where(orm.User.groups.any() if user_ids is None else orm.User.id.in_(user_ids))
    with session.no_autoflush:  # a request may be in the middle of a change
        users = session.execute(query).scalars()
        return {hub_user(user): frozenset(group.name for group in user.groups) for user in users}


def _different(
    connection: Connection, in_hub: Mapping[HubUser, frozenset[str]], user_ids: set[int] | None, hub: str
) -> list[tuple[str, frozenset[str]]]:
    """Ids of this hub's people whose groups in the ledger are not those that JupyterHub has, and the latter."""
    groups_of = {(user.id, user.since): names for user, names in in_hub.items()}
    persons = people.present(connection, user_ids, hub)
    recorded = groups.by_person(connection, None if user_ids is None else [person.id for person in persons])
    found = []
    for person in persons:
        had = recorded.get(person.id, {})
        has = groups_of.get((person.hub_id or 0, person.hub_since or ""), frozenset())
        if had.get(GroupSource.HUB, set()) != has - had.get(GroupSource.LOGIN, set()):
            found.append((person.id, has))
    return found


def _log_failure(subject: str, error: BaseException) -> None:  # noqa: ARG001
    log.warning("changed groups are not in the ledger yet; they are written when the user comes", exc_info=error)
