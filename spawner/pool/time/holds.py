"""Takes, extends and begins what is set aside for a run. The caller's transaction also writes the run itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from spawner.catalog import Catalog, Flavor, Week
from spawner.ledger.pool import instances
from spawner.ledger.time import grants
from spawner.ledger.time import holds as rows
from spawner.ledger.time.rows import Grant, GrantSource, Hold
from spawner.pool.policies import rights_in
from spawner.pool.time.balance import MADE_BY, Balance, balance_for, balance_in, class_of, write_week
from spawner.pool.time.meter import longest
from spawner.pool.time.refusals import least_needed, no_hours
from spawner.pool.time.settle import settle as release

__all__ = ["borrow", "extend", "fit", "refuse_server_without_hours", "refuse_without_hours", "release", "take"]


def refuse_without_hours(
    connection: Connection,
    catalog: Catalog,
    person_id: str,
    flavor: Flavor,
    session: timedelta,
    now: datetime,
    *,
    ended: Collection[str] = (),
) -> Balance | None:
    """The balance of the flavor's class, if it has one. Raises `NoHours` where less than a start needs is left.

    `session`: the longest that the person may run it. `ended`: instances that the start replaces; they count as if they
    were stopped now.
    """
    balance = balance_for(connection, catalog, person_id, flavor, now, ended=ended)
    needed = least_needed(flavor, session)
    if balance is None or balance.left is None or balance.left >= needed:
        return balance
    raise no_hours(catalog, rights_in(connection, catalog, person_id), flavor.id, balance, needed)


def refuse_server_without_hours(
    connection: Connection, catalog: Catalog, server: tuple[str, str], flavor: Flavor, session: timedelta, now: datetime
) -> None:
    """`refuse_without_hours` for a server: a person's id and the server's name.

    What runs there is stopped before the new instance starts, so what it holds counts as left.
    """
    if class_of(catalog, flavor) is not None:
        person_id, name = server
        ended = [one.id for one in instances.unended(connection, person_id) if one.server_name == name]
        refuse_without_hours(connection, catalog, person_id, flavor, session, now, ended=ended)


def take(
    connection: Connection,
    catalog: Catalog,
    *,
    instance_id: str,
    person_id: str,
    flavor: Flavor,
    session: timedelta,
    now: datetime,
    new_id: Callable[[], str],
) -> Hold | None:
    """Set aside the session, or what is left, and write the person's week where this is its first use.

    None where the flavor has no class. Raises `NoHours`. In one transaction with the row of the instance, so that two
    starts at once never get the same hour.
    """
    one = class_of(catalog, flavor)
    if one is None or flavor.allowance is None:
        return None
    balance = refuse_without_hours(connection, catalog, person_id, flavor, session, now)
    assert balance is not None
    write_week(connection, catalog, one, person_id, now, new_id)
    weight = flavor.allowance.weight
    wanted = math.ceil(session.total_seconds() * weight)
    hold = Hold(
        instance_id=instance_id,
        person_id=person_id,
        class_id=one.id,
        weight=weight,
        seconds=wanted if balance.left is None else min(wanted, balance.left),
        taken_at=now,
    )
    rows.write(connection, hold)
    return hold


def fit(connection: Connection, instance_id: str, ends_at: datetime, now: datetime) -> datetime:
    """The end of a run that is usable from now on: `ends_at`, or before, when what is set aside is used.

    What it cannot use is given back.
    """
    hold = rows.get(connection, instance_id)
    if hold is None:
        return ends_at
    ends_at = min(ends_at, now + longest(hold))
    needed = max(0, math.ceil((ends_at - now).total_seconds() * hold.weight))
    if needed < hold.seconds:
        rows.resize(connection, instance_id, seconds=needed)
    return ends_at


def extend(
    connection: Connection,
    catalog: Catalog,
    instance_id: str,
    seconds_of_clock: float,
    *,
    now: datetime,
    new_id: Callable[[], str],
) -> Hold | None:
    """Set aside so many more seconds of the clock for a run. The caller moves `ends_at`.

    A run that has crossed the reset is extended out of the present week. None where nothing is set aside for it: its
    flavor has no class. Raises `NoHours` where less is left.
    """
    hold = rows.get(connection, instance_id)
    if hold is None:
        return None
    wanted = math.ceil(seconds_of_clock * hold.weight)
    one = catalog.allowances.find(hold.class_id)
    if one is not None:  # else the class was removed from the catalog, and limits no more
        balance = balance_in(connection, catalog, hold.person_id, one, now)
        if balance.left is not None and balance.left < wanted:
            flavor_id = instances.get(connection, instance_id).flavor
            rights = rights_in(connection, catalog, hold.person_id)
            raise no_hours(catalog, rights, flavor_id, replace(balance, held=0), wanted)
        write_week(connection, catalog, one, hold.person_id, now, new_id)
        if hold.taken_at < balance.week_from:
            _move_hours(connection, catalog, hold, wanted, catalog.allowances.week(now), now, new_id)
    return _add(connection, hold, wanted)


def borrow(
    connection: Connection,
    catalog: Catalog,
    instance_id: str,
    seconds_of_clock: float,
    *,
    now: datetime,
    new_id: Callable[[], str],
) -> Hold | None:
    """Set aside so many more seconds of the clock for a run out of the next week's hours. The caller moves `ends_at`.

    What of it the run does not use is given back when it ends. None where nothing is set aside for it.
    """
    hold = rows.get(connection, instance_id)
    if hold is None:
        return None
    wanted = math.ceil(seconds_of_clock * hold.weight)
    following = catalog.allowances.week(catalog.allowances.week(now).end)
    _move_hours(connection, catalog, hold, wanted, following, now, new_id)
    return _add(connection, hold, wanted)


def _add(connection: Connection, hold: Hold, seconds: int) -> Hold:
    longer = replace(hold, seconds=hold.seconds + seconds)
    rows.resize(connection, hold.instance_id, seconds=longer.seconds)
    return longer


def _move_hours(
    connection: Connection,
    catalog: Catalog,
    hold: Hold,
    seconds: int,
    week: Week,
    now: datetime,
    new_id: Callable[[], str],
) -> None:
    """Move seconds from a later week to the one that the run counts for."""
    until = catalog.allowances.week(hold.taken_at).end
    for given, valid_from, valid_until in ((seconds, hold.taken_at, until), (-seconds, week.start, week.end)):
        grant = Grant(
            id=new_id(),
            person_id=hold.person_id,
            class_id=hold.class_id,
            seconds=given,
            valid_from=valid_from,
            valid_until=valid_until,
            source=GrantSource.GRACE,
            reference=hold.instance_id,
            reason="",
            made_by=MADE_BY,
            made_at=now,
        )
        grants.write(connection, grant)
