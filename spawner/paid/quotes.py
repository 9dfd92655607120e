"""From what a cloud offers to what a person is asked: which comes first, and what a cap buys. Exact throughout."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_UP, Decimal
from fractions import Fraction

from spawner.ledger.paid.rows import Consent
from spawner.paid.money import Money, read
from spawner.paid.providers.base import InstanceType

HOUR = 3600
GIB = 1024**3
UNIT = "hour"
"""What a price is for. A cloud that says anything else has no price that we know."""
SMALLEST = Decimal("0.000001")
"""To which estimates are rounded, upwards."""


@dataclass(frozen=True)
class Needs:
    """The least that will do; sizes in bytes."""

    cpu: int = 0
    memory: int = 0
    gpu_count: int = 0
    gpu_memory: int = 0


@dataclass(frozen=True)
class Quote:
    """A shape with what an hour of it costs: `compute`, and `disk` for what is asked beyond what is included.

    `fits`: whether it is enough for what is to be done.
    """

    instance_type: InstanceType
    fits: bool
    compute: Money | None
    disk: Money | None
    read_at: datetime

    @property
    def hourly(self) -> Money | None:
        """What one hour of a run costs in all, None where that is not known."""
        if self.compute is None or self.disk is None:
            return self.compute
        return self.compute + self.disk

    @property
    def is_buyable(self) -> bool:
        """Whether it may be asked for: a known price, and not known to be out of stock."""
        return self.hourly is not None and self.instance_type.available is not False


@dataclass(frozen=True)
class Terms:
    """What bounds one run: what an hour costs, what all of it may, and how long it may last (seconds)."""

    hourly: Money
    cap: Money
    run_seconds: int
    idle_seconds: int | None


def quote(instance_types: Iterable[InstanceType], needs: Needs, *, disk: int | None, read_at: datetime) -> list[Quote]:
    """All that is on offer: first what fits and can be had, the cheapest first; what has no price comes last.

    Prices of different currencies are never compared: each currency's stand together, in the order of their codes.
    `disk` is the size asked for in bytes, None for what is included.
    """
    return sorted((_quote(instance_type, needs, disk, read_at) for instance_type in instance_types), key=_rank)


def _quote(instance_type: InstanceType, needs: Needs, disk: int | None, read_at: datetime) -> Quote:
    fits = (
        instance_type.cpu >= needs.cpu
        and instance_type.memory >= needs.memory
        and instance_type.gpu_count >= needs.gpu_count
        and (not needs.gpu_memory or (instance_type.gpu_memory or 0) >= needs.gpu_memory)
    )
    # A price of nothing is a price that was not understood: nobody rents machines out for nothing.
    compute = instance_type.price if instance_type.price is not None and instance_type.price.amount > 0 else None
    extra = disk_price(instance_type, disk)
    if extra is None or (compute is not None and extra.currency != compute.currency):
        return Quote(instance_type, fits, None, None, read_at)
    return Quote(instance_type, fits, compute, extra if extra.amount else None, read_at)


def disk_price(instance_type: InstanceType, disk: int | None) -> Money | None:
    """What an hour of a disk costs beyond what is included; None where that is not known."""
    currency = instance_type.price.currency if instance_type.price is not None else ""
    size = instance_type.least_disk if disk is None else disk
    beyond = (size or 0) - (instance_type.disk or 0)
    if beyond <= 0:
        return Money(Decimal(0), currency)
    return None if instance_type.disk_price is None else instance_type.disk_price * math.ceil(beyond / GIB)


def _rank(one: Quote) -> tuple[bool, bool, bool, str, Decimal, str]:
    hourly = one.hourly
    if hourly is None:
        return True, True, not one.fits, "", Decimal(0), one.instance_type.id
    return False, not (one.fits and one.is_buyable), not one.fits, hourly.currency, hourly.amount, one.instance_type.id


def cap_seconds(cap: Money, hourly: Money) -> int:
    """How many whole seconds a cap buys, rounded down. Both must be of one currency, and the price above nothing."""
    if cap.currency != hourly.currency or hourly.amount <= 0:
        raise ValueError(f"{cap} buys no time at {hourly} an hour")
    return max(0, math.floor(Fraction(cap.amount) * HOUR / Fraction(hourly.amount)))


def run_seconds(cap: Money, hourly: Money, max_seconds: int) -> int:
    """How long a run may last: as long as the cap allows, and no longer than was chosen."""
    return min(cap_seconds(cap, hourly), max_seconds)


def cost(hourly: Money, seconds: float) -> Money:
    """What so many seconds cost, by the started minute, as clouds reckon; an estimate, rounded up."""
    minutes = math.ceil(Fraction(max(0.0, seconds)) / 60)
    exact = Fraction(hourly.amount) * minutes / 60
    amount = (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(SMALLEST, rounding=ROUND_UP)
    return Money(amount, hourly.currency)


def terms_of(consent: Consent) -> Terms:
    """What a consent allows."""
    price, cap = read(consent.price, consent.currency), read(consent.cap, consent.currency)
    disk = read(consent.disk_price, consent.currency)
    assert price is not None
    assert cap is not None
    return Terms(price if disk is None else price + disk, cap, consent.run_seconds, consent.idle_seconds)
