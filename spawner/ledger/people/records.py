"""What operators read about people: a search, and all that is known of one person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, or_, select

from spawner.ledger.paid import orders
from spawner.ledger.paid.rows import OVER, Order
from spawner.ledger.people import bans, groups, people
from spawner.ledger.people.rows import Ban, GroupSource, Person
from spawner.ledger.people.tables import people as table
from spawner.ledger.pool import instances, tickets
from spawner.ledger.pool.rows import Instance, InstanceState, Ticket
from spawner.ledger.pool.tables import instances as instances_table
from spawner.plain_text import printable

MOST = 50
RECENT = 20
SHORTEST_HASH = 6
"""Digits of an id or identity from which a beginning is enough."""


@dataclass(frozen=True)
class PersonRecord:
    """One person. `running` has what has not ended, `recent` the last runs that have; `orders` are not over.

    `bans` are all of theirs, the newest first.
    """

    person: Person
    groups: Mapping[GroupSource, tuple[str, ...]]
    bans: list[Ban]
    running: list[Instance]
    recent: list[Instance]
    tickets: list[Ticket]
    orders: list[Order]


def search(connection: Connection, text: str, *, limit: int = MOST) -> list[Person]:
    """People whose present or last name contains `text`, or whose id or identity begins with it, the newest first.

    All of them where the text is empty.
    """
    text = printable(text).strip()
    matches = [func.lower(table.c.hub_name).contains(text.lower(), autoescape=True), table.c.id == text]
    if len(text) >= SHORTEST_HASH:
        matches += [column.startswith(text, autoescape=True) for column in (table.c.id, table.c.identity)]
    query = select(table).order_by(table.c.hub_id.is_(None), table.c.created_at.desc(), table.c.id).limit(limit)
    return [Person(**row._mapping) for row in connection.execute(query.where(or_(*matches)) if text else query)]


def record_of(connection: Connection, person_id: str) -> PersonRecord | None:
    """All that the page shows; None where there is no such person."""
    person = people.find(connection, person_id)
    if person is None:
        return None
    ended = (
        select(instances_table)
        .where(instances_table.c.person_id == person_id, instances_table.c.state == InstanceState.ENDED)
        .order_by(instances_table.c.requested_at.desc(), instances_table.c.id)
        .limit(RECENT)
    )
    return PersonRecord(
        person=person,
        groups={source: groups.of(connection, person_id, source) for source in GroupSource},
        bans=bans.history(connection, [person_id])[::-1],
        running=instances.unended(connection, person_id),
        recent=[Instance(**row._mapping) for row in connection.execute(ended)],
        tickets=tickets.alive(connection, person_id),
        orders=[order for order in orders.of_person(connection, person_id) if order.state not in OVER],
    )
