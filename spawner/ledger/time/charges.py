"""Queries of charges: what each run used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from spawner.ledger.time.rows import Charge
from spawner.ledger.time.tables import IS_HELD, allowance_charges, allowance_holds, instance_use
from spawner.ledger.transitions import PRUNED_AT_ONCE

_TIME = allowance_charges.c.began_at.type
_WRITE = insert(allowance_charges)
_GET = select(allowance_charges).where(allowance_charges.c.instance_id == bindparam("id"))
_LAST_SIGN = select(instance_use.c.seen_at).where(instance_use.c.instance_id == bindparam("id"))
_SINCE = (
    select(
        allowance_charges.c.class_id,
        allowance_charges.c.seconds - allowance_charges.c.refunded,
        func.coalesce(allowance_holds.c.taken_at, allowance_charges.c.began_at, type_=_TIME),
    )
    .select_from(
        allowance_charges.outerjoin(allowance_holds, allowance_holds.c.instance_id == allowance_charges.c.instance_id)
    )
    .where(
        allowance_charges.c.person_id == bindparam("of"),
        allowance_charges.c.began_at >= bindparam("moment", type_=_TIME),
    )
)
_SINCE_IN = _SINCE.where(allowance_charges.c.class_id == bindparam("class"))


@dataclass(frozen=True)
class Used:
    """What one run used of a class. `at`: when its hold was taken, which says which week it counts for."""

    class_id: str
    seconds: int
    at: datetime


def write(connection: Connection, charge: Charge) -> None:
    """Write a charge."""
    connection.execute(_WRITE, vars(charge))


def replace(connection: Connection, charge: Charge) -> None:
    """Write another charge in place of the one that this run has."""
    is_this = allowance_charges.c.instance_id == charge.instance_id
    connection.execute(update(allowance_charges).where(is_this).values(vars(charge)))


def get(connection: Connection, instance_id: str) -> Charge | None:
    """The charge of a run; None before its end, and where its flavor has no class."""
    row = connection.execute(_GET, {"id": instance_id}).one_or_none()
    return None if row is None else Charge(**row._mapping)


def last_sign(connection: Connection, instance_id: str) -> datetime | None:
    """The last sign of life of an instance from outside; None where there are no samples of it."""
    found: datetime | None = connection.execute(_LAST_SIGN, {"id": instance_id}).scalar_one_or_none()
    return found


def since(connection: Connection, person_id: str, moment: datetime, class_id: str | None = None) -> list[Used]:
    """What a person's runs used that began since then."""
    values = {"of": person_id, "moment": moment}
    rows = connection.execute(*((_SINCE, values) if class_id is None else (_SINCE_IN, values | {"class": class_id})))
    return [Used(*row) for row in rows]


def used_between(connection: Connection, class_id: str, start: datetime, end: datetime) -> int:
    """Seconds that all runs of a class used that began from `start` until before `end`, and that running ones hold."""
    counted = func.sum(allowance_charges.c.seconds - allowance_charges.c.refunded)
    began = allowance_charges.c.began_at
    used = connection.execute(
        select(func.coalesce(counted, 0)).where(allowance_charges.c.class_id == class_id, began >= start, began < end)
    ).scalar_one()
    held = connection.execute(
        select(func.coalesce(func.sum(allowance_holds.c.seconds), 0)).where(
            IS_HELD,
            allowance_holds.c.class_id == class_id,
            allowance_holds.c.taken_at < end,
        )
    ).scalar_one()
    return int(used) + int(held)


def prune(connection: Connection, *, before: datetime) -> int:
    """Delete charges whose run ended before a time, with their holds: at most `PRUNED_AT_ONCE`. Returns how many."""
    old = select(allowance_charges.c.instance_id).where(allowance_charges.c.until < before).limit(PRUNED_AT_ONCE)
    ids = list(connection.execute(old).scalars())
    connection.execute(delete(allowance_holds).where(allowance_holds.c.instance_id.in_(ids)))
    return connection.execute(delete(allowance_charges).where(allowance_charges.c.instance_id.in_(ids))).rowcount
