"""Groups of people. Each has its source, so that a refresh of one source leaves those of the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from spawner.ledger.people.rows import GroupSource
from spawner.ledger.people.tables import person_groups
from spawner.ledger.transitions import touch


def replace(
    connection: Connection, person_id: str, source: GroupSource, names: Iterable[str], *, by: str, now: datetime
) -> None:
    """The person is in these groups, as this source says now."""
    wanted, had = set(names), set(of(connection, person_id, source))
    of_source = (person_groups.c.person_id == person_id) & (person_groups.c.source == source)
    if had - wanted:
        connection.execute(delete(person_groups).where(of_source, person_groups.c.name.in_(had - wanted)))
    if wanted - had:
        row = {"person_id": person_id, "source": source, "set_at": now, "set_by": by}
        connection.execute(insert(person_groups), [row | {"name": name} for name in sorted(wanted - had)])
    if wanted != had:
        touch(connection)


def record_hub(
    connection: Connection,
    person_id: str,
    *,
    hub: Collection[str],
    login: Collection[str] | None = None,
    now: datetime,
) -> None:
    """The person is in these groups of JupyterHub, among which are those of the login: a group that both name is the
    login's. `login` are the groups that it names now; None: those that it named last."""
    if login is not None:
        replace(connection, person_id, GroupSource.LOGIN, login, by=GroupSource.LOGIN, now=now)
    own = set(hub).difference(of(connection, person_id, GroupSource.LOGIN))
    replace(connection, person_id, GroupSource.HUB, own, by=GroupSource.HUB, now=now)


def is_recorded(
    connection: Connection, person_id: str, *, hub: Collection[str], login: Collection[str] | None = None
) -> bool:
    """Whether `record_hub` would change nothing. A read, which spares a write."""
    named = set(of(connection, person_id, GroupSource.LOGIN)) if login is None else set(login)
    had = by_person(connection, [person_id])[person_id]
    return had[GroupSource.LOGIN] == named and had[GroupSource.HUB] == set(hub) - named


def by_person(
    connection: Connection, person_ids: Collection[str] | None = None
) -> Mapping[str, Mapping[GroupSource, set[str]]]:
    """The groups of people by id and source; of everybody if none are named."""
    query = select(person_groups.c.person_id, person_groups.c.source, person_groups.c.name)
    if person_ids is not None:
        query = query.where(person_groups.c.person_id.in_(person_ids))
    found: defaultdict[str, defaultdict[GroupSource, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in connection.execute(query):
        found[row.person_id][row.source].add(row.name)
    return found


def of_people(connection: Connection, person_ids: Collection[str]) -> dict[str, frozenset[str]]:
    """All groups of each of these people, by id."""
    found = by_person(connection, person_ids)
    return {one: frozenset().union(*found[one].values()) if one in found else frozenset() for one in person_ids}


def of(connection: Connection, person_id: str, source: GroupSource | None = None) -> tuple[str, ...]:
    """The groups of a person, in order of their names; those of one source if named."""
    query = select(person_groups.c.name).where(person_groups.c.person_id == person_id)
    if source is not None:
        query = query.where(person_groups.c.source == source)
    return tuple(sorted(set(connection.execute(query).scalars())))
