"""What the operator's page and its API show: the shapes. `operator_state.py` fills them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, computed_field

from spawner.desk.views import DEPRECATED, UserView


class SetView(BaseModel):
    """Who has set something, and when."""

    by: str
    at: datetime


class FloorView(SetView):
    """An operator's own floor."""

    slots: int


class BackOffView(BaseModel):
    """The pool could not make it `failures` times in a row, and tries again at `until`. `details`: somebody else's
    own words."""

    failures: int
    until: datetime
    reason: str
    details: str


class TargetView(BaseModel):
    """Waiting slots of one flavor and image: `warm` and `making` now, `target` wanted, and `why` in words.

    `catalog_floor` and `catalog_ceiling` are null where the catalog keeps none of it waiting.
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
    """How many, and the seconds that half of them, and 95 in 100, took at most."""

    count: int
    p50: float | None
    p95: float | None


class HourView(BaseModel):
    """Those whose turn came in the hour from `begins`. Seconds; null where nobody waited."""

    begins: datetime
    came: int
    waited: int
    p50: float | None
    longest: float | None


class EstimateAccuracyView(BaseModel):
    """How many waits were within what had been foretold, shorter, or longer."""

    within: int
    shorter: int
    longer: int


class FailureView(BaseModel):
    """How often something went wrong in the last day."""

    reason: str
    text: str
    count: int


class DayView(BaseModel):
    """One flavor in the last 24 hours."""

    warm: PercentilesView
    cold: PercentilesView
    waits: PercentilesView
    hours: list[HourView]
    foretold: EstimateAccuracyView
    failures: list[FailureView]


class SlotsView(BaseModel):
    """What takes up room. `free`: how many more people could have one now, waiting slots included; `room` without."""

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
    """One flavor. `reason`: why none of it can be had, in words. `user_namespaces` is null in the local pool."""

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

    @computed_field(json_schema_extra=DEPRECATED)
    def users(self) -> UserNamespacesView | None:
        """The name of `user_namespaces` in version 0.1."""
        return self.user_namespaces


class PlanView(SetView):
    """A plan; `next_begins` and `next_ends` are of the time that holds now or comes next."""

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
    """Maintenance: nobody new; whoever runs at `ends_all_at` is ended then."""

    ends_all_at: datetime | None
    reason: str


class IgnoredView(SetView):
    """A setting that counts for nothing, and why. `path` and `body` are the request that takes it away."""

    name: str
    text: str
    path: Literal["floor", "resume", "unplan"]
    body: dict[str, str | None]


class NamedView(BaseModel):
    """Something to choose."""

    id: str
    title: str


class AdminState(BaseModel):
    """The whole page. `steward`: whether one works."""

    user: UserView
    steward: bool
    drain: DrainView | None
    flavors: list[AdminFlavorView]
    images: list[NamedView]
    plans: list[PlanView]
    ignored: list[IgnoredView]
    now: datetime
