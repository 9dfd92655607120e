"""What a start without options gives, and limits for all users."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, field_validator

from spawner.catalog.parts import Identifier, Part, Size


class Defaults(Part):
    """What a start without options gives."""

    flavor: Identifier
    image: Identifier


class Limits(Part):
    """Limits for all users. Times are in seconds."""

    instances_per_user: int = Field(default=1, ge=1, le=100)
    start_seconds: int = Field(default=60, ge=5, le=3600, description="A start that takes longer has failed.")
    slots_at_once: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="How many slots may be created for users at once; further starts wait. "
        "Default: one for each processor of this machine; 64 on a cluster. Two for each of its processors serve well.",
    )
    keep_history_days: int = Field(default=90, ge=1)
    replenish_after_seconds: float = Field(
        default=2.0,
        ge=0,
        description="How long after a claim the pool makes the warm slot that replaces the claimed one, so that the "
        "user who has just come gets the processor first.",
    )
    schedule_seconds: int = Field(
        default=10,
        ge=0,
        le=1800,
        description="How long a pod may wait for a node before its start is refused. More where an autoscaler brings "
        "new nodes.",
    )
    no_room_seconds: float = Field(
        default=30.0,
        ge=0,
        le=3600,
        description="How long a flavor is closed after the cluster had no room for it. Then its queue is tried again.",
    )
    warm_hours: float = Field(
        default=24.0, gt=0, le=24 * 365, description="A slot that has waited for so long is replaced by a fresh one."
    )
    local_memory: Size | None = Field(
        default=None, description="Memory that all local slots may reserve together. Default: 80 % of the machine's."
    )

    @property
    def no_room_ttl(self) -> timedelta:
        """`no_room_seconds` as a duration."""
        return timedelta(seconds=self.no_room_seconds)


class Queue(Part):
    """What happens when the pool is full."""

    longest: int = Field(default=1000, ge=0, description="How many tickets may wait for one flavor; 0: no queue.")
    hold_seconds: int = Field(
        default=600, ge=10, le=24 * 3600, description="How long a slot is held for a user whose turn has come."
    )
    use_counts: float = Field(
        default=0.25,
        ge=0,
        le=10,
        description="Minutes of handicap for each minute of use in the last day.",
    )
    longest_handicap_minutes: int = Field(default=60, ge=0, le=24 * 60, description="The largest handicap.")
    weights: dict[str, float] = Field(
        default={}, description="Groups whose members' use counts less (2: half) or more (0.5: double)."
    )

    @field_validator("weights")
    @classmethod
    def _are_positive(cls, value: dict[str, float]) -> dict[str, float]:
        for group, weight in value.items():
            if not 0 < weight <= 1000:
                raise ValueError(f"the weight of {group} must be above 0 and at most 1000")
        return value
