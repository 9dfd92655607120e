"""Forgets a person: removes what may go, keeps bills and bans that hold, under a made-up name.

Nothing is written while something of theirs runs or is billed, or while JupyterHub still has the user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, not_, select, union, update

from spawner.errors import Conflict
from spawner.ledger.engine import rows_changed
from spawner.ledger.paid import bindings, orders
from spawner.ledger.paid.rows import OVER
from spawner.ledger.paid.tables import bindings as bindings_table
from spawner.ledger.paid.tables import consents as consents_table
from spawner.ledger.paid.tables import orders as orders_table
from spawner.ledger.people import bans, people
from spawner.ledger.people.personal_data import PERSONAL, count
from spawner.ledger.people.rows import Ban, Person, TrustClass
from spawner.ledger.people.tables import bans as bans_table
from spawner.ledger.people.tables import people as people_table
from spawner.ledger.pool import instances, tickets
from spawner.ledger.transitions import touch

FORGOTTEN = "forgotten"
"""`hub_since` of a forgotten person: no user of JupyterHub was made then, so nobody is taken for them by name."""

RUNS = "A notebook of {name} is running."
WAITS = "{name} is in the queue, or has a pending start."
BILLED = "A paid notebook of {name} has not been deleted and may incur charges: {instance}."
HAS_USER = "JupyterHub still has the user {name}."
STOP = "Stop it on the page Running notebooks first, or ban the user, which ends everything."
DELETE_IT = "Its owner must delete it or unlink the account; a banned user can do both."
DELETE_USER = "Delete the user from JupyterHub first, by its API: DELETE /hub/api/users/{name}."
FORMER_HUB_HAS_USER = "The JupyterHub of the hub {hub}, from which {name} was moved, still has the user."
DELETE_THERE = "Delete the user there first, by the API of that hub: DELETE /hub/api/users/{name}."


@dataclass(frozen=True)
class Preview:
    """What forgetting would do. `removed` and `kept` are numbers of rows by table; `ban` holds, and stays.

    `refusals`: why it cannot be done now. `has_subject`: the same account is recognised at its next login while the ban
    holds.
    """

    person: Person
    refusals: tuple[Conflict, ...]
    removed: Mapping[str, int]
    kept: Mapping[str, int]
    ban: Ban | None

    @property
    def has_subject(self) -> bool:
        """Whether the login has a subject."""
        return self.person.identity is not None


def made_up_name(person_id: str) -> str:
    """The name of a forgotten person."""
    return f"{FORGOTTEN}-{person_id[:8]}"


def preview(connection: Connection, person_id: str, *, now: datetime, is_gone: bool = False) -> Preview:
    """What forgetting would do now. `is_gone`: JupyterHub has no such user, although the ledger says that it has."""
    person = people.get(connection, person_id)
    removed: dict[str, int] = {}
    kept: dict[str, int] = {}
    for one in PERSONAL:
        if one.table is people_table:
            continue
        stays = count(connection, one.table, one.rows(person_id), one.stays(now))
        goes = count(connection, one.table, one.rows(person_id)) - stays
        removed |= {one.table.name: goes} if goes else {}
        kept |= {one.table.name: stays} if stays else {}
    return Preview(
        person=person,
        refusals=tuple(_refusals(connection, person, is_gone=is_gone)),
        removed=removed,
        kept=kept,
        ban=bans.of_person(connection, person_id, now=now),
    )


def forget(connection: Connection, person_id: str, *, now: datetime, is_gone: bool = False) -> Preview:
    """Do it, and return what was done. Raises the first of the refusals, and then writes nothing."""
    done = preview(connection, person_id, now=now, is_gone=is_gone)
    if done.refusals:
        raise done.refusals[0]
    for binding in bindings.of_person(connection, person_id):  # no order is open, so nothing is left behind
        bindings.unlink(connection, binding.id, now=now)
    _rename(connection, person_id, done.person.hub_name)
    for one in PERSONAL:
        if one.table is not people_table:
            connection.execute(delete(one.table).where(one.rows(person_id), not_(one.stays(now))))
    change = {"hub_id": None, "hub_since": FORGOTTEN, "trust": TrustClass.NEW, "forgotten_at": now}
    connection.execute(
        update(people_table).where(people_table.c.id == person_id).values(hub_name=made_up_name(person_id), **change)
    )
    _reduce(connection, person_id, now)
    touch(connection)
    return done


def _rename(connection: Connection, person_id: str, hub_name: str) -> None:
    """Write the made-up name wherever one of the person's is."""
    billed = (
        select(table.c.user_name).where(table.c.person_id == person_id) for table in (orders_table, consents_table)
    )
    names = {hub_name, *connection.execute(union(*billed)).scalars()}
    for one in PERSONAL:
        for name in one.names:
            is_theirs = one.rows(person_id), one.table.c[name].in_(names)
            connection.execute(update(one.table).where(*is_theirs).values({name: made_up_name(person_id)}))
    connection.execute(update(bindings_table).where(bindings_table.c.person_id == person_id).values(subject=""))


def prune(connection: Connection, *, now: datetime) -> int:
    """Remove what was kept of forgotten people for bans that are over now. Returns of how many people."""
    query = select(people_table.c.id).where(people_table.c.forgotten_at.is_not(None))
    return sum(_reduce(connection, person_id, now) for person_id in list(connection.execute(query).scalars()))


def _reduce(connection: Connection, person_id: str, now: datetime) -> bool:
    """Remove bans that are over; without one that holds, the identity; without bills, the whole row."""
    is_this = people_table.c.id == person_id
    is_over = bans_table.c.person_id == person_id, not_(bans.holds(now))
    has_removed = rows_changed(connection.execute(delete(bans_table).where(*is_over))) > 0
    if bans.of_person(connection, person_id, now=now) is not None:
        return has_removed
    rest = (orders_table, consents_table, bindings_table)
    if not any(count(connection, table, table.c.person_id == person_id) for table in rest):
        connection.execute(delete(people_table).where(is_this))
        return True
    is_known = is_this & (people_table.c.identity.is_not(None) | people_table.c.issuer.is_not(None))
    query = update(people_table).where(is_known).values(issuer=None, identity=None)
    return rows_changed(connection.execute(query)) > 0 or has_removed


def _refusals(connection: Connection, person: Person, *, is_gone: bool) -> list[Conflict]:
    found, name = [], person.hub_name
    if instances.unended(connection, person.id):
        found.append(Conflict(RUNS, next_step=STOP, name=name))
    elif tickets.alive(connection, person.id):
        found.append(Conflict(WAITS, next_step=STOP, name=name))
    found += [
        Conflict(BILLED, next_step=DELETE_IT, name=name, instance=f"{order.instance_type}, {order.name}")
        for order in orders.of_person(connection, person.id)
        if order.state not in OVER
    ]
    if is_gone:
        return found
    if person.hub_id is not None:
        found.append(Conflict(HAS_USER, next_step=DELETE_USER, name=name))
    return found + [
        Conflict(FORMER_HUB_HAS_USER, next_step=DELETE_THERE, name=name, hub=hub)
        for hub in people.former_hubs_with_user(connection, person.id)
    ]
