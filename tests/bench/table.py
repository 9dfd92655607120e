"""Statistics and the printed table: pure, so that the numbers can be trusted without a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NOTHING = "-"
Found = Mapping[tuple[str, str], list[float]]
"""The values of (measure's title, side)."""


@dataclass(frozen=True)
class Measure:
    """One row: what was measured, its unit, and the design's targets as "at most 1/N of stock's" (0: none)."""

    title: str
    unit: str
    target_p50: float = 0
    target_p95: float = 0


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of all values do not exceed (nearest rank)."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def middle(values: Sequence[float]) -> float:
    """The median: for an even number of values, half-way between the two in the middle."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def pair(values: Sequence[float]) -> tuple[float, float] | None:
    """p50 and p95; None where nothing was measured."""
    return (middle(values), percentile(values, 0.95)) if values else None


def show(value: float | None, unit: str) -> str:
    """A number with its unit: seconds to the hundredth, MiB whole."""
    if value is None:
        return NOTHING
    return f"{value:.2f} s" if unit == "s" else f"{value:.0f} {unit}"


def share(ours: float | None, stock: float | None) -> str:
    """How ours relates to stock's: `1/13.2` where it is smaller, `1.4x` where it is larger."""
    if not ours or not stock:
        return NOTHING
    return f"1/{stock / ours:.1f}" if ours <= stock else f"{ours / stock:.1f}x"


def rows(
    measures: Sequence[Measure],
    ours: str,
    stock: str,
    sides: Sequence[str],
    found: Found,
) -> list[list[str]]:
    """The table, its heading first."""
    heading = ["measure", *(f"{side} {which}" for side in sides for which in ("p50", "p95")), "ratio p50", "ratio p95"]
    lines = [heading]
    for measure in measures:
        pairs = {side: pair(found.get((measure.title, side), [])) for side in sides}
        line = [measure.title]
        for side in sides:
            both = pairs[side]
            line += [show(both[which] if both else None, measure.unit) for which in (0, 1)]
        mine, theirs = pairs.get(ours), pairs.get(stock)
        line += [share(mine[which] if mine else None, theirs[which] if theirs else None) for which in (0, 1)]
        lines.append(line)
    return lines


def part_rows(parts: Sequence[str], sides: Sequence[str], found: Found) -> list[list[str]]:
    """Where a start's time goes: milliseconds of each part, the heading first. Parts are measures of their own."""
    lines = [["part of a start", *(f"{side} {which}" for side in sides for which in ("p50", "p95"))]]
    for part in parts:
        pairs = [pair(found.get((part, side), [])) for side in sides]
        lines.append([part, *(f"{both[i] * 1000:.0f} ms" if both else NOTHING for both in pairs for i in (0, 1))])
    return lines


def render(lines: Sequence[Sequence[str]]) -> str:
    """Columns beside each other: the first one to the left, numbers to the right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rule = "-+-".join("-" * width for width in widths)
    text = [
        " | ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([text[0], rule, *text[1:]])


def verdicts(measures: Sequence[Measure], ours: str, stock: str, found: Found) -> list[str]:
    """One sentence per target of the design."""
    sentences = []
    for measure in measures:
        mine, theirs = (pair(found.get((measure.title, side), [])) for side in (ours, stock))
        for name, which, target in (("p50", 0, measure.target_p50), ("p95", 1, measure.target_p95)):
            if not target:
                continue
            if mine is None or theirs is None:
                verdict = "not measured"
            else:
                verdict = "met" if mine[which] * target <= theirs[which] else "not met"
            sentences.append(f"{measure.title}, {name}: target 1/{target}: {verdict}")
    return sentences
