"""Money: an exact amount of one currency. Never a float, never converted."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal


@dataclass(frozen=True)
class Money:
    """An amount, exact, of a currency by its ISO 4217 code.

    Two amounts of different currencies cannot be added or compared: that raises `ValueError`.
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
        """The amount, exact, as it is stored."""
        return f"{self.amount:f}"

    @property
    def exact(self) -> str:
        """For what a person agrees to: every digit, and two of them at least after the point."""
        whole = self.amount.normalize()
        places = max(2, -int(whole.as_tuple().exponent))
        return f"{self.currency} {whole.quantize(Decimal(1).scaleb(-places)):f}"

    def rounded(self, places: int = 2) -> Decimal:
        """The amount as people write it."""
        return self.amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)

    def _same(self, other: Money) -> Decimal:
        if other.currency != self.currency:
            raise ValueError(f"{other.currency} is not {self.currency}, and nothing here converts")
        return other.amount


def read(text: str | None, currency: str) -> Money | None:
    """An amount that was stored."""
    return None if text is None else Money(Decimal(text), currency)


def nothing(currency: str) -> Money:
    """No money at all."""
    return Money(Decimal(0), currency)
