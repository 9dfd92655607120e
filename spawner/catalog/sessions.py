"""Sessions: how often a user may extend one, and when its end is announced."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from spawner.catalog.parts import Part

LONGEST_SESSION_MINUTES = 7 * 24 * 60
LEAST_NOTICE_MINUTES = 5
"""A notebook is not ended at its time limit, or for being idle, before its user has had a notice for so long."""
LONGEST_NOTICE_MINUTES = 24 * 60

Minutes = Annotated[int, Field(ge=1, le=LONGEST_NOTICE_MINUTES)]


class Sessions(Part):
    """What happens before a session's end."""

    extension_minutes: int = Field(default=60, ge=1, le=24 * 60, description="What one click on Extend adds.")
    extensions: int = Field(default=2, ge=0, le=24, description="How often one session may be extended; 0: never.")
    grace_minutes: int = Field(
        default=10,
        ge=0,
        le=60,
        description="What a busy cell gets once, at the session's end, to finish; 0: nothing. It is taken from the "
        "user's hours of the next week.",
    )
    warn_minutes: tuple[Minutes, ...] = Field(
        default=(30, 10, LEAST_NOTICE_MINUTES, 1),
        min_length=1,
        max_length=10,
        description="So many minutes before its end the user gets a notice. The first must be 5 or more.",
    )

    @field_validator("warn_minutes")
    @classmethod
    def _come_in_order(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if list(value) != sorted(set(value), reverse=True):
            raise ValueError("must fall from one to the next, such as [30, 10, 5, 1]")
        if value[0] < LEAST_NOTICE_MINUTES:
            raise ValueError(
                f"must begin with {LEAST_NOTICE_MINUTES} or more: no session ends before its user has had a notice for "
                "so long"
            )
        return value
