"""Allowances: how many hours of a class of flavors a person may use in a week."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, PlainSerializer, PlainValidator, field_validator

from spawner.catalog.parts import Identifier, Part, Text

UNLIMITED = "unlimited"
MOST_HOURS = 100_000
"""Weighted: a week of sixteen GPUs that count twice is 5,376 hours."""
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _hours(value: Any) -> float:
    if value == UNLIMITED:
        return math.inf
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_HOURS:
        if value == math.inf:
            return math.inf
        raise ValueError(f"must be a number of hours from 0 to {MOST_HOURS}, or {UNLIMITED}")
    return float(value)


Hours = Annotated[
    float,
    PlainValidator(_hours, json_schema_input_type=float | Literal["unlimited"]),
    PlainSerializer(lambda hours: UNLIMITED if hours == math.inf else hours),
]
"""Hours of a week; `math.inf` for unlimited."""


@dataclass(frozen=True)
class Week:
    """A week of the platform, from `start` until before `end`, in UTC. 167 to 169 hours where clocks are changed."""

    start: datetime
    end: datetime


class AllowanceClass(Part):
    """Flavors that share hours, such as all that have a GPU."""

    id: Identifier
    title: Text
    hours: Hours = Field(
        description="Hours a week for each user, or unlimited. One hour of a flavor counts as many as its weight."
    )
    float_share: float = Field(
        default=0,
        alias="float",
        ge=0,
        le=1,
        description="The share of last week's unused hours that is given on top this week. It is divided by the number "
        "of people who used the class last week, and each who uses it this week gets one part. 0: none.",
    )


class FlavorAllowance(Part):
    """Which hours a flavor uses."""

    class_id: Identifier = Field(alias="class")
    weight: float = Field(default=1, gt=0, le=1000, description="Hours that one hour of this flavor counts as.")


class Allowances(Part):
    """Weekly hours. Without classes, all flavors are unlimited, and nothing is counted."""

    timezone: str = Field(default="UTC", description="The platform's time zone, such as Asia/Shanghai.")
    week_starts: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = Field(
        default="monday", description="At 00:00 of this day all users have their hours again."
    )
    classes: tuple[AllowanceClass, ...] = ()

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):  # unknown, no relative path, a folder of zones
            raise ValueError("must be a time zone, such as Asia/Shanghai, Europe/Berlin or UTC") from None
        return value

    def find(self, class_id: str) -> AllowanceClass | None:
        """The class with this id; None where the catalog has none."""
        return next((one for one in self.classes if one.id == class_id), None)

    def week(self, now: datetime) -> Week:
        """The week that `now` (aware) is in."""
        zone = ZoneInfo(self.timezone)
        today = now.astimezone(zone).date()
        first = today - timedelta(days=(today.weekday() - WEEKDAYS.index(self.week_starts)) % 7)
        start, end = (datetime.combine(first + timedelta(days=days), time(), zone).astimezone(UTC) for days in (0, 7))
        return Week(start, end)

    def week_before(self, week: Week) -> Week:
        """The week that ends where this one begins."""
        return self.week(week.start - timedelta(hours=1))
