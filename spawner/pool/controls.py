"""What operators can set while the platform runs: pause a flavor, drain the pool, change a floor, plan for a class."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field

from spawner.catalog import Catalog
from spawner.ledger.controls import Control

PAUSE = "pause:"
FLOOR = "floor:"
PLAN = "plan:"
DRAIN = "drain"


class Plan(BaseModel):
    """So many slots of one flavor and image are to be warm from `begins` until `ends`, every week if `weekly`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flavor: str
    image: str
    slots: int = Field(ge=0, le=1000)
    begins: datetime
    ends: datetime
    weekly: bool = False

    def holds(self, now: datetime, *, lead: timedelta) -> bool:
        """Whether its slots should be there now; they are begun `lead` before."""
        begins = self.begins - lead
        if not self.weekly or now < begins:
            return begins <= now < self.ends
        since = (now - begins) % timedelta(weeks=1)
        return since < self.ends - begins


class Drain(BaseModel):
    """Nobody new from now on; whoever still runs at `at` is ended then."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: datetime | None = None
    reason: str = Field(default="", max_length=200)


class Controls:
    """The settings of one moment."""

    def __init__(self, rows: Mapping[str, Control]) -> None:
        self.rows = rows

    @property
    def drain(self) -> Drain | None:
        """The maintenance that is on, if any."""
        row = self.rows.get(DRAIN)
        return Drain.model_validate(row.value) if row else None

    def is_paused(self, flavor: str) -> bool:
        """Whether an operator has paused a flavor."""
        return PAUSE + flavor in self.rows

    def floor(self, flavor: str, image: str) -> int | None:
        """How many slots an operator wants to wait at least; None where the catalog decides."""
        row = self.rows.get(f"{FLOOR}{flavor}:{image}")
        return int(row.value) if row else None

    @property
    def plans(self) -> dict[str, Plan]:
        """Planned warm slots by name."""
        return {
            name.removeprefix(PLAN): Plan.model_validate(row.value)
            for name, row in self.rows.items()
            if name.startswith(PLAN)
        }

    def closed(self, catalog: Catalog) -> set[str]:
        """Flavors of which nobody gets anything just now."""
        return {flavor.id for flavor in catalog.flavors if self.drain or self.is_paused(flavor.id)}
