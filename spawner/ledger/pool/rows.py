"""Records of the free pool, and the transitions of their states.

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
from typing import Any


class InstanceState(StrEnum):
    """State of an instance."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    ENDED = "ended"


LIVE = (InstanceState.STARTING, InstanceState.RUNNING)
"""States that count against a user's limit. A stopping instance does not."""

UNENDED = (*LIVE, InstanceState.STOPPING)


class SlotState(StrEnum):
    """State of a slot."""

    CREATING = "creating"
    WARM = "warm"
    CLAIMED = "claimed"
    DESTROYING = "destroying"
    GONE = "gone"


OCCUPYING = (SlotState.CREATING, SlotState.WARM, SlotState.CLAIMED, SlotState.DESTROYING)
"""States in which a slot uses capacity."""


class TicketState(StrEnum):
    """State of a ticket."""

    WAITING = "waiting"
    CALLED = "called"
    SERVED = "served"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"


OPEN = (TicketState.WAITING, TicketState.CALLED)
"""States of a ticket whose instance does not run yet."""


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
    BANNED = "banned"
    GUARD = "guard"
    SHUT_DOWN = "shut_down"
    """The user shut the server down from inside: File > Shut Down of JupyterLab. `SHUTDOWN` is the platform's."""
    IDLE = "idle"
    """Nobody used it, and nobody answered the notice of that."""
    RESTARTED = "restarted"
    """The user restarted it. The new instance has a slot already."""
    SWITCHED = "switched"
    """The user opened the notebook that was reserved for them in the queue."""
    ADMINISTRATOR = "administrator"
    """An administrator stopped it, on the page or by the API."""


USER_ENDED = (
    EndReason.STOPPED,
    EndReason.RESTARTED,
    EndReason.SWITCHED,
    EndReason.CANCELLED,
    EndReason.SHUT_DOWN,
)
"""The user ended it."""


class StartStep(StrEnum):
    """A step of a start. Users see each as a line of progress."""

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
    """One instance, from the request to its end. Times are aware and in UTC.

    `user_name` is the name that JupyterHub had for the person at the start. `died_at`: the end as the keeper or the
    kubelet recorded it.
    """

    id: str
    person_id: str
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
    died_at: datetime | None = None


@dataclass(frozen=True)
class Slot:
    """One slot, from the intent to create it until the backend confirms that it is gone.

    `holder_id` is the id of its instance, or of its ticket while there is no instance yet; None while unassigned.
    `version` is that of the template it was created from: image, sizes, pod fields.
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
    """One spawn request, until its instance runs. Where there is room it is called at once.

    The queue is ordered by `rank_at`. From `called_at` to `hold_until` a slot is reserved for it. `expected_low` and
    `expected_high` are the estimated wait in seconds, made when it joined and before calibration by earlier waits.
    `collected_at`: the user opened the instance. `told_at`: the administrator's webhook was called. `ends_by`: the
    deadline of the instance that this one replaces.
    """

    id: str
    person_id: str
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


class GuardKind(StrEnum):
    """What the guard noticed about an instance."""

    BUSY = "busy"
    PROCESS = "process"
    PLACE = "place"


@dataclass(frozen=True)
class GuardNote:
    """One note of the guard: what was seen of an instance from outside. It is no proof of anything.

    `evidence` has `percent` and `minutes` (BUSY), `names` (PROCESS) or `places` (PLACE). `since`: when it began;
    `seen_at`: when it was last so. An administrator who dismisses it stops what would follow from it.
    """

    id: str
    person_id: str
    instance_id: str
    kind: GuardKind
    evidence: dict[str, Any]
    since: datetime
    noted_at: datetime
    seen_at: datetime
    slowed_at: datetime | None = None
    stopped_at: datetime | None = None
    dismissed_at: datetime | None = None
    dismissed_by: str | None = None


@dataclass(frozen=True)
class GuardLook:
    """The guard's last look: at how many instances, and what the backend can see.

    `sight`: `unseen`, `inside` and `slows`, from `Usage` of `spawner.pool.backends.base`.
    """

    at: datetime
    instances: int
    sight: dict[str, Any]
