"""Settings that administrators change at run time: pause a flavor, drain the pool, set a floor, plan for a class.

A setting may name what the catalog no longer has, or be written by a newer version in a form that this one cannot read.
It is then ignored, and listed as ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from spawner.catalog import Catalog
from spawner.ledger.pool.admin_settings import AdminSetting

PAUSE = "pause:"
FLOOR = "floor:"
PLAN = "plan:"
DRAIN = "drain"
WEEK = timedelta(weeks=1)
FlavorImage = tuple[str, str]
"""A flavor and an image, by id."""


class Plan(BaseModel):
    """A schedule: `slots` of one flavor and image are warm from `begins` until `ends`, every week if `weekly`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flavor: str
    image: str
    slots: int = Field(ge=0, le=1000)
    begins: AwareDatetime
    ends: AwareDatetime
    weekly: bool = False

    def holds(self, now: datetime, *, lead: timedelta) -> bool:
        """Whether it holds now; it holds from `lead` before its beginning."""
        begins, ends = self.next(now, lead=lead)
        return begins - lead <= now < ends

    def next(self, now: datetime, *, lead: timedelta = timedelta()) -> tuple[datetime, datetime]:
        """The present or next period; the last one where all are over."""
        if not self.weekly or now < self.ends:
            return self.begins, self.ends
        later = WEEK * ((now - (self.begins - lead)) // WEEK)
        if now >= self.ends + later:
            later += WEEK
        return self.begins + later, self.ends + later


class Drain(BaseModel):
    """No new instances from now on; those that still run at `at` are ended then."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: AwareDatetime | None = None
    reason: str = Field(default="", max_length=200)


@dataclass(frozen=True)
class IgnoredSetting:
    """A setting that is ignored. `missing` is the flavor or image that the catalog does not have; None where the
    setting cannot be read."""

    control: AdminSetting
    missing: str | None


class AdminSettings:
    """The settings of one snapshot."""

    def __init__(self, rows: Mapping[str, AdminSetting]) -> None:
        self.rows = rows

    @property
    def drain(self) -> Drain | None:
        """The present maintenance, if any, even where its details cannot be read."""
        row = self.rows.get(DRAIN)
        if row is None:
            return None
        try:
            return Drain.model_validate(row.value)
        except ValidationError:
            return Drain()

    def is_paused(self, flavor: str) -> bool:
        """Whether an administrator has paused a flavor."""
        return PAUSE + flavor in self.rows

    def floor(self, flavor: str, image: str) -> int | None:
        """The administrators' least number of warm slots; None where the catalog decides."""
        return self.floors.get((flavor, image))

    @property
    def floors(self) -> dict[FlavorImage, int]:
        """Floors that administrators have set, by flavor and image."""
        found: dict[FlavorImage, int] = {}
        for name, row in self.rows.items():
            flavor, _, image = name.removeprefix(FLOOR).partition(":")
            if name.startswith(FLOOR) and isinstance(row.value, int) and row.value >= 0:
                found[flavor, image] = row.value
        return found

    @property
    def plans(self) -> dict[str, Plan]:
        """Planned warm slots by name."""
        found: dict[str, Plan] = {}
        for name, row in self.rows.items():
            if name.startswith(PLAN) and (plan := _plan(row)) is not None:
                found[name.removeprefix(PLAN)] = plan
        return found

    def closed(self, catalog: Catalog) -> set[str]:
        """Flavors that no request gets now."""
        return {flavor.id for flavor in catalog.flavors if self.drain or self.is_paused(flavor.id)}

    def ignored(self, catalog: Catalog) -> Iterator[IgnoredSetting]:
        """Settings that are ignored, because of what they name or because they cannot be read."""
        flavors = {flavor.id for flavor in catalog.flavors}
        images = {image.id for image in catalog.images}
        for name, row in self.rows.items():
            flavor, image = _named(name, row)
            if flavor is not None and flavor not in flavors:
                yield IgnoredSetting(row, flavor)
            elif image is not None and image not in images:
                yield IgnoredSetting(row, image)
            elif not self._can_be_read(name):
                yield IgnoredSetting(row, None)

    def _can_be_read(self, name: str) -> bool:
        if name.startswith(PLAN):
            return name.removeprefix(PLAN) in self.plans
        if name.startswith(FLOOR):
            flavor, _, image = name.removeprefix(FLOOR).partition(":")
            return (flavor, image) in self.floors
        return True


def _plan(row: AdminSetting) -> Plan | None:
    try:
        return Plan.model_validate(row.value)
    except ValidationError:
        return None


def _named(name: str, row: AdminSetting) -> tuple[str | None, str | None]:
    """The flavor and the image of a setting."""
    if name.startswith(PAUSE):
        return name.removeprefix(PAUSE), None
    if name.startswith(FLOOR):
        flavor, _, image = name.removeprefix(FLOOR).partition(":")
        return flavor, image
    if name.startswith(PLAN) and (plan := _plan(row)) is not None:
        return plan.flavor, plan.image
    return None, None
