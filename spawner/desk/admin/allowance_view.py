"""What administrators see of allowances: use by week, who has little left, what was given and given back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from spawner.catalog import Catalog, Week
from spawner.ledger.people import people
from spawner.ledger.time import allowance_use
from spawner.ledger.time.allowance_use import WeekOfClass
from spawner.ledger.time.rows import Charge, Grant
from spawner.pool.time.balance import Balance, balances

WEEKS = 8
MOST_PEOPLE = 50
"""People of a class whose balance is computed: those who used most."""
MOST_ROWS = 50
NEAR = 0.2
"""Who has less than this share of the hours left is near the limit."""
GRANTS_OF_PERSON = 10
GRANT_WEEKS = ("1", "2", "4", "12")
"""How long a grant of the form may hold; 1 is until the end of this week."""


@dataclass(frozen=True)
class NearLimit:
    """One person with few hours left, or none."""

    person_id: str
    balance: Balance


@dataclass(frozen=True)
class Overview:
    """`weeks` are those of the last eight in which somebody used a class, the newest first. `names` are present
    names by id of a person."""

    weeks: list[WeekOfClass]
    near: list[NearLimit]
    by_hand: list[Grant]
    given_back: list[Charge]
    names: dict[str, str]


@dataclass(frozen=True)
class PersonAllowance:
    """One person's balances, and the grants that were made last."""

    balances: list[Balance]
    grants: list[Grant]


def read_overview(connection: Connection, catalog: Catalog, now: datetime) -> Overview:
    """Read it in one transaction."""
    weeks = last_weeks(catalog, now, WEEKS)
    near = [one for kind in catalog.allowances.classes for one in _near(connection, catalog, kind.id, weeks[0], now)]
    by_hand = allowance_use.made_by_hand(connection, valid_after=weeks[1].start, at_most=MOST_ROWS)
    given_back = allowance_use.refunded_charges(connection, since=weeks[1].start, at_most=MOST_ROWS)
    shown = [*(one.person_id for one in near), *(one.person_id for one in by_hand)]
    shown += [one.person_id for one in given_back]
    return Overview(
        weeks=_weeks(connection, catalog, weeks),
        near=near,
        by_hand=by_hand,
        given_back=given_back,
        names=people.names(connection, shown),
    )


def read_person(connection: Connection, catalog: Catalog, person_id: str, now: datetime) -> PersonAllowance:
    """Read it in one transaction."""
    return PersonAllowance(
        balances=balances(connection, catalog, person_id, now),
        grants=allowance_use.grants_of(connection, person_id, at_most=GRANTS_OF_PERSON),
    )


def last_weeks(catalog: Catalog, now: datetime, count: int) -> list[Week]:
    """This week and those before it."""
    weeks = [catalog.allowances.week(now)]
    while len(weeks) < count:
        weeks.append(catalog.allowances.week_before(weeks[-1]))
    return weeks


def is_near(balance: Balance) -> bool:
    """Whether few hours are left of a class that is not unlimited."""
    return balance.left is not None and bool(balance.total) and balance.left < NEAR * (balance.total or 0)


def _weeks(connection: Connection, catalog: Catalog, weeks: Iterable[Week]) -> list[WeekOfClass]:
    ids, rows = [one.id for one in catalog.allowances.classes], []
    for week in weeks:
        found = {
            row.class_id: row
            for row in allowance_use.week_of_classes(connection, ids, begins=week.start, ends=week.end)
        }
        rows += [found[one] for one in ids if one in found]
    return rows


def _near(connection: Connection, catalog: Catalog, class_id: str, week: Week, now: datetime) -> list[NearLimit]:
    most = allowance_use.most_used(connection, class_id, since=week.start, at_most=MOST_PEOPLE)
    found = (
        NearLimit(one.person_id, balance)
        for one in most
        for balance in balances(connection, catalog, one.person_id, now)
        if balance.class_id == class_id and is_near(balance)
    )
    return sorted(found, key=lambda one: (one.balance.left or 0, one.person_id))
