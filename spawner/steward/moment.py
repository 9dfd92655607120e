"""What the steward looks at, each read in one transaction."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from spawner.ledger import Instance, Slot, Ticket, controls, instances, slots, tickets
from spawner.pool.controls import Controls
from spawner.pool.targets import LOOK_BACK
from spawner.steward.warm import Demand, Template

FAILURE_MEMORY = timedelta(minutes=15)
"""How long a slot that never became ready counts against its template."""
LEAD_MEMORY = timedelta(hours=6)
"""How far back it is looked how long slots took to become warm."""


@dataclass(frozen=True)
class OrderMoment:
    """What the ledger has: all that is not over, and what operators have set."""

    slots: list[Slot]
    instances: list[Instance]
    tickets: list[Ticket]
    controls: Controls


def read_order(connection: Connection) -> OrderMoment:
    """For `order`. Read at different moments, a slot that was given back in between would look like nobody's."""
    return OrderMoment(
        slots=slots.occupying(connection),
        instances=instances.unended(connection),
        tickets=tickets.alive(connection),
        controls=Controls(controls.all_of(connection)),
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


@dataclass(frozen=True)
class WarmMoment:
    """What there is, what is asked for, and what operators have set."""

    slots: list[Slot]
    failures: list[Slot]
    demand: Demand
    controls: Controls
    tickets: list[Ticket]


def read_demand(connection: Connection, *, now: datetime) -> WarmMoment:
    """For `warm`."""
    arrivals: dict[Template, list[float]] = defaultdict(list)
    for ticket in tickets.since(connection, now - timedelta(seconds=LOOK_BACK)):
        arrivals[ticket.flavor, ticket.image].append((now - ticket.joined_at).total_seconds())
    leads: dict[Template, list[float]] = defaultdict(list)
    for slot in slots.warmed_since(connection, now - LEAD_MEMORY):
        if slot.warm_at is not None:
            leads[slot.flavor, slot.image].append((slot.warm_at - slot.created_at).total_seconds())
    return WarmMoment(
        slots=slots.occupying(connection),
        failures=slots.failures(connection, since=now - FAILURE_MEMORY),
        demand=Demand(arrivals, leads),
        controls=Controls(controls.all_of(connection)),
        tickets=tickets.alive(connection),
    )
