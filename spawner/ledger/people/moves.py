"""Moves people from one hub to another. Who has anything that runs, waits or is billed stays until it is over."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, exists, insert, select, update
from sqlalchemy.orm import aliased

from spawner.ledger.paid.rows import OVER, ConsentState
from spawner.ledger.paid.tables import consents, orders
from spawner.ledger.people.bans import holds
from spawner.ledger.people.tables import bans, hub_moves, people
from spawner.ledger.pool.tables import IS_OPEN, IS_UNENDED, instances, tickets
from spawner.ledger.transitions import touch

UNSPENT = (ConsentState.OFFERED, ConsentState.ACCEPTED)


def movable(connection: Connection, hub: str, *, to: str, now: datetime, limit: int) -> list[str]:
    """Ids of people of a hub who can be moved now. A read: most have nothing to move.

    Left out: people without a login's subject, because the other hub would take them for new ones; people whose name
    another person has on the other hub; banned people, because a ban holds on their own hub.
    """
    other = aliased(people)
    idle = (
        ~exists().where(instances.c.person_id == people.c.id, IS_UNENDED),
        ~exists().where(tickets.c.person_id == people.c.id, IS_OPEN),
        ~exists().where(orders.c.person_id == people.c.id, orders.c.state.not_in(OVER)),
        ~exists().where(consents.c.person_id == people.c.id, consents.c.state.in_(UNSPENT)),
    )
    is_banned = exists().where(bans.c.person_id == people.c.id, holds(now))
    is_free = ~exists().where(other.c.hub_name == people.c.hub_name, other.c.hub == to)
    query = select(people.c.id).where(people.c.hub == hub, people.c.identity.is_not(None), is_free, ~is_banned, *idle)
    return list(connection.execute(query.order_by(people.c.id).limit(limit)).scalars())


def move(connection: Connection, hub: str, *, to: str, now: datetime, limit: int) -> int:
    """Move at most `limit` people who can be moved. Returns how many.

    Each user's number on this hub is kept in `hub_moves`, so that their old sessions here redirect to the other hub.
    """
    ids = movable(connection, hub, to=to, now=now, limit=limit)
    if not ids:
        return 0
    known = select(people).where(people.c.id.in_(ids), people.c.hub_id.is_not(None), people.c.hub_since.is_not(None))
    for row in connection.execute(known).all():
        key = {"hub": hub, "hub_id": row.hub_id, "hub_since": row.hub_since}
        connection.execute(delete(hub_moves).where(*(hub_moves.c[name] == value for name, value in key.items())))
        connection.execute(insert(hub_moves).values(**key, person_id=row.id, moved_at=now))
    # `hub_since` stays: no user of the other hub was created at that time, so none matches by name and time.
    connection.execute(update(people).where(people.c.id.in_(ids)).values(hub=to, hub_id=None))
    touch(connection)
    return len(ids)
