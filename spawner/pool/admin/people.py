"""What administrators do to people, with the same checks for the page, its API and the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field
from sqlalchemy import Connection

from spawner.errors import BadOption, Conflict
from spawner.ledger.people import bans
from spawner.ledger.people.forgetting import Preview
from spawner.ledger.people.rows import Ban, BanCode
from spawner.pool.admin.commands import Command
from spawner.times import utc_text

LONGEST_DAYS = 36500
LONGEST_TEXT = 4000


class BanChange(Command):
    """Ban a person for `days`, or `for_good`. The person is shown `appeal`, and neither evidence nor note."""

    code: BanCode = BanCode.OTHER
    days: Annotated[float, Field(allow_inf_nan=False)] | None = None
    for_good: bool = False
    evidence: str = Field(default="", max_length=LONGEST_TEXT)
    note: str = Field(default="", max_length=LONGEST_TEXT)
    appeal: str = Field(default="", max_length=500)


def until_of(change: BanChange, now: datetime) -> datetime | None:
    """When the ban ends; None for one without an end. Raises `BadOption`."""
    if change.for_good and change.days is None:
        return None
    if change.days is None or change.for_good:
        raise BadOption("Enter a number of days, or choose no end date.", next_step="Choose one of the two.")
    if not 0 < change.days <= LONGEST_DAYS:
        raise BadOption(
            "{days} is not a valid number of days.",
            next_step="Enter a number above 0 and up to 36500, or choose no end date.",
            days=change.days,
        )
    return now + timedelta(days=change.days)


def ban(
    connection: Connection, person_id: str, change: BanChange, *, by: str, now: datetime, new_id: Callable[[], str]
) -> Ban:
    """Write the ban. The steward then ends free instances and tickets, and stops paid ones. Raises `BadOption`."""
    made = Ban(
        id=new_id(),
        person_id=person_id,
        code=change.code,
        evidence=change.evidence,
        note=change.note,
        appeal=change.appeal.strip(),
        banned_by=by,
        banned_at=now,
        until=until_of(change, now),
    )
    bans.put(connection, made)
    return made


def unban(connection: Connection, person_id: str, *, by: str, now: datetime) -> int:
    """Lift all bans that hold. Returns how many. Raises `Conflict` where none does."""
    lifted = bans.lift(connection, person_id, by=by, now=now)
    if not lifted:
        raise Conflict("No ban is in force.", next_step="Check the list of bans.")
    return lifted


REMOVED = "Rows that are removed: {tables}."
KEPT = "Rows that stay, under a made-up name: {tables}."
BILLS_STAY = (
    "Bills (approvals, orders and their steps) stay for as long as the database is kept: they say who agreed to what."
)
BAN_STAYS = "The ban stays until {until}, and with it a hash of the login: this account is banned at each login."
BAN_STAYS_FOR_GOOD = (
    "The ban stays, and with it a hash of the login: this account is banned at each login. It has no end."
)
BAN_OF_NOBODY = "The ban then applies to no one: sign-ins here have no permanent ID, so a new link makes a new user."
SOMEBODY_NEW = "Anyone who signs in with this account later is a new user."
ELSEWHERE = "Logs and backups still have the name until they are rotated or deleted (docs/admin.md)."
BILLS = ("consents", "orders", "order_events", "bindings")


def forget_texts(done: Preview) -> Iterator[tuple[str, dict[str, object]]]:
    """What forgetting does, sentence by sentence, as templates and their parameters."""
    if done.removed:
        yield REMOVED, _counted(done.removed)
    bills = {name: count for name, count in done.kept.items() if name in BILLS}
    if bills:
        yield KEPT, _counted(bills)
        yield BILLS_STAY, {}
    if done.ban is None:
        yield SOMEBODY_NEW, {}
    elif not done.has_subject:
        yield BAN_OF_NOBODY, {}
    elif done.ban.until is None:
        yield BAN_STAYS_FOR_GOOD, {}
    else:
        yield BAN_STAYS, {"until": utc_text(done.ban.until)}
    yield ELSEWHERE, {}


def forget_lines(done: Preview) -> Iterator[str]:
    """The same in English."""
    return (template.format(**params) for template, params in forget_texts(done))


def _counted(tables: Mapping[str, int]) -> dict[str, object]:
    return {"tables": ", ".join(f"{name} {count}" for name, count in tables.items())}
