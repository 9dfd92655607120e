"""What was asked for lately, and what stands in the way of keeping slots warm: read in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from spawner.ledger import Slot, Ticket
from spawner.ledger.pool import admin_settings, slots, tickets
from spawner.pool.admin.settings import AdminSettings, FlavorImage
from spawner.pool.warm.sizing import LOOKBACK_SECONDS

FAILURE_WINDOW = timedelta(minutes=15)
"""How long a slot that never became ready counts against its template."""
LEAD_TIME_WINDOW = timedelta(hours=6)
"""How far back it is looked how long slots took to become warm."""


@dataclass(frozen=True)
class Demand:
    """What was asked for lately. `arrivals`: how many seconds ago, by template; `leads`: seconds that slots took."""

    arrivals: Mapping[FlavorImage, Sequence[float]]
    leads: Mapping[FlavorImage, Sequence[float]]


NO_DEMAND = Demand({}, {})


@dataclass(frozen=True)
class WarmSnapshot:
    """What there is, what is asked for, and what operators have set."""

    slots: list[Slot]
    failures: list[Slot]
    demand: Demand
    controls: AdminSettings
    tickets: list[Ticket]


def read_demand(connection: Connection, *, now: datetime) -> WarmSnapshot:
    """For deciding what is kept warm, and for saying why."""
    arrivals: dict[FlavorImage, list[float]] = defaultdict(list)
    for ticket in tickets.since(connection, now - timedelta(seconds=LOOKBACK_SECONDS)):
        arrivals[ticket.flavor, ticket.image].append((now - ticket.joined_at).total_seconds())
    leads: dict[FlavorImage, list[float]] = defaultdict(list)
    for slot in slots.warmed_since(connection, now - LEAD_TIME_WINDOW):
        if slot.warm_at is not None:
            leads[slot.flavor, slot.image].append((slot.warm_at - slot.created_at).total_seconds())
    return WarmSnapshot(
        slots=slots.occupying(connection),
        failures=slots.failures(connection, since=now - FAILURE_WINDOW),
        demand=Demand(arrivals, leads),
        controls=AdminSettings(admin_settings.all_of(connection)),
        tickets=tickets.alive(connection),
    )
