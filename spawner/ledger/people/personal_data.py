"""Which rows are a person's, table by table: all of them are exported, and each table says what forgetting does.

`tests/ledger/test_personal_data.py` fails for a table with a person's column that is in neither of the two lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, false, func, or_, select, true

from spawner.ledger.bundles.tables import bundles, keep_choices
from spawner.ledger.channels.tables import channels, messages
from spawner.ledger.paid.rows import ConsentState
from spawner.ledger.paid.tables import bindings, consents, notices, order_events, orders
from spawner.ledger.people.bans import holds
from spawner.ledger.people.tables import bans, hub_moves, invitations, people, person_groups, terms_acceptances
from spawner.ledger.pool.tables import events, guard_notes, instances, slots, tickets
from spawner.ledger.time.tables import (
    allowance_charges,
    allowance_grants,
    allowance_holds,
    instance_use,
    session_extensions,
    session_notices,
)

SCHEMA = "freepool-person/1"
"""Version of the export's format (docs/admin.md)."""


Rows = Callable[[str], ColumnElement[bool]]


@dataclass(frozen=True)
class PersonalTable:
    """`rows`: the condition for the rows of a person's id. `stays`: which of them stay when the person is forgotten at
    a time; `names`: columns in which those have a made-up name then. `hidden`: columns that are not exported."""

    table: Table
    rows: Rows
    stays: Callable[[datetime], ColumnElement[bool]]
    names: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()


def _none(_: datetime) -> ColumnElement[bool]:
    return false()


def _all(_: datetime) -> ColumnElement[bool]:
    return true()


def _of(table: Table) -> Rows:
    return lambda person_id: table.c.person_id == person_id


def _of_slot(person_id: str) -> ColumnElement[bool]:
    holders = (select(table.c.id).where(table.c.person_id == person_id) for table in (instances, tickets))
    return or_(*(slots.c.holder_id.in_(ids) for ids in holders))


def _of_instance(table: Table) -> Rows:
    return lambda person_id: table.c.instance_id.in_(select(instances.c.id).where(instances.c.person_id == person_id))


_SECRETS = frozenset({"external_id", "session", "answer_hash", "code_hash", "key"})

PERSONAL: tuple[PersonalTable, ...] = (
    PersonalTable(people, lambda person_id: people.c.id == person_id, _all),
    PersonalTable(person_groups, _of(person_groups), _none),
    PersonalTable(hub_moves, _of(hub_moves), _none),
    PersonalTable(bans, _of(bans), holds),
    PersonalTable(slots, _of_slot, _all),
    PersonalTable(events, _of_instance(events), _none),
    PersonalTable(instance_use, _of_instance(instance_use), _none),
    PersonalTable(session_notices, _of(session_notices), _none),
    PersonalTable(session_extensions, _of(session_extensions), _none),
    PersonalTable(messages, _of(messages), _none),
    PersonalTable(channels, _of(channels), _none, hidden=_SECRETS),
    PersonalTable(bundles, _of(bundles), _none, hidden=_SECRETS),
    PersonalTable(keep_choices, _of(keep_choices), _none),
    PersonalTable(allowance_holds, _of(allowance_holds), _none),
    PersonalTable(allowance_charges, _of(allowance_charges), _none),
    PersonalTable(allowance_grants, _of(allowance_grants), _none),
    PersonalTable(instances, _of(instances), _none),
    PersonalTable(tickets, _of(tickets), _none),
    PersonalTable(guard_notes, _of(guard_notes), _none),
    PersonalTable(invitations, lambda person_id: invitations.c.used_by == person_id, _none, hidden=_SECRETS),
    PersonalTable(terms_acceptances, _of(terms_acceptances), _none),
    PersonalTable(notices, _of(notices), _none),
    PersonalTable(consents, _of(consents), lambda _: consents.c.state == ConsentState.SPENT, ("user_name",), _SECRETS),
    PersonalTable(
        bindings, _of(bindings), lambda _: bindings.c.id.in_(select(orders.c.binding_id)), ("user_name",), _SECRETS
    ),
    PersonalTable(
        order_events,
        lambda person_id: order_events.c.order_id.in_(select(orders.c.id).where(orders.c.person_id == person_id)),
        _all,
        ("by",),
    ),
    PersonalTable(orders, _of(orders), _all, ("user_name", "stop_wanted_by", "delete_wanted_by")),
)
"""In the order of removal: rows before those that lead to them."""

NOT_PERSONAL: Mapping[str, str] = {
    "controls": "settings of the platform; `set_by` is the administrator who set one",
    "leases": "`holder` is a process of Freepool",
}
"""Tables with a column that looks like a person's, and why their rows are nobody's."""


def rows_of(connection: Connection, person_id: str) -> dict[str, list[dict[str, Any]]]:
    """The person's rows, by table, without secrets."""
    return {
        one.table.name: [
            {name: value for name, value in row._mapping.items() if name not in one.hidden}
            for row in connection.execute(
                select(one.table).where(one.rows(person_id)).order_by(*one.table.primary_key.columns)
            )
        ]
        for one in PERSONAL
    }


def export(connection: Connection, person_id: str, *, now: datetime, version: str) -> dict[str, Any]:
    """All that the ledger has of a person, for `json.dumps` with `json_default`."""
    return {
        "schema": SCHEMA,
        "freepool": version,
        "exported_at": now,
        "person": person_id,
        "tables": rows_of(connection, person_id),
    }


def json_default(value: object) -> str:
    """For `json.dumps`: times are ISO 8601, in UTC."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def count(connection: Connection, table: Table, *where: ColumnElement[bool]) -> int:
    """How many rows there are."""
    return int(connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one())
