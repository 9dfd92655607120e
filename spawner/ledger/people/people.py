"""Queries of people."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from spawner.errors import NameTaken, OfAnotherHub
from spawner.hub_settings import MAIN_HUB
from spawner.ledger.bundles.tables import bundles, keep_choices
from spawner.ledger.channels.tables import channels, messages
from spawner.ledger.paid.tables import bindings, consents, notices, orders
from spawner.ledger.people.resolution import Candidate, resolve
from spawner.ledger.people.rows import HubUser, Identity, Person, TrustClass
from spawner.ledger.people.tables import bans, hub_moves, people, person_groups, terms_acceptances
from spawner.ledger.pool.tables import IS_UNENDED, guard_notes, instances, tickets
from spawner.ledger.time.tables import (
    allowance_charges,
    allowance_grants,
    allowance_holds,
    session_extensions,
    session_notices,
)
from spawner.ledger.transitions import touch

OWNED: tuple[Table, ...] = (
    instances, tickets, guard_notes, bindings, consents, orders, notices, bans, bundles,
    allowance_holds, allowance_charges, session_extensions, session_notices, messages, hub_moves,
)  # fmt: skip
"""The tables whose rows are a person's, by `person_id`. They go over where two people are found to be one."""
ONE_EACH: tuple[Table, ...] = (allowance_grants, channels, keep_choices, terms_acceptances)
"""Likewise, but a row goes only where the other person has none of its kind: one grant of a week, not two."""

_OF_USER = select(people).where(
    people.c.hub == bindparam("hub"),
    or_(people.c.hub_id == bindparam("id"), people.c.hub_name == bindparam("name")),
)
_CURRENT = select(people).where(
    people.c.hub == bindparam("hub"),
    people.c.hub_name == bindparam("name"),
    people.c.hub_since == bindparam("since"),
    people.c.hub_id.is_not(None),
)
_MOVED = (
    select(people)
    .join(hub_moves, hub_moves.c.person_id == people.c.id)
    .where(
        hub_moves.c.hub == bindparam("hub"),
        hub_moves.c.hub_id == bindparam("id"),
        hub_moves.c.hub_since == bindparam("since"),
    )
)


def of_user(connection: Connection, user: HubUser, *, new_id: Callable[[], str], now: datetime) -> Person:
    """The person of a user of JupyterHub, under the user's present name. Writes a row for somebody new.

    Raises `OfAnotherHub` where the user's person has been moved to another hub.
    """
    of = {"hub": user.hub, "id": user.id, "name": user.name}
    found = [_person(row) for row in connection.execute(_OF_USER, of)]
    resolved = resolve(user, [Candidate(one, _last_use_if_unknown(connection, one)) for one in found])
    for deleted in resolved.deleted:
        _change(connection, deleted, hub_id=None)
    if resolved.person is not None:
        return _change(connection, resolved.person, hub_id=user.id, hub_name=user.name, hub_since=user.since)
    moved = _moved(connection, user)
    if moved is not None:
        require_hub(moved, user.hub)
        return _change(connection, moved, hub_id=user.id, hub_name=user.name, hub_since=user.since)
    person = Person(
        id=new_id(),
        hub_name=user.name,
        hub_id=user.id,
        hub_since=user.since,
        created_at=now,
        issuer=None,
        identity=None,
        trust=TrustClass.NEW,
        hub=user.hub,
    )
    connection.execute(insert(people).values(**vars(person)))
    return person


