"""How allowances are used: of one person, of all people by week, and by those who have little left.

A charge belongs to the week in which its run began. All seconds are weighted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, literal, select

from spawner.ledger.time.rows import Charge, Grant, GrantSource
from spawner.ledger.time.tables import IS_HELD, allowance_charges, allowance_grants, allowance_holds

BY_HAND = (GrantSource.ADMIN, GrantSource.REFUND)
"""Grants that an administrator made."""
_charges, _grants, _holds = allowance_charges.c, allowance_grants.c, allowance_holds.c


@dataclass(frozen=True)
class WeekOfClass:
    """What was charged in one week: `seconds` before refunds, number of runs and of people."""

    class_id: str
    begins: datetime
    seconds: int
    refunded: int
    runs: int
    people: int


@dataclass(frozen=True)
class UseOfPerson:
    """What one person used and holds of a class in a week."""

    person_id: str
    class_id: str
    used: int
    held: int = 0


@dataclass(frozen=True)
class ClassTotals:
    """Sums of one class since a time. `held` is what running instances have set aside now."""

    granted: int = 0
    charged: int = 0
    refunded: int = 0
    held: int = 0


def grants_of(connection: Connection, person_id: str, *, at_most: int) -> list[Grant]:
    """A person's grants of all classes, those that were made last first."""
    rows = connection.execute(
        select(allowance_grants)
        .where(_grants.person_id == person_id)
        .order_by(_grants.made_at.desc(), _grants.valid_from.desc(), _grants.id)
        .limit(at_most)
    )
    return [Grant(**row._mapping) for row in rows]


def grant_of(connection: Connection, grant_id: str) -> Grant | None:
    """The grant with this id."""
    row = connection.execute(select(allowance_grants).where(_grants.id == grant_id)).one_or_none()
    return None if row is None else Grant(**row._mapping)


def charge_of(connection: Connection, instance_id: str) -> Charge | None:
    """The charge of one instance; None while it runs, and without an allowance."""
    row = connection.execute(select(allowance_charges).where(_charges.instance_id == instance_id)).one_or_none()
    return None if row is None else Charge(**row._mapping)


def week_of_classes(
    connection: Connection, class_ids: Iterable[str], *, begins: datetime, ends: datetime
) -> list[WeekOfClass]:
    """The charges of runs that began in this week, by class; a class without a run is left out."""
    rows = connection.execute(
        select(
            _charges.class_id,
            func.sum(_charges.seconds),
            func.sum(_charges.refunded),
            func.count(),
            func.count(_charges.person_id.distinct()),
        )
        .where(_charges.class_id.in_(list(class_ids)), _charges.began_at >= begins, _charges.began_at < ends)
        .group_by(_charges.class_id)
    )
    return [
        WeekOfClass(class_id, begins, int(seconds), int(refunded), int(runs), int(people))
        for class_id, seconds, refunded, runs, people in rows
    ]


def most_used(connection: Connection, class_id: str, *, since: datetime, at_most: int) -> list[UseOfPerson]:
    """Who used and holds most of a class since the beginning of a week, most first."""
    used = select(
        _charges.person_id.label("person_id"),
        (_charges.seconds - _charges.refunded).label("used"),
        literal(0).label("held"),
    ).where(_charges.class_id == class_id, _charges.began_at >= since)
    held = select(_holds.person_id.label("person_id"), literal(0).label("used"), _holds.seconds.label("held")).where(
        IS_HELD, _holds.class_id == class_id
    )
    both = used.union_all(held).subquery()
    total_used, total_held = func.sum(both.c.used), func.sum(both.c.held)
    rows = connection.execute(
        select(both.c.person_id, total_used, total_held)
        .group_by(both.c.person_id)
        .order_by((total_used + total_held).desc(), both.c.person_id)
        .limit(at_most)
    )
    return [UseOfPerson(person_id, class_id, int(used), int(held)) for person_id, used, held in rows]


def made_by_hand(connection: Connection, *, valid_after: datetime, at_most: int) -> list[Grant]:
    """Grants and refunds of administrators that were valid after a time, the last one first."""
    rows = connection.execute(
        select(allowance_grants)
        .where(_grants.valid_until > valid_after, _grants.source.in_(BY_HAND))
        .order_by(_grants.made_at.desc(), _grants.id)
        .limit(at_most)
    )
    return [Grant(**row._mapping) for row in rows]


def refunded_charges(connection: Connection, *, since: datetime, at_most: int) -> list[Charge]:
    """Charges of runs that ended since then and were refunded by the platform, the last one first."""
    rows = connection.execute(
        select(allowance_charges)
        .where(_charges.until >= since, _charges.refunded > 0)
        .order_by(_charges.until.desc(), _charges.instance_id)
        .limit(at_most)
    )
    return [Charge(**row._mapping) for row in rows]


def totals(connection: Connection, *, since: datetime, now: datetime) -> dict[str, ClassTotals]:
    """By class: what was given since then and what runs that ended since then used; refunds; holds now.

    Neither unlimited grants nor debits are counted.
    """
    found: dict[str, dict[str, int]] = {}

    def add(name: str, rows: Iterable[Any]) -> None:
        for class_id, seconds in rows:
            sums = found.setdefault(class_id, {})
            sums[name] = sums.get(name, 0) + int(seconds)

    is_recent = (_grants.valid_until > since) & (_grants.valid_from >= since) & (_grants.valid_from <= now)
    given = select(_grants.class_id, func.sum(_grants.seconds)).where(is_recent, _grants.seconds > 0)
    given = given.group_by(_grants.class_id)
    add("granted", connection.execute(given.where(_grants.source != GrantSource.REFUND)))
    add("refunded", connection.execute(given.where(_grants.source == GrantSource.REFUND)))
    ended = connection.execute(
        select(_charges.class_id, func.sum(_charges.seconds), func.sum(_charges.refunded))
        .where(_charges.until >= since)
        .group_by(_charges.class_id)
    ).all()
    add("charged", ((class_id, charged) for class_id, charged, _ in ended))
    add("refunded", ((class_id, refunded) for class_id, _, refunded in ended))
    held = select(_holds.class_id, func.sum(_holds.seconds)).where(IS_HELD).group_by(_holds.class_id)
    add("held", connection.execute(held))
    return {class_id: ClassTotals(**sums) for class_id, sums in found.items()}
