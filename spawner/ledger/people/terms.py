"""Which versions of the terms each person has accepted, and what those versions said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select

from spawner.ledger.people.tables import people, terms_acceptances, terms_texts

_OF = select(terms_acceptances.c.id).where(
    terms_acceptances.c.person_id == bindparam("of"), terms_acceptances.c.version == bindparam("version")
)


@dataclass(frozen=True)
class Acceptance:
    """`person_id` accepted `version`, reading it in `language` (a BCP 47 tag). `name`: the person's now."""

    person_id: str
    name: str
    version: str
    accepted_at: datetime
    language: str


@dataclass(frozen=True)
class Version:
    """One version, since when it is known, and how many people accepted it."""

    version: str
    first_at: datetime
    people: int


def has_accepted(connection: Connection, person_id: str, version: str) -> bool:
    """Whether the person has accepted this version."""
    return connection.execute(_OF, {"of": person_id, "version": version}).first() is not None


def accept(
    connection: Connection,
    person_id: str,
    version: str,
    texts: Mapping[str, Any],
    *,
    language: str,
    now: datetime,
    new_id: str,
) -> bool:
    """Write that the person accepts this version. False where they have: the first time stays."""
    if has_accepted(connection, person_id, version):  # write transactions run one at a time
        return False
    if connection.execute(select(terms_texts.c.version).where(terms_texts.c.version == version)).first() is None:
        connection.execute(insert(terms_texts).values(version=version, texts=dict(texts), first_at=now))
    connection.execute(
        insert(terms_acceptances).values(
            id=new_id, person_id=person_id, version=version, accepted_at=now, language=language
        )
    )
    return True


def texts_of(connection: Connection, version: str) -> dict[str, Any] | None:
    """What the version said when it was first accepted."""
    row = connection.execute(select(terms_texts.c.texts).where(terms_texts.c.version == version)).one_or_none()
    return None if row is None else dict(row.texts)


def versions(connection: Connection) -> list[Version]:
    """All that were accepted, newest first."""
    counted = (
        select(terms_texts.c.version, terms_texts.c.first_at, func.count(terms_acceptances.c.id))
        .outerjoin(terms_acceptances, terms_acceptances.c.version == terms_texts.c.version)
        .group_by(terms_texts.c.version, terms_texts.c.first_at)
        .order_by(terms_texts.c.first_at.desc(), terms_texts.c.version)
    )
    return [Version(*row) for row in connection.execute(counted)]


def acceptances(connection: Connection, *, at_most: int, person_id: str | None = None) -> list[Acceptance]:
    """Newest first; of one person if named."""
    query = (
        select(
            terms_acceptances.c.person_id,
            people.c.hub_name,
            terms_acceptances.c.version,
            terms_acceptances.c.accepted_at,
            terms_acceptances.c.language,
        )
        .join(people, people.c.id == terms_acceptances.c.person_id)
        .order_by(terms_acceptances.c.accepted_at.desc(), terms_acceptances.c.id)
        .limit(at_most)
    )
    if person_id is not None:
        query = query.where(terms_acceptances.c.person_id == person_id)
    return [Acceptance(*row) for row in connection.execute(query)]