def identify(
    connection: Connection, user: HubUser, identity: Identity, *, new_id: Callable[[], str], now: datetime
) -> Person:
    """The person of a user who has logged in as a subject.

    Where the subject is known from an earlier user of JupyterHub, the user is that person, with all that is theirs.
    Raises `NameTaken` where the user is the person of another subject, and `OfAnotherHub` where the subject's hub is
    another one.
    """
    known = by_identity(connection, identity)
    if known is not None:
        require_hub(known, user.hub)
    current = of_user(connection, user, new_id=new_id, now=now)
    if current.identity == identity.digest:
        return current
    if current.identity is not None:
        raise name_taken(user.name)
    if known is None:
        return _change(connection, current, issuer=identity.issuer, identity=identity.digest)
    _give_all(connection, current, known)
    return _change(connection, known, hub_id=user.id, hub_name=user.name, hub_since=user.since, forgotten_at=None)


def require_hub(person: Person, hub: str) -> None:
    """Raise `OfAnotherHub` unless this is the person's hub."""
    if person.hub != hub:
        raise of_another_hub(person.hub)


def of_another_hub(hub: str, url: str = "") -> OfAnotherHub:
    """The refusal. `url` is that hub's address; empty where it is not known."""
    return OfAnotherHub(
        "Your account is on another server of this platform.",
        next_step="Go to {url}" if url else "Contact the administrator: the address of {hub} is not in the settings.",
        hub=hub,
        url=url,
    )


def _moved(connection: Connection, user: HubUser) -> Person | None:
    """The person of a user whose person was moved to another hub, and may have come back."""
    row = connection.execute(_MOVED, {"hub": user.hub, "id": user.id, "since": user.since}).one_or_none()
    return None if row is None else _person(row)


def name_taken(name: str) -> NameTaken:
    """The refusal of a login whose name belongs to another subject."""
    return NameTaken(
        "The name {name} is already used by another account.",
        next_step="Ask an administrator to rename or delete the user {name}.",
        name=name,
    )


def _give_all(connection: Connection, giver: Person, taker: Person) -> None:
    """Move all rows of one person to the other.

    What both may have only once, such as a live instance of one server, stays with the giver, and so does the giver.
    """
    _change(connection, giver, hub_id=None)
    has_given_all = True
    for table in OWNED:
        try:
            with connection.begin_nested():
                connection.execute(update(table).where(table.c.person_id == giver.id).values(person_id=taker.id))
        except IntegrityError:
            has_given_all = False
    for table in ONE_EACH:
        _give_missing(connection, table, giver, taker)
    if has_given_all:
        connection.execute(delete(person_groups).where(person_groups.c.person_id == giver.id))
        connection.execute(delete(people).where(people.c.id == giver.id))


def _give_missing(connection: Connection, table: Table, giver: Person, taker: Person) -> None:
    (key,) = table.primary_key.columns
    is_givers = table.c.person_id == giver.id
    for value in connection.execute(select(key).where(is_givers)).scalars().all():
        try:
            with connection.begin_nested():
                connection.execute(update(table).where(is_givers, key == value).values(person_id=taker.id))
        except IntegrityError:
            connection.execute(delete(table).where(is_givers, key == value))


def leave(connection: Connection, user: HubUser) -> None:
    """JupyterHub has deleted this user. The person keeps their rows."""
    is_this = (people.c.hub == user.hub) & (people.c.hub_id == user.id) & (people.c.hub_since == user.since)
    connection.execute(update(people).where(is_this).values(hub_id=None))
    was_this = (hub_moves.c.hub == user.hub) & (hub_moves.c.hub_id == user.id) & (hub_moves.c.hub_since == user.since)
    connection.execute(delete(hub_moves).where(was_this))
    touch(connection)


def former_hubs_with_user(connection: Connection, person_id: str) -> list[str]:
    """Hubs from which the person was moved, and which still have their user, as far as the ledger knows."""
    is_left = (people.c.id == person_id) & ((people.c.hub != hub_moves.c.hub) | people.c.hub_id.is_(None))
    query = select(hub_moves.c.hub).join(people, people.c.id == hub_moves.c.person_id).where(is_left)
    return list(connection.execute(query.distinct().order_by(hub_moves.c.hub)).scalars())


