"""Plain records of the ledger, and the states that they go through.

instance   STARTING ──> RUNNING ──> STOPPING ──> ENDED
              └────────────────────────^
slot       CREATING ──> WARM ──> CLAIMED ──> DESTROYING ──> GONE
              ├───────────────────^             ^
              └── (or WARM) ────────────────────┘
ticket     WAITING <──> CALLED ──> SERVED
              └───────────┴──> CANCELLED, EXPIRED, FAILED
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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


class TicketState(StrEnum):
    """Where somebody's wish for an instance stands."""

    WAITING = "waiting"
    CALLED = "called"
    SERVED = "served"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"


OPEN = (TicketState.WAITING, TicketState.CALLED)
"""States in which a ticket still stands for something to come."""


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
    NOT_COLLECTED = "not_collected"
    MAINTENANCE = "maintenance"


USER_ENDED = (EndReason.STOPPED, EndReason.CANCELLED)
"""Endings by the user's own hand."""


class StartStep(StrEnum):
    """What a start has come to; each is one line of the progress that people see."""

    REQUESTED = "requested"
    SLOT_WARM = "slot_warm"
    OTHERS_FIRST = "others_first"
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
    """One slot of the pool, from the intent to create it until it is known to be gone.

    `holder_id` is whom it is for: an instance, or a ticket whose instance does not exist yet. `version` is its
    image's, as the catalog had it then.
    """

    id: str
    flavor: str
    image: str
    state: SlotState
    holder_id: str | None
    created_at: datetime
    warm_at: datetime | None
    claimed_at: datetime | None
    ended_at: datetime | None
    reason: EndReason | None
    detail: str | None
    version: str | None = None

    @classmethod
    def planned(cls, flavor: str, image: str, *, holder_id: str | None, created_at: datetime) -> Slot:
        """A CREATING slot that a plan counts and that is not in the ledger; it has no id."""
        return cls(
            id="",
            flavor=flavor,
            image=image,
            state=SlotState.CREATING,
            holder_id=holder_id,
            created_at=created_at,
            warm_at=None,
            claimed_at=None,
            ended_at=None,
            reason=None,
            detail=None,
        )


@dataclass(frozen=True)
class Ticket:
    """One wish for an instance, from when it is made until it is served. Where there is room it never waits.

    `rank_at` orders the queue. `called_at`: its turn came, and a slot is reserved, until `hold_until` if nobody
    starts it. `expected_low` and `expected_high` are the wait in seconds as it was reckoned when it was made,
    before it was calibrated by earlier ones.
    `collected_at`: its person is known to have come. `told_at`: the operator's hook was called. `ends_by`: the
    deadline of the instance that it replaces.
    """

    id: str
    user_name: str
    server_name: str
    flavor: str
    image: str
    example: str | None
    state: TicketState
    joined_at: datetime
    rank_at: datetime
    called_at: datetime | None
    hold_until: datetime | None
    instance_id: str | None
    served_at: datetime | None
    collected_at: datetime | None
    told_at: datetime | None
    ended_at: datetime | None
    expected_low: int | None
    expected_high: int | None
    tries: int
    ends_by: datetime | None
    detail: str | None

    @property
    def has_waited(self) -> bool:
        """False if it was called at the very time it joined: there was room."""
        return self.called_at != self.joined_at


@dataclass(frozen=True)
class Event:
    """One step of an instance's start."""

    seq: int
    instance_id: str
    at: datetime
    step: StartStep
    params: dict[str, str]
