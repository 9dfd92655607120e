"""What an account owes, exactly: begun minutes of computing, and of disk beyond what is included."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from spawner.demo_cloud.notebooks.instance import INCLUDED_DISK, Instance

DISK_PRICE = Decimal("0.0015")
"""Of a GiB and hour beyond what is included. ASSUMED amount."""
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
    """How many minutes were begun."""
    return max(0, -(-(end - start) // MINUTE))


def lines(instance: Instance, now: datetime) -> list[Line]:
    """All that one instance has cost by now."""
    found = []
    for run in instance.runs:
        count = minutes(run.start, run.end or now)
        found.append(Line(instance.id, "compute", count, run.price, run.price * count / 60))
    extra = instance.disk - INCLUDED_DISK
    if extra > 0:
        count, price = minutes(instance.created, instance.gone or now), DISK_PRICE * extra
        found.append(Line(instance.id, "disk", count, price, price * count / 60))
    return found
