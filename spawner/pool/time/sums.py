"""What is left of grants after the runs that used them. Pure.

A run uses the grants that were valid when its time was set aside, and of those the one that ends first. So a grant for
one day is used before the week's, and a week's hours pay for a run that crosses the reset.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from spawner.ledger.time.rows import Grant


@dataclass(frozen=True)
class Debit:
    """Weighted seconds that one run used, or that are set aside for it. `at`: when its time was set aside."""

    at: datetime
    seconds: int
    is_held: bool = False


@dataclass(frozen=True)
class Sums:
    """Weighted seconds of the grants that are valid at a time: `total` = `used` + `held` + `left`.

    Where a grant is unlimited, `total` and `left` are None.
    """

    is_unlimited: bool
    total: int | None
    used: int
    held: int
    left: int | None


def sums_of(grants: Sequence[Grant], debits: Iterable[Debit], now: datetime) -> Sums:
    """The sums at `now`. `grants` and `debits` are all of one person and class since the first of the valid grants.

    A negative grant takes its seconds from the grants that are valid when it begins.
    """
    left = {index: grant.seconds for index, grant in enumerate(grants) if grant.seconds is None or grant.seconds > 0}
    order = sorted(left, key=lambda index: (left[index] is not None, grants[index].valid_until, index))
    taken, used, held = (dict.fromkeys(left, 0) for _ in range(3))

    def spend(seconds: int, at: datetime, counts: dict[int, int]) -> None:
        for index in order:
            if seconds > 0 and _is_valid(grants[index], at):
                has = left[index]
                part = seconds if has is None else min(seconds, has)
                left[index] = None if has is None else has - part
                counts[index] += part
                seconds -= part

    for grant in grants:
        if grant.seconds is not None and grant.seconds < 0:
            spend(-grant.seconds, grant.valid_from, taken)
    for debit in sorted(debits, key=lambda one: one.at):
        spend(debit.seconds, debit.at, held if debit.is_held else used)
    valid = [index for index in order if _is_valid(grants[index], now)]
    sums = sum(used[index] for index in valid), sum(held[index] for index in valid)
    if any(left[index] is None for index in valid):
        return Sums(True, None, *sums, None)
    return Sums(
        is_unlimited=False,
        total=sum((grants[index].seconds or 0) - taken[index] for index in valid),
        used=sums[0],
        held=sums[1],
        left=sum(left[index] or 0 for index in valid),
    )


def _is_valid(grant: Grant, at: datetime) -> bool:
    return grant.valid_from <= at < grant.valid_until
