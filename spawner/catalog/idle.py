"""The idle time after which an instance is stopped, per flavor."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from spawner.catalog.parts import Part
from spawner.catalog.sessions import LEAST_NOTICE_MINUTES

LONGEST_IDLE_MINUTES = 24 * 60


class Idle(Part):
    """Minutes without use after which an instance is stopped. The notice is part of them: its last five minutes."""

    minutes: int = Field(ge=LEAST_NOTICE_MINUTES, le=LONGEST_IDLE_MINUTES, description="While a browser has it open.")
    minutes_without_tab: int | None = Field(
        default=None,
        ge=LEAST_NOTICE_MINUTES,
        le=LONGEST_IDLE_MINUTES,
        description="While no browser has it open. Default: `minutes`.",
    )

    @model_validator(mode="after")
    def _is_in_order(self) -> Idle:
        if self.minutes_without_tab is not None and self.minutes_without_tab > self.minutes:
            raise ValueError("minutes_without_tab must not be above minutes: an open tab never shortens the time")
        return self

    @property
    def without_tab(self) -> int:
        """Minutes while no browser has it open."""
        return self.minutes if self.minutes_without_tab is None else self.minutes_without_tab


FOR_PROCESSORS = Idle(minutes=60)
FOR_ACCELERATORS = Idle(minutes=30, minutes_without_tab=15)
"""What holds where the catalog names nothing."""
IdleChoice = Idle | Literal["default", "off"]


def in_short(value: Any) -> Any:
    """`off` is false in YAML 1.1; a number is the minutes; nothing at all is off, too."""
    if value is None or value is False:
        return "off"
    if isinstance(value, int) and not isinstance(value, bool):
        return {"minutes": value}
    return value


def rules_of(choice: IdleChoice, *, has_accelerator: bool) -> Idle | None:
    """The rules of a flavor; None where its instances are never stopped for being idle."""
    if isinstance(choice, Idle):
        return choice
    if choice == "off":
        return None
    return FOR_ACCELERATORS if has_accelerator else FOR_PROCESSORS
