"""Which person a user of JupyterHub is. A pure decision over rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from spawner.ledger.people.rows import HubUser, Person


@dataclass(frozen=True)
class Candidate:
    """A row that has the user's number or name. `last_use` is when the newest row of the person was written."""

    person: Person
    last_use: datetime | None = None


@dataclass(frozen=True)
class Resolution:
    """The person, or None for somebody new; and the rows whose user is deleted, because its number is another's."""

    person: Person | None
    deleted: tuple[Person, ...]


def resolve(user: HubUser, candidates: Iterable[Candidate]) -> Resolution:
    """Who this user is.

    - The person with the user's number and time, under whatever name: a rename changes neither.
    - The person of this name and time whose number is not known yet.
    - A person of this name from before version 0.2, whose number and time are not known, unless everything of theirs
      is older than the user: then it was an earlier user's.
    - Else somebody new.
    """
    candidates = list(candidates)
    deleted = tuple(
        one.person for one in candidates if one.person.hub_id == user.id and one.person.hub_since != user.since
    )
    for one in candidates:
        if (one.person.hub_id, one.person.hub_since) == (user.id, user.since):
            return Resolution(one.person, deleted)
    unbound = [one for one in candidates if one.person.hub_id is None and one.person.hub_name == user.name]
    for one in unbound:
        if one.person.hub_since == user.since:
            return Resolution(one.person, deleted)
    for one in unbound:
        if one.person.hub_since is None and one.last_use is not None and _is_since(user, one.last_use):
            return Resolution(one.person, deleted)
    return Resolution(None, deleted)


def _is_since(user: HubUser, last_use: datetime) -> bool:
    try:
        return datetime.fromisoformat(user.since) <= last_use
    except ValueError:  # a hub that tells no time
        return True
