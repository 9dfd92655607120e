"""What administrators give and give back, with the same checks for the pages and the command line."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from sqlalchemy import Connection

from spawner.catalog import Catalog, echo
from spawner.errors import BadOption, Conflict
from spawner.ledger.pool import run_history
from spawner.ledger.time import allowance_use, grants
from spawner.ledger.time.rows import Grant, GrantSource
from spawner.ledger.transitions import touch
from spawner.plain_text import one_line

MOST_HOURS = 1000
"""Of one grant, either way: more is taken for a typing mistake."""
LONGEST_REASON = 200
LONGEST = timedelta(days=366)
HOUR = 3600


def hours_of(text: str) -> float:
    """A number of hours, negative to take some away. Raises `BadOption`."""
    try:
        hours = float(text.strip().replace("\u2212", "-"))
    except ValueError:
        hours = math.nan
    if not 0 < abs(hours) <= MOST_HOURS or not round(hours * HOUR):
        raise BadOption(
            "{value} is not a valid number of hours.",
            next_step="Enter a number from -1000 to 1000, but not 0.",
            value=echo(text),
        )
    return hours


def end_of_weeks(catalog: Catalog, now: datetime, weeks: int) -> datetime:
    """The end of this week (1), or of a later one."""
    end = catalog.allowances.week(now).end
    for _ in range(weeks - 1):
        end = catalog.allowances.week(end).end
    return end


def give(
    connection: Connection,
    catalog: Catalog,
    *,
    grant_id: str,
    person_id: str,
    class_id: str,
    hours: float,
    until: datetime | None,
    reason: str,
    by: str,
    now: datetime,
) -> Grant:
    """Write a grant that holds from now until a time, by default the end of this week.

    A form that is sent twice has the same `grant_id`, and gives once. Raises `BadOption`, and `Conflict` for a form
    that was sent before with something else in it.
    """
    if catalog.allowances.find(class_id) is None:
        known = ", ".join(one.id for one in catalog.allowances.classes)
        raise BadOption(
            "Unknown class of hours: {wanted}.",
            next_step="Available: {known}.",
            wanted=echo(class_id),
            known=known or "(none)",
        )
    until = catalog.allowances.week(now).end if until is None else until
    if not now < until <= now + LONGEST:
        raise BadOption(
            "The hours would end at {value}.", next_step="Choose a time within the next year.", value=_minute(until)
        )
    grant = Grant(
        id=grant_id,
        person_id=person_id,
        class_id=class_id,
        seconds=round(hours * HOUR),
        valid_from=now,
        valid_until=until,
        source=GrantSource.ADMIN,
        reference=None,
        reason=_reason(reason),
        made_by=by,
        made_at=now,
    )
    return _write(connection, grant)


def refund(
    connection: Connection,
    catalog: Catalog,
    *,
    grant_id: str,
    instance_id: str,
    reason: str,
    by: str,
    now: datetime,
) -> Grant:
    """Give back all that a run used and that was not given back before, for use until the end of this week.

    Raises `BadOption` for a run that used no hours, and `Conflict` where nothing is left to give back.
    """
    charge = allowance_use.charge_of(connection, instance_id)
    if charge is None:
        raise BadOption(
            "No hours were charged for the run {id}.",
            next_step="Check the id in the user's history. A run is charged when it ends.",
            id=echo(instance_id),
        )
    before = run_history.refunds_of(connection, charge.person_id, [instance_id])
    left = charge.seconds - charge.refunded - sum(one.seconds or 0 for one in before if one.id != grant_id)
    if left <= 0:
        raise Conflict(
            "There is nothing left to give back for this run.", next_step="Give hours instead, if more is due."
        )
    grant = Grant(
        id=grant_id,
        person_id=charge.person_id,
        class_id=charge.class_id,
        seconds=left,
        valid_from=now,
        valid_until=catalog.allowances.week(now).end,
        source=GrantSource.REFUND,
        reference=instance_id,
        reason=_reason(reason),
        made_by=by,
        made_at=now,
    )
    return _write(connection, grant)


def _write(connection: Connection, grant: Grant) -> Grant:
    """Write it, unless the same form was sent before. Returns what the ledger has."""
    before = allowance_use.grant_of(connection, grant.id)
    if before is None:
        grants.write(connection, grant)
        touch(connection)
        return grant
    if _what(before) != _what(grant):
        raise Conflict("This form was already sent.", next_step="Reload the page, and fill it in again.")
    return before


def _what(grant: Grant) -> tuple[object, ...]:
    return grant.person_id, grant.class_id, grant.seconds, grant.source, grant.reference, grant.reason


def _reason(text: str) -> str:
    reason = one_line(text)
    if not reason:
        raise BadOption("The reason is missing.", next_step="Say why: the user reads it in their history.")
    if len(reason) > LONGEST_REASON:
        raise BadOption("The reason is not valid.", next_step="Use at most 200 characters.")
    return reason


def _minute(time: datetime) -> str:
    return time.isoformat(sep=" ", timespec="minutes")
