"""Exact amounts of money, each in one currency. There are no floats and no conversion."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal


@dataclass(frozen=True)
class Money:
    """An exact amount. `currency` is an ISO 4217 code.

    Adding or comparing amounts of different currencies raises `ValueError`.
    """

    amount: Decimal
    currency: str

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._same(other), self.currency)

    def __mul__(self, factor: Decimal | int) -> Money:
        return Money(self.amount * factor, self.currency)

    def __truediv__(self, divisor: Decimal | int) -> Money:
        return Money(self.amount / divisor, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._same(other)

    def __str__(self) -> str:
        return f"{self.currency} {self.rounded():f}"

    @property
    def text(self) -> str:
        """The exact amount without its currency, as the ledger stores it."""
        return f"{self.amount:f}"

    @property
    def exact(self) -> str:
        """With currency and all digits, at least two after the point, for consents."""
        whole = self.amount.normalize()
        places = max(2, -int(whole.as_tuple().exponent))
        return f"{self.currency} {whole.quantize(Decimal(1).scaleb(-places)):f}"

    def rounded(self, places: int = 2) -> Decimal:
        """The amount rounded for display."""
        return self.amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)

    def _same(self, other: Money) -> Decimal:
        if other.currency != self.currency:
            raise ValueError(f"cannot combine {other.currency} with {self.currency}")
        return other.amount


def read(text: str | None, currency: str) -> Money | None:
    """Parse a stored amount."""
    return None if text is None else Money(Decimal(text), currency)


def nothing(currency: str) -> Money:
    """An amount of 0."""
    return Money(Decimal(0), currency)
