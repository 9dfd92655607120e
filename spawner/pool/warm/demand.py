"""What was asked for lately, and what stands in the way of keeping slots warm: read in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from spawner.ledger import Slot, Ticket
from spawner.ledger.pool import admin_settings, slots, tickets
from spawner.pool.admin.settings import Controls, Template
from spawner.pool.warm.sizing import LOOK_BACK

FAILURE_MEMORY = timedelta(minutes=15)
"""How long a slot that never became ready counts against its template."""
LEAD_MEMORY = timedelta(hours=6)
"""How far back it is looked how long slots took to become warm."""


@dataclass(frozen=True)
class Demand:
    """What was asked for lately. `arrivals`: how many seconds ago, by template; `leads`: seconds that slots took."""

    arrivals: Mapping[Template, Sequence[float]]
    leads: Mapping[Template, Sequence[float]]


NO_DEMAND = Demand({}, {})


@dataclass(frozen=True)
class WarmMoment:
    """What there is, what is asked for, and what operators have set."""

    slots: list[Slot]
    failures: list[Slot]
    demand: Demand
    controls: Controls
    tickets: list[Ticket]


def read_demand(connection: Connection, *, now: datetime) -> WarmMoment:
    """For deciding what is kept warm, and for saying why."""
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
        controls=Controls(admin_settings.all_of(connection)),
        tickets=tickets.alive(connection),
    )
