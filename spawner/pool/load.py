"""How many notebooks ran at each time of a period. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from spawner.ledger.pool.overview import Span


@dataclass(frozen=True)
class Load:
    """`counts[flavor][i]`: how many ran at once, at most, in step `i` from `begins`; each step lasts `step`."""

    begins: datetime
    step: timedelta
    counts: dict[str, Sequence[int]]

    @property
    def totals(self) -> list[int]:
        """The sum over flavors in each step. Their maxima need not have been at the same time, so it may be above."""
        return [sum(parts) for parts in zip(*self.counts.values(), strict=True)]

    @property
    def peak(self) -> int:
        """The largest total."""
        return max(self.totals, default=0)


def load_of(spans: Iterable[Span], flavors: Sequence[str], *, until: datetime, step: timedelta, steps: int) -> Load:
    """Of these flavors, in this order, in the `steps` steps before `until`. Others are left out."""
    begins = until - step * steps
    changes: dict[str, list[tuple[datetime, int]]] = {flavor: [] for flavor in flavors}
    for span in spans:
        if span.flavor in changes:
            changes[span.flavor].append((max(span.begins, begins), 1))
            if span.ends is not None:
                changes[span.flavor].append((span.ends, -1))
    return Load(
        begins, step, {flavor: _maxima(sorted(found), begins, step, steps) for flavor, found in changes.items()}
    )


def _maxima(changes: list[tuple[datetime, int]], begins: datetime, step: timedelta, steps: int) -> list[int]:
    """An end sorts before a beginning at the same time: a restart counts once."""
    found, running, place = [], 0, 0
    for number in range(steps):
        ends = begins + step * (number + 1)
        largest = running
        while place < len(changes) and changes[place][0] < ends:
            running += changes[place][1]
            largest = max(largest, running)
            place += 1
        found.append(largest)
    return found
