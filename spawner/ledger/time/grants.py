"""Queries of grants, and of what a week's float gives.

Frequent statements are built once, at import: building one takes longer than running it.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from spawner.ledger.time.rows import FloatShare, Grant, GrantSource
from spawner.ledger.time.tables import IS_POLICY, allowance_floats, allowance_grants
from spawner.ledger.transitions import PRUNED_AT_ONCE

_TIME = allowance_grants.c.valid_until.type
_WRITE = insert(allowance_grants)
_SINCE = (
    select(allowance_grants)
    .where(
        allowance_grants.c.person_id == bindparam("of"),
        allowance_grants.c.valid_until > bindparam("moment", type_=_TIME),
    )
    .order_by(allowance_grants.c.valid_until, allowance_grants.c.made_at, allowance_grants.c.id)
)
_SINCE_IN = _SINCE.where(allowance_grants.c.class_id == bindparam("class"))
_FLOAT = select(allowance_floats).where(
    allowance_floats.c.class_id == bindparam("class"),
    allowance_floats.c.week == bindparam("week", type_=allowance_floats.c.week.type),
)


def write(connection: Connection, grant: Grant) -> None:
    """Write a grant. Raises `IntegrityError` for a second policy or float grant of one week."""
    connection.execute(_WRITE, vars(grant))


def since(connection: Connection, person_id: str, moment: datetime, class_id: str | None = None) -> list[Grant]:
    """A person's grants that were, are or will be valid after a time; the one that ends first comes first."""
    values = {"of": person_id, "moment": moment}
    rows = connection.execute(*((_SINCE, values) if class_id is None else (_SINCE_IN, values | {"class": class_id})))
    return [Grant(**row._mapping) for row in rows]


def of_instance(connection: Connection, person_id: str, instance_id: str) -> list[Grant]:
    """Grants that were made for one run of a person."""
    query = select(allowance_grants).where(
        allowance_grants.c.person_id == person_id, allowance_grants.c.reference == instance_id
    )
    return [Grant(**row._mapping) for row in connection.execute(query)]


def change(connection: Connection, grant_id: str, *, seconds: int) -> None:
    """Change what a grant gives, or takes. 0 removes it."""
    is_this = allowance_grants.c.id == grant_id
    query = update(allowance_grants).where(is_this).values(seconds=seconds)
    connection.execute(query if seconds else delete(allowance_grants).where(is_this))


def promised(connection: Connection, class_id: str, *, valid_until: datetime) -> tuple[int, int]:
    """People whose policy grant of a limited class ended then, and the seconds that those grants gave together."""
    people, seconds = connection.execute(
        select(func.count(), func.coalesce(func.sum(allowance_grants.c.seconds), 0)).where(
            allowance_grants.c.valid_until == valid_until,
            allowance_grants.c.class_id == class_id,
            allowance_grants.c.source == GrantSource.POLICY,
            allowance_grants.c.seconds.is_not(None),
            IS_POLICY,
        )
    ).one()
    return int(people), int(seconds)


def float_of(connection: Connection, class_id: str, week: datetime) -> FloatShare | None:
    """What the float gives each person in the week that begins then; None before it was computed."""
    row = connection.execute(_FLOAT, {"class": class_id, "week": week}).one_or_none()
    return None if row is None else FloatShare(**row._mapping)


def write_float(connection: Connection, share: FloatShare) -> bool:
    """Write a week's float. False where it was written before: that one holds."""
    try:
        with connection.begin_nested():
            connection.execute(insert(allowance_floats), vars(share))
    except IntegrityError:
        return False
    return True


def prune(connection: Connection, *, before: datetime) -> int:
    """Delete grants that ended before a time, at most `PRUNED_AT_ONCE`. Returns how many."""
    old = select(allowance_grants.c.id).where(allowance_grants.c.valid_until < before).limit(PRUNED_AT_ONCE)
    ids = list(connection.execute(old).scalars())
    connection.execute(delete(allowance_floats).where(allowance_floats.c.week < before))
    return connection.execute(delete(allowance_grants).where(allowance_grants.c.id.in_(ids))).rowcount
