"""Plain records of the ledger, and the states that they go through.

instance   STARTING ──> RUNNING ──> STOPPING ──> ENDED
              └────────────────────────^
slot       CREATING ──> WARM ──> CLAIMED ──> DESTROYING ──> GONE
              ├───────────────────^             ^
              └── (or WARM) ────────────────────┘
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from spawner.compat import StrEnum


class InstanceState(StrEnum):
    """Where one loan stands."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    ENDED = "ended"


LIVE = (InstanceState.STARTING, InstanceState.RUNNING)
"""States that count against a person's limit: a loan that is being wiped no longer does."""

UNENDED = (*LIVE, InstanceState.STOPPING)


class SlotState(StrEnum):
    """Where one slot of the pool stands."""

    CREATING = "creating"
    WARM = "warm"
    CLAIMED = "claimed"
    DESTROYING = "destroying"
    GONE = "gone"


OCCUPYING = (SlotState.CREATING, SlotState.WARM, SlotState.CLAIMED, SlotState.DESTROYING)
"""States in which a slot takes up room in the pool."""


class EndReason(StrEnum):
    """Why an instance or a slot ended."""

    STOPPED = "stopped"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out_of_memory"
    OUT_OF_DISK = "out_of_disk"
    EVICTED = "evicted"
    NO_ROOM = "no_room"
    NO_IMAGE = "no_image"
    START_FAILED = "start_failed"
    LOST = "lost"
    SUPERSEDED = "superseded"
    SHUTDOWN = "shutdown"
    ORPHANED = "orphaned"
    SURPLUS = "surplus"


class Step(StrEnum):
    """What a start has come to; each is one line of the progress that people see."""

    REQUESTED = "requested"
    SLOT_WARM = "slot_warm"
    SLOT_CREATING = "slot_creating"
    SLOT_READY = "slot_ready"
    CLAIMED = "claimed"
    RETRYING = "retrying"
    POOL_AWAY = "pool_away"
    RUNNING = "running"
    FAILED = "failed"


@dataclass(frozen=True)
class Instance:
    """One loan, from request to end. Times are aware and in UTC."""

    id: str
    user_name: str
    server_name: str
    flavor: str
    image: str
    example: str | None
    state: InstanceState
    hub_epoch: str
    slot_id: str | None
    url: str | None
    requested_at: datetime
    usable_at: datetime | None
    ends_at: datetime | None
    stopping_at: datetime | None
    ended_at: datetime | None
    reason: EndReason | None
    detail: str | None


@dataclass(frozen=True)
class Slot:
    """One slot of the pool, from the intent to create it until it is known to be gone."""

    id: str
    flavor: str
    image: str
    state: SlotState
    instance_id: str | None
    created_at: datetime
    warm_at: datetime | None
    claimed_at: datetime | None
    ended_at: datetime | None
    reason: EndReason | None
    detail: str | None


@dataclass(frozen=True)
class Event:
    """One step of an instance's start."""

    seq: int
    instance_id: str
    at: datetime
    step: Step
    params: dict[str, str]
