"""What a person has left of a week's hours. Reads only: the grant of a week that nobody has used yet is computed."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from spawner.catalog import AllowanceClass, Catalog, Flavor, Rights, Text, Week
from spawner.ledger.pool import instances
from spawner.ledger.time import charges, grants, holds
from spawner.ledger.time.rows import Grant, GrantSource, Hold
from spawner.pool.policies import rights_in
from spawner.pool.time import meter
from spawner.pool.time.sums import Debit, Sums, sums_of

MADE_BY = "freepool"
HOUR = 3600


@dataclass(frozen=True)
class Balance:
    """Weighted seconds of one person and class, now: `total` = `used` + `held` + `left`.

    `total` and `left` are None where the class is unlimited. A refund lowers `used`; it does not raise `total`. `held`
    is set aside for running notebooks. At `resets_at` the week's hours are given again.
    """

    class_id: str
    title: Text
    is_unlimited: bool
    total: int | None
    used: int
    held: int
    left: int | None
    week_from: datetime
    resets_at: datetime


def balances(connection: Connection, catalog: Catalog, person_id: str, now: datetime) -> list[Balance]:
    """The balance of each class of the catalog, in its order."""
    if not catalog.allowances.classes:
        return []
    rights = rights_in(connection, catalog, person_id)
    return [_balance(connection, catalog, rights, one, person_id, now) for one in catalog.allowances.classes]


def balance_for(
    connection: Connection,
    catalog: Catalog,
    person_id: str,
    flavor: Flavor,
    now: datetime,
    *,
    ended: Iterable[str] = (),
) -> Balance | None:
    """The balance of a flavor's class; None where the flavor has none.

    `ended`: ids of running instances that count as if they were stopped now.
    """
    one = class_of(catalog, flavor)
    return None if one is None else balance_in(connection, catalog, person_id, one, now, ended=ended)


def balance_in(
    connection: Connection,
    catalog: Catalog,
    person_id: str,
    one: AllowanceClass,
    now: datetime,
    *,
    ended: Iterable[str] = (),
) -> Balance:
    """The balance of a class, as `balance_for`."""
    rights = rights_in(connection, catalog, person_id)
    return _balance(connection, catalog, rights, one, person_id, now, ended=ended)


def class_of(catalog: Catalog, flavor: Flavor) -> AllowanceClass | None:
    """The class whose hours a flavor uses."""
    return None if flavor.allowance is None else catalog.allowances.find(flavor.allowance.class_id)


def write_week(
    connection: Connection,
    catalog: Catalog,
    one: AllowanceClass,
    person_id: str,
    now: datetime,
    new_id: Callable[[], str],
) -> None:
    """Write the grants of the person's week that are not written yet: from now on they hold, whatever the catalog
    says."""
    rights = rights_in(connection, catalog, person_id)
    week = catalog.allowances.week(now)
    found = grants.since(connection, person_id, week.start, one.id)
    for grant in _missing(connection, rights, one, person_id, found, week, now, new_id):
        with contextlib.suppress(IntegrityError), connection.begin_nested():  # weeks that overlap: the zone was changed
            grants.write(connection, grant)


def _balance(
    connection: Connection,
    catalog: Catalog,
    rights: Rights,
    one: AllowanceClass,
    person_id: str,
    now: datetime,
    *,
    ended: Iterable[str] = (),
) -> Balance:
    week = catalog.allowances.week(now)
    found, since = _grants(connection, person_id, one.id, week.start)
    found += _missing(connection, rights, one, person_id, found, week, now, lambda: "")
    debits = [Debit(used.at, used.seconds) for used in charges.since(connection, person_id, since, one.id)]
    ending = set(ended)
    for hold in holds.held(connection, person_id, one.id):
        if hold.instance_id in ending:
            debits.append(_if_ended(connection, hold, now))
        else:
            debits.append(Debit(hold.taken_at, hold.seconds, is_held=True))
    sums = sums_of(found, debits, now)
    back = _given_back(found, sums, now)
    policy = next(grant for grant in found if _is_now(grant, GrantSource.POLICY, now))
    return Balance(
        class_id=one.id,
        title=one.title,
        is_unlimited=sums.is_unlimited,
        total=None if sums.total is None else sums.total - back,
        used=sums.used - back,
        held=sums.held,
        left=sums.left,
        week_from=policy.valid_from,
        resets_at=policy.valid_until,
    )


def _given_back(found: Iterable[Grant], sums: Sums, now: datetime) -> int:
    """What refunds undo of the use. A reader takes a refund for less use, not for a larger week."""
    refunds = (grant.seconds or 0 for grant in found if _is_now(grant, GrantSource.REFUND, now))
    return 0 if sums.is_unlimited else min(sum(refunds), sums.used)


def _grants(connection: Connection, person_id: str, class_id: str, since: datetime) -> tuple[list[Grant], datetime]:
    """The grants that are valid now, and those that were valid beside them; and when the first of all began."""
    while True:
        found = grants.since(connection, person_id, since, class_id)
        first = min((grant.valid_from for grant in found), default=since)
        if first >= since:
            return found, since
        since = first  # a grant over several weeks: it may have been used in the weeks before


def _missing(
    connection: Connection,
    rights: Rights,
    one: AllowanceClass,
    person_id: str,
    found: list[Grant],
    week: Week,
    now: datetime,
    new_id: Callable[[], str],
) -> list[Grant]:
    """The policy's and the float's grant of this week, where there are none yet."""

    def grant(source: GrantSource, seconds: int | None) -> Grant:
        return Grant(
            id=new_id(),
            person_id=person_id,
            class_id=one.id,
            seconds=seconds,
            valid_from=week.start,
            valid_until=week.end,
            source=source,
            reference=None,
            reason="",
            made_by=MADE_BY,
            made_at=now,
        )

    missing = []
    policy = next((grant for grant in found if _is_now(grant, GrantSource.POLICY, now)), None)
    if policy is None:
        hours = rights.allowance_hours(one)
        policy = grant(GrantSource.POLICY, None if hours == math.inf else round(hours * HOUR))
        missing.append(policy)
    has_float = any(_is_now(grant, GrantSource.FLOAT, now) for grant in found)
    if policy.seconds is not None and policy.valid_from == week.start and not has_float:
        share = grants.float_of(connection, one.id, week.start)
        if share is not None and share.seconds:
            missing.append(grant(GrantSource.FLOAT, share.seconds))
    return missing


def _is_now(grant: Grant, source: GrantSource, now: datetime) -> bool:
    return grant.source is source and grant.valid_from <= now < grant.valid_until


def _if_ended(connection: Connection, hold: Hold, now: datetime) -> Debit:
    return Debit(hold.taken_at, meter.used_by_now(instances.get(connection, hold.instance_id), hold, now))
