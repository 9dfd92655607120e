"""Models of the administrator's page and API. `state.py` fills them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, computed_field

from spawner.desk.views import DEPRECATED, UserView


class SetView(BaseModel):
    """Who has changed a setting, and when."""

    by: str
    at: datetime


class FloorView(SetView):
    """A floor that an administrator has set."""

    slots: int


class ActivityView(BaseModel):
    """How many running instances are used how. One that runs for less than a minute is in none."""

    working: int
    present: int
    waiting: int
    idle: int


class BackOffView(BaseModel):
    """The pool failed to create a slot `failures` times in a row, and tries again at `until`.

    `details` is the output of another program, such as the cluster; it is not translated.
    """

    failures: int
    until: datetime
    reason: str
    details: str


class TargetView(BaseModel):
    """Unassigned slots of one flavor and image: `warm` and `making` exist now, `target` is how many should, and `why`.

    `catalog_floor` and `catalog_ceiling` are null where the catalog has no rule for them.
    """

    image: str
    image_title: str
    warm: int
    making: int
    target: int
    why: str
    floor: FloorView | None
    catalog_floor: int | None
    catalog_ceiling: int | None
    backs_off: BackOffView | None


class PercentilesView(BaseModel):
    """Count, median and 95th percentile. Seconds; null where the count is 0."""

    count: int
    p50: float | None
    p95: float | None


class HourView(BaseModel):
    """Tickets that were called in the hour from `begins`: `came` in all, `waited` not at once. Seconds; null where none
    waited."""

    begins: datetime
    came: int
    waited: int
    p50: float | None
    longest: float | None


class EstimateAccuracyView(BaseModel):
    """Number of waits within the estimate, shorter, and longer."""

    within: int
    shorter: int
    longer: int


class FailureView(BaseModel):
    """How often instances failed for this reason in the last 24 hours, and what to do next."""

    reason: str
    text: str
    count: int
    next: str = ""


class DayView(BaseModel):
    """One flavor in the last 24 hours."""

    warm: PercentilesView
    cold: PercentilesView
    waits: PercentilesView
    hours: list[HourView]
    foretold: EstimateAccuracyView
    failures: list[FailureView]


class SlotsView(BaseModel):
    """Slots of a flavor. `free`: how many more instances can start now; `room`: the same without unassigned slots."""

    limit: int
    assigned: int
    warm: int
    making: int
    leaving: int
    room: int
    free: int

    @computed_field(json_schema_extra=DEPRECATED)
    def lent(self) -> int:
        """The name of `assigned` in version 0.1."""
        return self.assigned


class UserNamespacesView(BaseModel):
    """Whether pods get their own user namespace (`enabled`), and why, in words.

    `details`: why a node refused one; it is tried again at `until`.
    """

    enabled: bool
    text: str
    details: str
    until: datetime | None

    @computed_field(json_schema_extra=DEPRECATED)
    def own(self) -> bool:
        """The name of `enabled` in version 0.1."""
        return self.enabled


class AdminFlavorView(BaseModel):
    """One flavor. `reason`: why none of it can be started. `less_room`: why fewer can start than its limit says.

    `user_namespaces` is null in the local pool. `audience`: for whom the catalog's policies say it is, in words; null
    where they do not speak of flavors.
    """

    id: str
    title: str
    running: int
    starting: int
    stopping: int
    queued: int
    oldest_seconds: float | None
    slots: SlotsView
    reason: str | None
    user_namespaces: UserNamespacesView | None
    paused: SetView | None
    targets: list[TargetView]
    day: DayView
    audience: str | None = None
    less_room: str | None = None
    activity: ActivityView | None = None

    @computed_field(json_schema_extra=DEPRECATED)
    def users(self) -> UserNamespacesView | None:
        """The name of `user_namespaces` in version 0.1."""
        return self.user_namespaces


class PlanView(SetView):
    """A plan. `next_begins` and `next_ends` are those of the current or the next time."""

    name: str
    flavor: str
    image: str
    slots: int
    begins: datetime
    ends: datetime
    weekly: bool
    next_begins: datetime
    next_ends: datetime
    state: Literal["now", "coming", "over", "ignored"]


class DrainView(SetView):
    """Maintenance: no new instances; those that run are ended at `ends_all_at`."""

    ends_all_at: datetime | None
    reason: str


class IgnoredView(SetView):
    """A setting without effect, and why. `path` and `body` are of the request that removes it."""

    name: str
    text: str
    path: Literal["floor", "resume", "unplan"]
    body: dict[str, str | None]


class NamedView(BaseModel):
    """An option of a form."""

    id: str
    title: str


class AdminState(BaseModel):
    """The whole page. `steward`: whether a steward holds the lease."""

    user: UserView
    steward: bool
    drain: DrainView | None
    flavors: list[AdminFlavorView]
    images: list[NamedView]
    plans: list[PlanView]
    ignored: list[IgnoredView]
    now: datetime
