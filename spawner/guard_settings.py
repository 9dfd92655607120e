"""Settings of the guard, which notes what instances use as seen from outside."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class GuardSettings(BaseModel):
    """When the guard writes a note for administrators, and what follows from one. By default nothing does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    note: bool = Field(default=True, description="False: the guard does not look.")
    every_minutes: float = Field(default=5, ge=0.01, le=60, description="Minutes between looks.")
    busy_percent: float = Field(
        default=80, gt=0, le=100, description="An instance is busy that uses this share of its processors on average…"
    )
    busy_minutes: float = Field(default=120, gt=0, le=1440, description="…for so long…")
    away_minutes: float = Field(
        default=60, ge=0, description="…while JupyterHub has seen nobody use it for so long. 0: also while it is used."
    )
    names: tuple[str, ...] = Field(default=(), description="More names of programs that are noted, on one machine.")
    ports: tuple[int, ...] = Field(default=(), description="More ports that are noted, on one machine.")
    slower_after_minutes: float | None = Field(
        default=None, ge=0, description="Minutes after a note until the instance gets less processor; unset: never."
    )
    slower_share: float = Field(default=0.25, ge=0.01, le=1, description="The share of its processors that it keeps.")
    stop_after_minutes: float | None = Field(
        default=None, ge=0, description="Minutes after a note until the instance is ended; unset: never."
    )
