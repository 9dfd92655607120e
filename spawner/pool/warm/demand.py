"""Reads the input of the warm targets in one transaction: recent demand, failures, settings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from spawner.ledger import Slot, Ticket
from spawner.ledger.pool import admin_settings, slots, tickets
from spawner.ledger.pool.open_rows import OpenRowsReader
from spawner.pool.admin.settings import AdminSettings, FlavorImage
from spawner.pool.warm.sizing import LOOKBACK_SECONDS

FAILURE_WINDOW = timedelta(minutes=15)
"""How long a slot that never became ready delays new ones of its flavor and image."""
LEAD_TIME_WINDOW = timedelta(hours=6)
"""Age of the oldest slots whose lead time counts."""


@dataclass(frozen=True)
class Demand:
    """Recent demand by flavor and image. `arrivals`: seconds since each request; `leads`: seconds to become warm."""

    arrivals: Mapping[FlavorImage, Sequence[float]]
    leads: Mapping[FlavorImage, Sequence[float]]


NO_DEMAND = Demand({}, {})


@dataclass(frozen=True)
class WarmSnapshot:
    """Slots, tickets, demand and the administrators' settings of one time."""

    slots: list[Slot]
    failures: list[Slot]
    demand: Demand
    controls: AdminSettings
    tickets: list[Ticket]


def read_demand(connection: Connection, rows: OpenRowsReader | None = None, *, now: datetime) -> WarmSnapshot:
    """The snapshot for the warm targets and for the page that explains them. `rows`: of a caller who looks often."""
    found = (rows or OpenRowsReader()).read(connection)
    arrivals: dict[FlavorImage, list[float]] = defaultdict(list)
    for flavor, image, joined_at in tickets.arrivals(connection, now - timedelta(seconds=LOOKBACK_SECONDS)):
        arrivals[flavor, image].append((now - joined_at).total_seconds())
    leads: dict[FlavorImage, list[float]] = defaultdict(list)
    for slot in slots.warmed_since(connection, now - LEAD_TIME_WINDOW):
        if slot.warm_at is not None:
            leads[slot.flavor, slot.image].append((slot.warm_at - slot.created_at).total_seconds())
    return WarmSnapshot(
        slots=found.slots,
        failures=slots.failures(connection, since=now - FAILURE_WINDOW),
        demand=Demand(arrivals, leads),
        controls=AdminSettings(admin_settings.all_of(connection)),
        tickets=found.tickets,
    )
