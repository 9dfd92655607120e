"""Queries of bans, and the refusal that a banned person gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, insert, or_, select, update

from spawner.errors import Banned
from spawner.hub_settings import MAIN_HUB
from spawner.ledger.channels import messages
from spawner.ledger.channels.rows import MessageEvent
from spawner.ledger.engine import rows_changed
from spawner.ledger.people.rows import Ban, BanCode, HubUser
from spawner.ledger.people.tables import bans, people
from spawner.ledger.transitions import touch
from spawner.times import utc_text

REASONS: dict[BanCode, str] = {
    BanCode.MINING: "Your account is banned: it was used for cryptocurrency mining.",
    BanCode.ATTACK: "Your account is banned: it was used to attack others.",
    BanCode.SPAM: "Your account is banned: it was used to send spam.",
    BanCode.EVASION: "Your account is banned: it belongs to a banned user.",
    BanCode.OTHER: "Your account is banned.",
}
UNTIL = "The ban ends on {until}. You can appeal: {appeal}"
FOR_GOOD = "The ban is permanent. You can appeal: {appeal}"
UNTIL_ASK = "The ban ends on {until}. You can appeal: contact an administrator of this platform."
FOR_GOOD_ASK = "The ban is permanent. You can appeal: contact an administrator of this platform."


def holds(now: Any) -> ColumnElement[bool]:
    """The condition for bans that hold at this time."""
    return bans.c.lifted_at.is_(None) & or_(bans.c.until.is_(None), bans.c.until > now)


_OF = (
    select(bans)
    .where(bans.c.person_id == bindparam("of"), holds(bindparam("now", type_=bans.c.until.type)))
    .order_by(bans.c.until.is_(None).desc(), bans.c.until.desc(), bans.c.id)
    .limit(1)
)


def put(connection: Connection, ban: Ban) -> None:
    """Write a ban. The steward ends what the person has."""
    connection.execute(insert(bans).values(**vars(ban)))
    params = {"code": ban.code.value, "appeal": ban.appeal, "until": ban.until.isoformat() if ban.until else None}
    messages.tell(connection, ban.person_id, MessageEvent.BANNED, f"ban:{ban.id}", params, ban.banned_at)
    touch(connection)


def lift(connection: Connection, person_id: str, *, by: str, now: datetime) -> int:
    """End all bans of a person that hold. Returns how many."""
    query = update(bans).where(bans.c.person_id == person_id, holds(now))
    count = rows_changed(connection.execute(query.values(lifted_at=now, lifted_by=by)))
    touch(connection)
    return count


def of_person(connection: Connection, person_id: str, *, now: datetime) -> Ban | None:
    """The ban that holds longest now."""
    row = connection.execute(_OF, {"of": person_id, "now": now}).one_or_none()
    return None if row is None else Ban(**row._mapping)


def holding(connection: Connection, *, now: datetime) -> list[Ban]:
    """All that hold now, oldest first."""
    rows = connection.execute(select(bans).where(holds(now)).order_by(bans.c.banned_at, bans.c.id))
    return [Ban(**row._mapping) for row in rows]


def history(connection: Connection, person_ids: Sequence[str] | None = None) -> list[Ban]:
    """All bans, oldest first; of these people if named."""
    query = select(bans).order_by(bans.c.banned_at, bans.c.id)
    if person_ids is not None:
        query = query.where(bans.c.person_id.in_(person_ids))
    return [Ban(**row._mapping) for row in connection.execute(query)]


def refuse_banned(connection: Connection, person_id: str, *, now: datetime) -> None:
    """Raise `Banned` while a ban of this person holds."""
    ban = of_person(connection, person_id, now=now)
    if ban is not None:
        raise refusal_of(ban)


def refusal_of(ban: Ban) -> Banned:
    """What the person reads: why, until when, and how to appeal."""
    until = "" if ban.until is None else utc_text(ban.until)
    if ban.appeal:
        return Banned(REASONS[ban.code], next_step=UNTIL if until else FOR_GOOD, appeal=ban.appeal, until=until)
    return Banned(REASONS[ban.code], next_step=UNTIL_ASK if until else FOR_GOOD_ASK, until=until)


@dataclass(frozen=True)
class BannedUser:
    """A ban that holds, and whom JupyterHub has, or had, for its person."""

    ban: Ban
    hub_id: int | None
    hub_name: str
    hub_since: str | None
    hub: str = MAIN_HUB

    def holds(self, now: datetime) -> bool:
        """Whether the ban is still in force."""
        return self.ban.holds(now)

    def is_of(self, user: HubUser) -> bool:
        """Whether this user of JupyterHub is the person, under whatever name."""
        return (self.hub, self.hub_id, self.hub_since) == (user.hub, user.id, user.since)

    def may_be_of(self, user: HubUser) -> bool:
        """Whether it may be, where the user's number is not known yet."""
        is_named = (self.hub, self.hub_name) == (user.hub, user.name)
        return self.hub_id is None and is_named and self.hub_since in (None, user.since)


def banned_users(connection: Connection, *, now: datetime) -> list[BannedUser]:
    """All bans that hold now, the one that holds longest first."""
    query = (
        select(bans, people.c.hub_id, people.c.hub_name, people.c.hub_since, people.c.hub)
        .join(people, people.c.id == bans.c.person_id)
        .where(holds(now))
        .order_by(bans.c.until.is_(None).desc(), bans.c.until.desc(), bans.c.id)
    )
    names = [column.name for column in bans.c]
    return [
        BannedUser(
            Ban(**{name: row[name] for name in names}), row["hub_id"], row["hub_name"], row["hub_since"], row["hub"]
        )
        for row in connection.execute(query).mappings()
    ]
