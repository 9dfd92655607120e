"""What the steward looks at, each read in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from spawner.ledger import Instance, Slot, Ticket
from spawner.ledger.pool import admin_settings, instances, slots, tickets, user_namespaces
from spawner.ledger.pool.user_namespaces import NodeSupport
from spawner.pool.admin.settings import AdminSettings
from spawner.pool.warm.demand import read_demand

__all__ = ["QueueSnapshot", "ReconcileSnapshot", "read_demand", "read_queue", "read_reconcile"]


@dataclass(frozen=True)
class ReconcileSnapshot:
    """What the ledger has: all that is not over, and what operators have set."""

    slots: list[Slot]
    instances: list[Instance]
    tickets: list[Ticket]
    controls: AdminSettings
    tried: list[NodeSupport]


def read_reconcile(connection: Connection) -> ReconcileSnapshot:
    """For `order`. Read at different moments, a slot that was given back in between would look like nobody's."""
    return ReconcileSnapshot(
        slots=slots.occupying(connection),
        instances=instances.unended(connection),
        tickets=tickets.alive(connection),
        controls=AdminSettings(admin_settings.all_of(connection)),
        tried=user_namespaces.all_of(connection),
    )


@dataclass(frozen=True)
class QueueSnapshot:
    """Who waits, and for whom what is held. `uncollected`: whose person is not known to have come.

    `untold`: whose turn has come, and the operator's hook has not heard of it.
    """

    tickets: list[Ticket]
    uncollected: list[Ticket]
    untold: list[Ticket]
    slots: list[Slot]
    instances: list[Instance]


def read_queue(connection: Connection, *, told_since: datetime) -> QueueSnapshot:
    """For `line`."""
    return QueueSnapshot(
        tickets=tickets.alive(connection),
        uncollected=tickets.uncollected(connection),
        untold=tickets.untold(connection, since=told_since),
        slots=slots.occupying(connection),
        instances=instances.unended(connection),
    )
