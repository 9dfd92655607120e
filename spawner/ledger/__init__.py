"""The ledger: Freepool's database. Deadlines, claims and leases are rows, so they survive a restart."""

from spawner.ledger.bundles import tables as _bundle_tables  # noqa: F401  (adds the tables to the metadata)
from spawner.ledger.channels import tables as _channel_tables  # noqa: F401
from spawner.ledger.engine import Ledger, open_ledger
from spawner.ledger.paid import tables as _paid_tables  # noqa: F401
from spawner.ledger.people import tables as _people_tables  # noqa: F401
from spawner.ledger.pool import tables as _pool_tables  # noqa: F401
from spawner.ledger.pool.rows import (
    EndReason,
    Event,
    Instance,
    InstanceState,
    Slot,
    SlotState,
    StartStep,
    Ticket,
    TicketState,
)
from spawner.ledger.time import tables as _time_tables  # noqa: F401

__all__ = [
    "EndReason",
    "Event",
    "Instance",
    "InstanceState",
    "Ledger",
    "Slot",
    "SlotState",
    "StartStep",
    "Ticket",
    "TicketState",
    "open_ledger",
]
