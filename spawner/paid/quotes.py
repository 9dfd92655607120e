"""Quotes for instance types, their order, and the run time that a cap pays for. All arithmetic is exact."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_UP, Decimal
from enum import StrEnum
from fractions import Fraction
from itertools import groupby

from spawner.ledger.paid.rows import Consent
from spawner.paid.money import Money, read
from spawner.paid.providers.base import InstanceType

HOUR = 3600
GIB = 1024**3
UNIT = "hour"
"""Time unit of every price. A cloud's price with another unit counts as unknown."""
SMALLEST = Decimal("0.000001")
"""Costs are rounded up to a multiple of this."""


@dataclass(frozen=True)
class Needs:
    """Minimum requirements; sizes in bytes."""

    cpu: int = 0
    memory: int = 0
    gpu_count: int = 0
    gpu_memory: int = 0


class QuoteGroup(StrEnum):
    """Parts of the list of quotes, in their order. In each the cheapest is first."""

    FITS = "fits"
    SOLD_OUT = "sold_out"
    """It fits, and the cloud reports it as out of stock."""
    TOO_SMALL = "too_small"
    NO_PRICE = "no_price"


@dataclass(frozen=True)
class Quote:
    """An instance type with its prices per hour: `compute`, and `disk` for the size beyond the included disk.

    `fits`: whether it meets the `Needs`.
    """

    instance_type: InstanceType
    fits: bool
    compute: Money | None
    disk: Money | None
    read_at: datetime

    @property
    def hourly(self) -> Money | None:
        """Total price of an hour; None where it is not known."""
        if self.compute is None or self.disk is None:
            return self.compute
        return self.compute + self.disk

    @property
    def is_buyable(self) -> bool:
        """Whether it may be offered: its price is known, and the cloud does not report it as out of stock."""
        return self.hourly is not None and self.instance_type.available is not False

    @property
    def group(self) -> QuoteGroup:
        """The part of the list that it belongs to."""
        if self.hourly is None:
            return QuoteGroup.NO_PRICE
        if not self.fits:
            return QuoteGroup.TOO_SMALL
        return QuoteGroup.FITS if self.is_buyable else QuoteGroup.SOLD_OUT


@dataclass(frozen=True)
class Terms:
    """Limits of one run: price of an hour, maximum cost, maximum run time and idle time in seconds."""

    hourly: Money
    cap: Money
    run_seconds: int
    idle_seconds: int | None


def quote(instance_types: Iterable[InstanceType], needs: Needs, *, disk: int | None, read_at: datetime) -> list[Quote]:
    """Quotes for all instance types in the order of `QuoteGroup`; in each group the cheapest first.

    Prices of different currencies are never compared: quotes are grouped by currency, in order of its code.
    `disk`: requested size in bytes, None for the included disk.
    """
    return sorted((_quote(instance_type, needs, disk, read_at) for instance_type in instance_types), key=_rank)


def _quote(instance_type: InstanceType, needs: Needs, disk: int | None, read_at: datetime) -> Quote:
    fits = (
        instance_type.cpu >= needs.cpu
        and instance_type.memory >= needs.memory
        and instance_type.gpu_count >= needs.gpu_count
        and (not needs.gpu_memory or (instance_type.gpu_memory or 0) >= needs.gpu_memory)
    )
    # A price of 0 counts as unknown: it is more likely a misread response than a free machine.
    compute = instance_type.price if instance_type.price is not None and instance_type.price.amount > 0 else None
    extra = disk_price(instance_type, disk)
    if extra is None or (compute is not None and extra.currency != compute.currency):
        return Quote(instance_type, fits, None, None, read_at)
    return Quote(instance_type, fits, compute, extra if extra.amount else None, read_at)


def disk_price(instance_type: InstanceType, disk: int | None) -> Money | None:
    """Price of an hour of the disk beyond the included size; None where it is not known."""
    currency = instance_type.price.currency if instance_type.price is not None else ""
    size = instance_type.least_disk if disk is None else disk
    beyond = (size or 0) - (instance_type.disk or 0)
    if beyond <= 0:
        return Money(Decimal(0), currency)
    return None if instance_type.disk_price is None else instance_type.disk_price * math.ceil(beyond / GIB)


def _rank(quote: Quote) -> tuple[int, str, Decimal, str]:
    group, hourly = list(QuoteGroup).index(quote.group), quote.hourly
    currency, amount = ("", Decimal(0)) if hourly is None else (hourly.currency, hourly.amount)
    return group, currency, amount, quote.instance_type.id


def grouped(quotes: Iterable[Quote]) -> list[tuple[QuoteGroup, list[Quote]]]:
    """Ranked quotes by group, without the empty groups."""
    return [(group, list(members)) for group, members in groupby(quotes, key=lambda one: one.group)]


def cap_seconds(cap: Money, hourly: Money) -> int:
    """Run time that a cap pays for, in whole seconds, rounded down. Raises `ValueError` where the currencies differ or
    the price is not positive."""
    if cap.currency != hourly.currency or hourly.amount <= 0:
        raise ValueError(f"{cap} buys no time at {hourly} an hour")
    return max(0, math.floor(Fraction(cap.amount) * HOUR / Fraction(hourly.amount)))


def run_seconds(cap: Money, hourly: Money, max_seconds: int) -> int:
    """Maximum run time: the smaller of the chosen time and the time that the cap pays for."""
    return min(cap_seconds(cap, hourly), max_seconds)


def cost(hourly: Money, seconds: float) -> Money:
    """Estimated cost of `seconds`, rounded up. Each started minute is charged, as clouds do."""
    minutes = math.ceil(Fraction(max(0.0, seconds)) / 60)
    exact = Fraction(hourly.amount) * minutes / 60
    amount = (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(SMALLEST, rounding=ROUND_UP)
    return Money(amount, hourly.currency)


def terms_of(consent: Consent) -> Terms:
    """The limits that a consent records."""
    price, cap = read(consent.price, consent.currency), read(consent.cap, consent.currency)
    disk = read(consent.disk_price, consent.currency)
    assert price is not None
    assert cap is not None
    return Terms(price if disk is None else price + disk, cap, consent.run_seconds, consent.idle_seconds)
