"""What the steward looks at, each read in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from spawner.ledger import Instance, Slot, Ticket
from spawner.ledger.pool import admin_settings, instances, slots, tickets, user_namespaces
from spawner.ledger.pool.user_namespaces import Tried
from spawner.pool.admin.settings import Controls
from spawner.pool.warm.demand import read_demand

__all__ = ["LineMoment", "OrderMoment", "read_demand", "read_line", "read_order"]


@dataclass(frozen=True)
class OrderMoment:
    """What the ledger has: all that is not over, and what operators have set."""

    slots: list[Slot]
    instances: list[Instance]
    tickets: list[Ticket]
    controls: Controls
    tried: list[Tried]


def read_order(connection: Connection) -> OrderMoment:
    """For `order`. Read at different moments, a slot that was given back in between would look like nobody's."""
    return OrderMoment(
        slots=slots.occupying(connection),
        instances=instances.unended(connection),
        tickets=tickets.alive(connection),
        controls=Controls(admin_settings.all_of(connection)),
        tried=user_namespaces.all_of(connection),
    )


@dataclass(frozen=True)
class LineMoment:
    """Who waits, and for whom what is held. `uncollected`: whose person is not known to have come.

    `untold`: whose turn has come, and the operator's hook has not heard of it.
    """

    tickets: list[Ticket]
    uncollected: list[Ticket]
    untold: list[Ticket]
    slots: list[Slot]
    instances: list[Instance]


def read_line(connection: Connection, *, told_since: datetime) -> LineMoment:
    """For `line`."""
    return LineMoment(
        tickets=tickets.alive(connection),
        uncollected=tickets.uncollected(connection),
        untold=tickets.untold(connection, since=told_since),
        slots=slots.occupying(connection),
        instances=instances.unended(connection),
    )
