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
class Account:
    """Weighted seconds of the grants that are valid at a time: `total` = `used` + `held` + `left`.

    Of an unlimited account `total` and `left` are None.
    """

    is_unlimited: bool
    total: int | None
    used: int
    held: int
    left: int | None


def account(grants: Sequence[Grant], debits: Iterable[Debit], now: datetime) -> Account:
    """The account at `now`. `grants` and `debits` are all of one person and class since the first of the valid grants.

    A negative grant takes its seconds from the grants that are valid when it begins.
    """
    left = {index: grant.seconds for index, grant in enumerate(grants) if grant.seconds is None or grant.seconds > 0}
    order = sorted(left, key=lambda index: (left[index] is not None, grants[index].valid_until, index))
    taken: dict[int, int] = dict.fromkeys(left, 0)
    used, held = dict(taken), dict(taken)
    owed = [Debit(one.valid_from, -one.seconds) for one in grants if one.seconds is not None and one.seconds < 0]
    for counts, parts in ((taken, owed), (None, sorted(debits, key=lambda one: one.at))):
        for debit in parts:
            rest = debit.seconds
            for index in order:
                if rest <= 0:
                    break
                if not _is_valid(grants[index], debit.at):
                    continue
                has = left[index]
                part = rest if has is None else min(rest, has)
                left[index] = None if has is None else has - part
                rest -= part
                (counts if counts is not None else held if debit.is_held else used)[index] += part
    valid = [index for index in order if _is_valid(grants[index], now)]
    sums = sum(used[index] for index in valid), sum(held[index] for index in valid)
    if any(left[index] is None for index in valid):
        return Account(True, None, *sums, None)
    return Account(
        is_unlimited=False,
        total=sum((grants[index].seconds or 0) - taken[index] for index in valid),
        used=sums[0],
        held=sums[1],
        left=sum(left[index] or 0 for index in valid),
    )


def _is_valid(grant: Grant, at: datetime) -> bool:
    return grant.valid_from <= at < grant.valid_until
