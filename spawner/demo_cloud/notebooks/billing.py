"""Exact bills: started minutes of computing, and of disk beyond the included size."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from spawner.demo_cloud.notebooks.instance import INCLUDED_DISK, Instance

DISK_PRICE = Decimal("0.0015")
"""Of one GiB and hour beyond the included size. ASSUMED amount."""
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Line:
    """One line of a bill."""

    instance: str
    kind: str
    minutes: int
    price: Decimal
    amount: Decimal


def minutes(start: datetime, end: datetime) -> int:
    """Number of started minutes."""
    return max(0, -(-(end - start) // MINUTE))


def lines(instance: Instance, now: datetime) -> list[Line]:
    """The lines of one instance until now."""
    result = []
    for run in instance.runs:
        count = minutes(run.start, run.end or now)
        result.append(Line(instance.id, "compute", count, run.price, run.price * count / 60))
    extra = instance.disk - INCLUDED_DISK
    if extra > 0:
        count, price = minutes(instance.created, instance.gone or now), DISK_PRICE * extra
        result.append(Line(instance.id, "disk", count, price, price * count / 60))
    return result
