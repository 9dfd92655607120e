"""What sessions ask of their person's allowance: what a moved end costs, and what a page shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from spawner.ledger.pool.rows import Instance


@dataclass(frozen=True)
class AllowanceState:
    """A person's hours of one class in this week, in weighted seconds; `total` and `left` are None where unlimited."""

    class_id: str
    title: str
    total: int | None
    used: int
    held: int
    left: int | None
    resets_at: datetime
    weight: float = 1.0
    """Of the flavor that was asked about: how many seconds of the class one second of it uses."""


class Metering(Protocol):
    """A person's allowance, as far as sessions need it. Seconds are of the clock, not weighted."""

    def rivals(self, flavor: str, /) -> frozenset[str]:
        """The flavors whose queue the end of a session of this flavor serves: itself, and those of its class."""
        ...

    def states(self, connection: Connection, person_id: str, now: datetime, language: str, /) -> list[AllowanceState]:
        """The person's hours, class by class."""
        ...

    def state_for(
        self, connection: Connection, person_id: str, flavor: str, now: datetime, language: str, /
    ) -> AllowanceState | None:
        """The person's hours of the class of a flavor; None where it has none."""
        ...

    def covers(self, connection: Connection, instance: Instance, seconds: int, now: datetime, /) -> bool:
        """Whether the person's hours cover so much more."""
        ...

    def extend_hold(self, connection: Connection, instance: Instance, seconds: int, now: datetime, /) -> bool:
        """Set aside what the instance may use longer. False, and nothing is written, where it is too much."""
        ...

    def debit_next_week(self, connection: Connection, instance: Instance, seconds: int, now: datetime, /) -> bool:
        """Take them from the hours of the next week. False where those are unlimited."""
        ...