def current(connection: Connection, name: str, since: str, hub: str = MAIN_HUB) -> Person | None:
    """The person of a hub's user of this name, made at this time. None where that is not known."""
    row = connection.execute(_CURRENT, {"hub": hub, "name": name, "since": since}).one_or_none()
    return None if row is None else _person(row)


def by_identity(connection: Connection, identity: Identity) -> Person | None:
    """The person of a subject."""
    row = connection.execute(select(people).where(people.c.identity == identity.digest)).one_or_none()
    return None if row is None else _person(row)


def present(connection: Connection, hub_ids: Iterable[int] | None = None, hub: str = MAIN_HUB) -> list[Person]:
    """Everybody for whom a hub has a user, or a user with one of these numbers, as far as the ledger knows."""
    of_user = people.c.hub_id.is_not(None) if hub_ids is None else people.c.hub_id.in_(list(hub_ids))
    return [_person(row) for row in connection.execute(select(people).where(people.c.hub == hub, of_user))]


def on_other_hubs(connection: Connection, person_ids: Iterable[str], hub: str) -> frozenset[str]:
    """Those of these people whose hub is another one."""
    wanted = set(person_ids)
    if not wanted:
        return frozenset()
    query = select(people.c.id).where(people.c.id.in_(wanted), people.c.hub != hub)
    return frozenset(connection.execute(query).scalars())


def with_instances(connection: Connection, hub: str = MAIN_HUB) -> list[Person]:
    """Everybody of a hub who has an instance that has not ended."""
    theirs = select(instances.c.person_id).where(IS_UNENDED)
    query = select(people).where(people.c.id.in_(theirs), people.c.hub == hub)
    return [_person(row) for row in connection.execute(query)]


def get(connection: Connection, person_id: str) -> Person:
    """The row with this id."""
    return _person(connection.execute(select(people).where(people.c.id == person_id)).one())


def find(connection: Connection, person_id: str) -> Person | None:
    """The row with this id, if there is one."""
    row = connection.execute(select(people).where(people.c.id == person_id)).one_or_none()
    return None if row is None else _person(row)


def of_name(connection: Connection, name: str) -> list[Person]:
    """Everybody whose present or last name this is: whom JupyterHub has now, then others, newest first."""
    query = select(people).where(people.c.hub_name == name)
    rows = connection.execute(query.order_by(people.c.hub_id.is_(None), people.c.created_at.desc(), people.c.id))
    return [_person(row) for row in rows]


def is_name_elsewhere(connection: Connection, name: str, hub: str) -> bool:
    """Whether a person of another hub has this name, or one of this hub who has no user here, such as a moved one."""
    is_awaited = people.c.hub_id.is_(None) & people.c.identity.is_not(None)
    query = select(people.c.id).where(people.c.hub_name == name, or_(people.c.hub != hub, is_awaited)).limit(1)
    return connection.execute(query).first() is not None


def names(connection: Connection, person_ids: Iterable[str]) -> dict[str, str]:
    """Present names by id."""
    rows = connection.execute(select(people.c.id, people.c.hub_name).where(people.c.id.in_(set(person_ids))))
    return {row.id: row.hub_name for row in rows}


def _person(row: Row[Any]) -> Person:
    return Person(**row._mapping)


def _change(connection: Connection, person: Person, **values: Any) -> Person:
    """Write what differs. Mostly nothing does, and nothing is written."""
    changed = replace(person, **values)
    if changed != person:
        connection.execute(update(people).where(people.c.id == person.id).values(**values))
        touch(connection)
    return changed


def _last_use_if_unknown(connection: Connection, person: Person) -> datetime | None:
    if person.hub_since is not None:
        return None
    times = (
        connection.execute(select(func.max(column)).where(table.c.person_id == person.id)).scalar()
        for table, column in ((instances, instances.c.requested_at), (tickets, tickets.c.joined_at))
    )
    return max((time for time in times if time is not None), default=None)
