"""What is kept of an instance's looks. It is JSON in the ledger, so that the next steward goes on where this one was.

All times are sums of seconds between looks, never differences from a stored time: a clock that is set forward or back
adds nothing to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from spawner.ledger.time.rows import Activity
from spawner.pool.time.idle.rules import BUCKETS

VERSION = 1


@dataclass(frozen=True)
class Counters:
    """The last values of what is counted since the creation of the slot, and the seconds since each was read.

    `…_inside`: the instance said so itself. What is seen from outside counts something else, so the two have no rate.
    """

    processor_seconds: float | None = None
    network: int | None = None
    stamp: str = ""
    processor_age: float = 0.0
    network_age: float = 0.0
    processor_inside: bool = False
    network_inside: bool = False


@dataclass(frozen=True)
class Known:
    """The instance's last report. `age` is seconds since it came."""

    age: float = 0.0
    busy_seconds: float | None = None
    terminals: int = 0
    tabs: int | None = None
    input_at: float | None = None


@dataclass(frozen=True)
class Bucket:
    """Five minutes of looks: seconds seen, processor seconds, bytes; seconds in which the GPU was used, in which that
    was known, and of work."""

    seconds: float = 0.0
    processor: float = 0.0
    network: float = 0.0
    gpu: float = 0.0
    gpu_known: float = 0.0
    working: float = 0.0

    def __add__(self, other: Bucket) -> Bucket:
        return Bucket(*(a + b for a, b in zip(_numbers(self), _numbers(other), strict=True)))


@dataclass(frozen=True)
class State:
    """`idle`: seconds of no use in which no kernel waited; `quiet`: of no use. `input_age`: since real input.

    `activity_seconds`: how long the activity is this. `prompted`: seconds since the notice that stands was sent;
    `notices`: how many there were. `asked`: seconds since the instance was asked for a report.
    """

    at: datetime
    activity: Activity
    counters: Counters = Counters()
    known: Known | None = None
    activity_seconds: float = 0.0
    idle: float = 0.0
    quiet: float = 0.0
    input_age: float = 0.0
    prompted: float | None = None
    notices: int = 0
    asked: float | None = None
    buckets: tuple[Bucket, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """At most some 1.5 kB."""
        known, counters = self.known, self.counters
        return {
            "v": VERSION,
            "at": round(self.at.timestamp(), 1),
            "activity": self.activity.value,
            "counters": list(astuple(counters)),
            "known": None if known is None else list(astuple(known)),
            "sums": [round(one, 1) for one in (self.activity_seconds, self.idle, self.quiet, self.input_age)],
            "prompted": self.prompted,
            "notices": self.notices,
            "asked": self.asked,
            "buckets": [[round(one, 2) for one in _numbers(bucket)] for bucket in self.buckets],
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> State | None:
        """None for what another version wrote: the instance is then seen for the first time, in favour of its user."""
        try:
            if fields["v"] != VERSION:
                return None
            activity_seconds, idle, quiet, input_age = fields["sums"]
            return cls(
                at=datetime.fromtimestamp(fields["at"], UTC),
                activity=Activity(fields["activity"]),
                counters=Counters(*fields["counters"]),
                known=None if fields["known"] is None else Known(*fields["known"]),
                activity_seconds=activity_seconds,
                idle=idle,
                quiet=quiet,
                input_age=input_age,
                prompted=fields["prompted"],
                notices=fields["notices"],
                asked=fields["asked"],
                buckets=tuple(Bucket(*one) for one in fields["buckets"]),
            )
        except (KeyError, TypeError, ValueError):
            return None

    def used_now(self) -> State:
        """The person has said that they are here."""
        return replace(self, idle=0.0, quiet=0.0, input_age=0.0, prompted=None)


def add(buckets: Sequence[Bucket], new: Bucket, *, length: float) -> tuple[Bucket, ...]:
    """Add to the last bucket, or begin one where it is full. The oldest goes."""
    if not new.seconds:
        return tuple(buckets)
    if buckets and buckets[-1].seconds < length:
        return (*buckets[:-1], buckets[-1] + new)
    return (*buckets, new)[-BUCKETS:]


def _numbers(bucket: Bucket) -> tuple[float, ...]:
    return bucket.seconds, bucket.processor, bucket.network, bucket.gpu, bucket.gpu_known, bucket.working
