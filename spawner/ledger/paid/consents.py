"""Consents: offers as shown to users, and their acceptance. The terms of a row never change."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TypedDict, Unpack

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from spawner.errors import LostRace
from spawner.ledger.paid.rows import Consent, ConsentState
from spawner.ledger.paid.tables import consents
from spawner.ledger.transitions import change, touch


class _Changes(TypedDict, total=False):
    """Columns that change together with the state."""

    accepted_at: datetime
    spent_at: datetime
    closed_at: datetime


def _change(
    connection: Connection,
    row_id: str,
    *,
    expected: Iterable[ConsentState],
    to: ConsentState,
    **values: Unpack[_Changes],
) -> None:
    change(connection, consents, row_id, expected=expected, to=to, **values)


def offer(connection: Connection, consent: Consent) -> None:
    """Insert an offer."""
    connection.execute(insert(consents).values(**vars(consent)))
    touch(connection)


def accept(connection: Connection, consent_id: str, *, now: datetime) -> None:
    """OFFERED to ACCEPTED. Raises `LostRace` if it is not OFFERED or the server has another accepted consent."""
    consent = get(connection, consent_id)
    _expire(connection, consent.person_id, consent.server_name, now=now)
    try:
        with connection.begin_nested():
            _change(
                connection,
                consent_id,
                expected=(ConsentState.OFFERED,),
                to=ConsentState.ACCEPTED,
                accepted_at=now,
            )
    except IntegrityError as error:
        raise LostRace("The server {server} has a consent already.", server=consent.server_name) from error


def spend(connection: Connection, consent_id: str, *, now: datetime) -> None:
    """ACCEPTED to SPENT. The caller writes the order in the same transaction."""
    _change(connection, consent_id, expected=(ConsentState.ACCEPTED,), to=ConsentState.SPENT, spent_at=now)


def withdraw(connection: Connection, consent_id: str, *, now: datetime) -> None:
    """OFFERED or ACCEPTED to WITHDRAWN. Raises `LostRace` if it is spent: then its order must be stopped."""
    _change(
        connection,
        consent_id,
        expected=(ConsentState.OFFERED, ConsentState.ACCEPTED),
        to=ConsentState.WITHDRAWN,
        closed_at=now,
    )


def withdraw_all(connection: Connection, binding_id: str, *, now: datetime) -> None:
    """Withdraw all unspent consents of a binding."""
    query = update(consents).where(
        consents.c.binding_id == binding_id,
        consents.c.state.in_([ConsentState.OFFERED, ConsentState.ACCEPTED]),
    )
    connection.execute(query.values(state=ConsentState.WITHDRAWN, closed_at=now))


def accepted(connection: Connection, person_id: str, server_name: str, *, now: datetime) -> Consent | None:
    """The person's accepted consent for this server, if it is neither spent nor expired."""
    query = select(consents).where(
        consents.c.person_id == person_id,
        consents.c.server_name == server_name,
        consents.c.state == ConsentState.ACCEPTED,
        consents.c.expires_at > now,
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Consent(**row._mapping)


def expire(connection: Connection, *, now: datetime) -> int:
    """OFFERED and ACCEPTED to EXPIRED where `expires_at` has passed. Returns their number."""
    return _expire(connection, None, None, now=now)


def _expire(connection: Connection, person_id: str | None, server_name: str | None, *, now: datetime) -> int:
    query = update(consents).where(
        consents.c.state.in_([ConsentState.OFFERED, ConsentState.ACCEPTED]), consents.c.expires_at <= now
    )
    if person_id is not None:
        query = query.where(consents.c.person_id == person_id, consents.c.server_name == server_name)
    return connection.execute(query.values(state=ConsentState.EXPIRED, closed_at=now)).rowcount


def get(connection: Connection, consent_id: str) -> Consent:
    """The row with this id."""
    return Consent(**connection.execute(select(consents).where(consents.c.id == consent_id)).one()._mapping)


def find(connection: Connection, consent_id: str) -> Consent | None:
    """The row with this id, if there is one."""
    row = connection.execute(select(consents).where(consents.c.id == consent_id)).one_or_none()
    return None if row is None else Consent(**row._mapping)


def of_person(connection: Connection, person_id: str) -> list[Consent]:
    """All consents of a person, newest first."""
    query = select(consents).where(consents.c.person_id == person_id).order_by(consents.c.offered_at.desc())
    return [Consent(**row._mapping) for row in connection.execute(query)]
