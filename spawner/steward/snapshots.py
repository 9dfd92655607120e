"""The steward's snapshots of the ledger, each read in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from spawner.hub_settings import MAIN_HUB
from spawner.ledger import Instance, Slot, Ticket
from spawner.ledger.people import groups, people
from spawner.ledger.pool import admin_settings, tickets, user_namespaces
from spawner.ledger.pool.open_rows import OpenRowsReader
from spawner.ledger.pool.user_namespaces import NodeSupport
from spawner.pool.admin.settings import AdminSettings
from spawner.pool.warm.demand import read_demand

__all__ = ["QueueSnapshot", "ReconcileSnapshot", "read_demand", "read_queue", "read_reconcile"]


@dataclass(frozen=True)
class ReconcileSnapshot:
    """All open rows, and the administrators' settings."""

    slots: list[Slot]
    instances: list[Instance]
    tickets: list[Ticket]
    controls: AdminSettings
    tried: list[NodeSupport]


def read_reconcile(connection: Connection, rows: OpenRowsReader) -> ReconcileSnapshot:
    """For `reconcile`. In one transaction: else a slot released between two reads would look like an orphan."""
    found = rows.read(connection)
    return ReconcileSnapshot(
        slots=found.slots,
        instances=found.instances,
        tickets=found.tickets,
        controls=AdminSettings(admin_settings.all_of(connection)),
        tried=user_namespaces.all_of(connection),
    )


@dataclass(frozen=True)
class QueueSnapshot:
    """The queue and the slots held for it.

    `uncollected`: served tickets whose user has not been active yet. `untold`: called tickets that the webhook has not
    accepted yet. `groups` are those of the tickets' people, by id. `people_of_other_hubs`: ids of those whom this hub
    does not serve.
    """

    tickets: list[Ticket]
    uncollected: list[Ticket]
    untold: list[Ticket]
    slots: list[Slot]
    instances: list[Instance]
    groups: Mapping[str, frozenset[str]]
    people_of_other_hubs: frozenset[str] = frozenset()


def read_queue(
    connection: Connection, rows: OpenRowsReader, *, told_since: datetime, hub: str = MAIN_HUB
) -> QueueSnapshot:
    """For `queue_actions`."""
    found = rows.read(connection)
    uncollected, untold = tickets.uncollected(connection), tickets.untold(connection, since=told_since)
    concerned = {ticket.person_id for ticket in (*found.tickets, *uncollected, *untold)}
    return QueueSnapshot(
        tickets=found.tickets,
        uncollected=uncollected,
        untold=untold,
        slots=found.slots,
        instances=found.instances,
        groups=groups.of_people(connection, {ticket.person_id for ticket in found.tickets}),
        people_of_other_hubs=people.on_other_hubs(connection, concerned, hub),
    )
