"""The life cycle of a DSW instance: boot, run, timers, stop, deletion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

BOOT = ("Creating", "ResourceAllocating", "EnvPreparing", "Starting")
OCCUPYING = ("EnvPreparing", "Starting", "Running", "Stopping")
"""Statuses in which computing is billed. ASSUMED: the price list only says "while it is used"."""
STARTABLE = DELETABLE = ("Stopped", "Failed")
UNSTOPPABLE = ("Stopped", "Stopping", "Deleting", "Failed")
GONE = "gone"
"""The instance does not exist any more. The real cloud has no such status."""
RELEASED = ("Stopped", "Failed", "Deleting", GONE)
"""Statuses that end the billing of computing. An unknown status does not."""
WIPED_AFTER = timedelta(days=15)
INCLUDED_DISK = 100
"""GiB. An instance with no larger disk loses its files after `WIPED_AFTER` in status Stopped."""


@dataclass(frozen=True)
class Pace:
    """Duration of statuses, in virtual seconds."""

    boot: tuple[float, float, float, float] = (5, 15, 20, 20)
    stop: float = 15
    delete: float = 10

    def seconds(self, status: str) -> float | None:
        """Duration of a status; None if it does not end by itself."""
        if status in BOOT:
            return self.boot[BOOT.index(status)]
        return {"Stopping": self.stop, "Deleting": self.delete}.get(status)


@dataclass(frozen=True)
class Culler:
    """Stops an instance after `idle` without use. `cpu`, `gpu`: thresholds in percent."""

    idle: timedelta
    cpu: int
    gpu: int


@dataclass
class Run:
    """A billed period, and its price per hour."""

    start: datetime
    end: datetime | None
    price: Decimal


@dataclass
class Instance:
    """An instance at the time of the last `settle`. `disk` in GiB; `since`: start of the status."""

    id: str
    name: str
    account: str
    region: str
    workspace: str
    instance_type: str
    price: Decimal
    disk: int
    creator: str
    created: datetime
    since: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    accessibility: str = "PRIVATE"
    image: str = ""
    owner: str = ""
    status: str = BOOT[0]
    reason: tuple[str, str] = ("", "")
    held: bool = False
    """Whether its status was set by a control command or fault, and so does not change by itself."""
    fails: tuple[str, str] | None = None
    """Reason code and message of the failure of the next boot."""
    due: datetime | None = None
    culler: Culler | None = None
    used: datetime | None = None
    running: timedelta = timedelta()
    runs: list[Run] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    wiped: bool = False
    gone: datetime | None = None

    def settle(self, now: datetime, pace: Pace) -> None:
        """Apply all changes that are due, in order."""
        while self.status != GONE and not self.held:
            following = self._next(pace)
            if following is None or following[0] > now:
                return
            when, status = following
            self.change(status, when)

    def change(self, status: str, when: datetime) -> None:
        """Change the status, and start or end the billed period and timers that depend on it."""
        if self.status == "Running":
            self.running += when - self.since
        if status in OCCUPYING and not self._open():
            self.runs.append(Run(when, None, self.price))
        if status in RELEASED:
            self._close(when)
        if status == "wiped":
            self.wiped = True
            self.events.append(f"{when:%Y-%m-%d %H:%M:%S} the disk was wiped")
            return
        if status in ("Stopping", "Stopped", "Failed", "Deleting"):
            self.due = None  # ASSUMED: a timer ends with the run that it was set for
        if status == "Running":
            self.used = when
        if status == "Failed":
            self.reason, self.fails = self.fails or ("InternalError", "failed"), None
        if status == BOOT[0]:
            self.reason, self.wiped = ("", ""), False
        if status == GONE:
            self.gone = when
        self.status, self.since = status, when
        self.events.append(f"{when:%Y-%m-%d %H:%M:%S} {status}")

    def running_seconds(self, now: datetime) -> float:
        """Seconds in status Running, over all runs."""
        return (self.running + (now - self.since if self.status == "Running" else timedelta())).total_seconds()

    def _next(self, pace: Pace) -> tuple[datetime, str] | None:
        changes: list[tuple[datetime, str]] = []
        duration = pace.seconds(self.status)
        if duration is not None:
            changes.append((self.since + timedelta(seconds=duration), self._after()))
        if self.due is not None and self.status in (*BOOT, "Running"):
            changes.append((max(self.due, self.since), "Stopping"))
        if self.culler is not None and self.status == "Running" and self.used is not None:
            changes.append((self.used + self.culler.idle, "Stopping"))
        if self.status == "Stopped" and self.disk <= INCLUDED_DISK and not self.wiped:
            changes.append((self.since + WIPED_AFTER, "wiped"))
        return min(changes, default=None)

    def _after(self) -> str:
        if self.status == "ResourceAllocating" and self.fails is not None:
            return "Failed"
        if self.status in BOOT:
            return (*BOOT, "Running")[BOOT.index(self.status) + 1]
        return {"Stopping": "Stopped", "Deleting": GONE}[self.status]

    def _open(self) -> bool:
        return bool(self.runs) and self.runs[-1].end is None

    def _close(self, when: datetime) -> None:
        if self._open():
            self.runs[-1].end = when
