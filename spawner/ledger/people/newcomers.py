"""Admits new accounts: with an invitation, or within the number that the settings allow for a day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, delete, func, insert, select, update

from spawner.hub_settings import MAIN_HUB
from spawner.ledger.engine import rows_changed
from spawner.ledger.people import groups, invitations, people
from spawner.ledger.people.invitations import InvitationState
from spawner.ledger.people.rows import GroupSource, Identity, Invitation, Person, TrustClass
from spawner.ledger.people.tables import arrivals
from spawner.ledger.people.tables import people as people_table
from spawner.ledger.transitions import touch
from spawner.people_settings import PeopleSettings


class Refused(StrEnum):
    """Why an account that is new here may not come in."""

    UNINVITED = "uninvited"
    UNKNOWN_CODE = "unknown code"
    USED = "used"
    EXPIRED = "expired"
    REVOKED = "revoked"
    FULL_DAY = "full day"
    FULL_NETWORK = "full network"


OF_STATE = {
    InvitationState.USED: Refused.USED,
    InvitationState.EXPIRED: Refused.EXPIRED,
    InvitationState.REVOKED: Refused.REVOKED,
}


@dataclass(frozen=True)
class Newcomer:
    """An account that may be new here.

    `code_hash` is that of an invitation that it brings. `network` is the HMAC of where it comes from. `is_named`: the
    settings name it as a user or an administrator, so it needs no invitation and is not counted. `hub` is the hub that
    it goes to.
    """

    identity: Identity
    name: str
    network: str
    code_hash: str | None = None
    is_named: bool = False
    hub: str = MAIN_HUB


def enter(
    connection: Connection,
    newcomer: Newcomer,
    settings: PeopleSettings,
    *,
    new_id: Callable[[], str],
    now: datetime,
) -> Person | Refused:
    """The person of an account, written where it is new; or why it may not come in, and then nothing is written.

    An invitation is used only where it is needed to come in, or brings something: never by who is known already.
    """
    known = people.by_identity(connection, newcomer.identity)
    if known is not None:
        return known
    invitation, problem = None, None
    if newcomer.code_hash is not None:
        invitation = invitations.by_hash(connection, newcomer.code_hash)
        problem = problem_of(invitation, now)
    if invitation is None or problem is not None:
        refused = None if newcomer.is_named else _refused(connection, newcomer, settings, problem, now)
        return refused or _write(connection, newcomer, TrustClass.NEW, new_id(), now)
    person_id = new_id()
    if not invitations.take(connection, invitation.id, person_id, now=now):
        return Refused.USED
    person = _write(connection, newcomer, invitation.trust, person_id, now)
    if invitation.groups:
        by = f"invitation {invitation.id} by {invitation.made_by}"[:255]
        groups.replace(connection, person.id, GroupSource.ADMINISTRATOR, invitation.groups, by=by, now=now)
    return person


def problem_of(invitation: Invitation | None, now: datetime) -> Refused | None:
    """Why an invitation lets nobody in."""
    return Refused.UNKNOWN_CODE if invitation is None else OF_STATE.get(invitations.state_of(invitation, now))


def next_day(now: datetime) -> datetime:
    """When the day ends that is counted by."""
    return (now.astimezone(UTC) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)


def prune(connection: Connection, *, now: datetime) -> None:
    """Forget earlier days."""
    connection.execute(delete(arrivals).where(arrivals.c.day < _day(now)))


def _refused(
    connection: Connection, newcomer: Newcomer, settings: PeopleSettings, problem: Refused | None, now: datetime
) -> Refused | None:
    """Why somebody without a valid invitation may not come in; None where they may, and are counted."""
    if settings.invitation_only:
        return problem or Refused.UNINVITED
    if not settings.limits_new_accounts:
        return None
    prune(connection, now=now)
    today = arrivals.c.day == _day(now)
    here = today & (arrivals.c.network == newcomer.network)
    most, most_here = settings.new_per_day, settings.new_per_network_per_day
    if most is not None and _count(connection, today) >= most:
        return Refused.FULL_DAY
    if most_here is not None and _count(connection, here) >= most_here:
        return Refused.FULL_NETWORK
    if not rows_changed(connection.execute(update(arrivals).where(here).values(count=arrivals.c.count + 1))):
        connection.execute(insert(arrivals).values(day=_day(now), network=newcomer.network, count=1))
    return None


def _count(connection: Connection, which: object) -> int:
    query = select(func.coalesce(func.sum(arrivals.c.count), 0)).where(which)  # type: ignore[arg-type]
    return int(connection.execute(query).scalar_one())


def _day(now: datetime) -> str:
    return f"{now.astimezone(UTC):%Y-%m-%d}"


def _write(connection: Connection, newcomer: Newcomer, trust: TrustClass, person_id: str, now: datetime) -> Person:
    """JupyterHub has no user for the person yet: `people.identify` adds it, as for one who comes back."""
    person = Person(
        id=person_id,
        hub_name=newcomer.name,
        hub_id=None,
        hub_since=None,
        created_at=now,
        issuer=newcomer.identity.issuer,
        identity=newcomer.identity.digest,
        trust=trust,
        hub=newcomer.hub,
    )
    connection.execute(insert(people_table).values(**vars(person)))
    touch(connection)
    return person
