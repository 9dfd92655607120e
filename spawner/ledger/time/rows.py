"""Records of time. Seconds of an allowance are weighted: seconds of a run times the weight of its flavor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class GrantSource(StrEnum):
    """Where allowance comes from."""

    POLICY = "policy"
    """The catalog's hours for one week."""
    FLOAT = "float"
    """A share of what others left unused in the week before."""
    REFUND = "refund"
    ADMIN = "admin"
    GRACE = "grace"
    """Time that a run took from a later week, to finish a busy cell or after the reset: a grant for the week that the
    run counts for, and one with as many negative seconds for the other week. Both have the run's id as reference."""


@dataclass(frozen=True)
class Grant:
    """Allowance of one person and class from `valid_from` until before `valid_until`.

    `seconds` is None for unlimited, and negative for a debit. `reference` is the id of the instance that it is for,
    where it is for one.
    """

    id: str
    person_id: str
    class_id: str
    seconds: int | None
    valid_from: datetime
    valid_until: datetime
    source: GrantSource
    reference: str | None
    reason: str
    made_by: str
    made_at: datetime


@dataclass(frozen=True)
class Hold:
    """What is set aside for one instance: the longest that it may run, times its weight."""

    instance_id: str
    person_id: str
    class_id: str
    weight: float
    seconds: int
    taken_at: datetime
    released_at: datetime | None = None


class EndSource(StrEnum):
    """Which fact was the earliest and so decided when a run counts as ended."""

    STOP = "stop"
    """Somebody asked for the stop."""
    DEATH = "death"
    """The keeper or the kubelet recorded the end."""
    SIGN = "sign"
    """The last sign of life, where nothing better is known."""
    HOLD = "hold"


@dataclass(frozen=True)
class Charge:
    """What one instance used: `seconds - refunded` counts.

    Written when its end is asked for or noticed. It may become lower when it has ended, never higher.
    """

    instance_id: str
    person_id: str
    class_id: str
    weight: float
    began_at: datetime
    until: datetime
    end_source: EndSource
    seconds: int
    refunded: int
    refund_reason: str | None
    charged_at: datetime


@dataclass(frozen=True)
class FloatShare:
    """What each active person of a class gets in a week on top of the catalog's hours."""

    class_id: str
    week: datetime
    seconds: int
    people: int
    unused: int


class ExtensionKind(StrEnum):
    """Why the end of a run was moved."""

    CLICK = "click"
    GRACE = "grace"


@dataclass(frozen=True)
class Extension:
    """The end of a run was moved by `seconds` (of the clock, not weighted)."""

    id: str
    instance_id: str
    person_id: str
    kind: ExtensionKind
    seconds: int
    at: datetime


class NoticeKind(StrEnum):
    """What a person is told about a running instance."""

    DEADLINE = "deadline"
    """`params`: `minutes` until the end."""
    GRACE = "grace"
    IDLE = "idle"
    CPU_OFFER = "cpu_offer"
    """A GPU instance that uses no GPU."""
    MAINTENANCE = "maintenance"
    MESSAGE = "message"
    """From an administrator. `params`: `text`, and `by`, the administrator's name."""


class Answer(StrEnum):
    """What a person answered to a notice."""

    EXTENDED = "extended"
    STILL_HERE = "still_here"
    DISMISSED = "dismissed"


@dataclass(frozen=True)
class SessionNotice:
    """One notice. `mark` makes it unique in its instance: a second steward writes no second one.

    `due_at`: when what it tells of happens. `written_at`: when it was sent to every open page. `seen_at`: when a lab or
    a desk first confirmed that it shows it; `seen_in` says which (`lab`, `desk`).
    """

    id: str
    instance_id: str
    person_id: str
    kind: NoticeKind
    mark: str
    due_at: datetime
    written_at: datetime
    params: dict[str, Any]
    seen_at: datetime | None = None
    seen_in: str | None = None
    answered_at: datetime | None = None
    answer: Answer | None = None


class Activity(StrEnum):
    """How an instance is used now."""

    WORKING = "working"
    PRESENT = "present"
    """Input in a visible tab."""
    WAITING = "waiting"
    """A busy kernel that uses nothing, such as `input()` or `sleep`."""
    IDLE = "idle"


@dataclass(frozen=True)
class InstanceUse:
    """How an instance is used, as its last samples show.

    `seen_at`: the last sign of life from outside. `since`: since when the activity is this. `stops_at`: when it is
    ended for being idle, if nothing changes. `samples` is what the steward keeps between its rounds.
    """

    instance_id: str
    seen_at: datetime
    activity: Activity
    since: datetime
    stops_at: datetime | None
    samples: dict[str, Any]
