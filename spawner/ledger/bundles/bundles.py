"""Queries of bundles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TypedDict, Unpack

from sqlalchemy import Connection, delete, insert, select, update

from spawner.ledger.bundles.rows import Bundle, BundleState
from spawner.ledger.bundles.tables import bundles
from spawner.ledger.engine import rows_changed
from spawner.ledger.transitions import touch


class _Changes(TypedDict, total=False):
    state: BundleState
    store: str
    bytes: int
    files: int
    detail: str | None
    fetched_at: datetime


MOST_OF_PERSON = 10
"""Bundles of one person, so that starting and leaving notebooks does not fill the store."""


def intend(connection: Connection, bundle: Bundle) -> None:
    """Write that a bundle is to be made, and delete the person's oldest beyond `MOST_OF_PERSON`.

    Does nothing where the instance has one.
    """
    query = select(bundles.c.id).where(bundles.c.instance_id == bundle.instance_id)
    if connection.execute(query).scalar() is None:
        connection.execute(insert(bundles).values(**asdict(bundle)))
        too_many = [one.id for one in of_person(connection, bundle.person_id)[MOST_OF_PERSON:]]
        connection.execute(delete(bundles).where(bundles.c.id.in_(too_many)))
        touch(connection)


def of_instance(connection: Connection, instance_id: str) -> Bundle | None:
    """The bundle of an instance."""
    row = connection.execute(select(bundles).where(bundles.c.instance_id == instance_id)).one_or_none()
    return None if row is None else Bundle(**row._mapping)


def of_person(connection: Connection, person_id: str) -> list[Bundle]:
    """All of a person's, newest first."""
    query = select(bundles).where(bundles.c.person_id == person_id).order_by(bundles.c.made_at.desc(), bundles.c.id)
    return [Bundle(**row._mapping) for row in connection.execute(query)]


def get(connection: Connection, bundle_id: str, *, person_id: str) -> Bundle | None:
    """A bundle of this person's."""
    query = select(bundles).where(bundles.c.id == bundle_id, bundles.c.person_id == person_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else Bundle(**row._mapping)


def making(connection: Connection) -> list[Bundle]:
    """Those that are not finished."""
    query = select(bundles).where(bundles.c.state == BundleState.MAKING)
    return [Bundle(**row._mapping) for row in connection.execute(query)]


def drop(connection: Connection, bundle_id: str) -> None:
    """Delete the row of one that was being made: there is nothing to keep."""
    connection.execute(delete(bundles).where(bundles.c.id == bundle_id, bundles.c.state == BundleState.MAKING))
    touch(connection)


def finish(connection: Connection, bundle_id: str, **values: Unpack[_Changes]) -> bool:
    """Write what became of one that was being made. False where its row is gone, or is finished already."""
    query = update(bundles).where(bundles.c.id == bundle_id, bundles.c.state == BundleState.MAKING).values(**values)
    is_done = rows_changed(connection.execute(query)) == 1
    if is_done:
        touch(connection)
    return is_done


def mark_fetched(connection: Connection, bundle_id: str, now: datetime) -> None:
    """The person has downloaded it, or had it put back."""
    connection.execute(update(bundles).where(bundles.c.id == bundle_id).values(fetched_at=now))
    touch(connection)


def remove(connection: Connection, bundle_id: str, *, person_id: str) -> bool:
    """Delete a bundle of this person's: without its key nobody can read its bytes. False where there is none."""
    query = delete(bundles).where(bundles.c.id == bundle_id, bundles.c.person_id == person_id)
    is_done = rows_changed(connection.execute(query)) == 1
    if is_done:
        touch(connection)
    return is_done


def remove_expired(connection: Connection, *, now: datetime) -> int:
    """Delete bundles whose time is over. Returns how many."""
    count = rows_changed(connection.execute(delete(bundles).where(bundles.c.expires_at <= now)))
    if count:
        touch(connection)
    return count


def without_row(connection: Connection, names: Sequence[str]) -> list[str]:
    """Which of these ids no bundle has that is kept or being made."""
    known = set(connection.execute(select(bundles.c.id).where(bundles.c.state != BundleState.FAILED)).scalars())
    return [name for name in names if name not in known]
