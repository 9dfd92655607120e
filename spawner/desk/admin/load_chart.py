"""The chart of how many notebooks ran, as the numbers of an SVG. The style sheet has its colours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from spawner.pool.load import Load

HEIGHT = 100
SHADES = 6
"""Classes of colours in the style sheet: `load-0` to `load-5`."""


@dataclass(frozen=True)
class Bar:
    """One rectangle of a flavor in one step."""

    shade: str
    x: int
    y: float
    height: float


@dataclass(frozen=True)
class LoadChart:
    """`width` steps; `marks` are texts along the time axis; `rows` are for a table: time, and a number per flavor."""

    width: int
    peak: int
    bars: list[Bar]
    legend: list[tuple[str, str]]
    marks: list[str]
    rows: list[tuple[str, list[int]]]


def chart_of(
    load: Load, titles: dict[str, str], *, time_text: Callable[[datetime], str], per_row: int = 1, marks: int = 3
) -> LoadChart:
    """Bars on top of each other. Flavors that never ran are left out. `per_row` steps share a row of the table."""
    shown = [flavor for flavor, counts in load.counts.items() if any(counts)]
    steps = len(next(iter(load.counts.values()), ()))
    unit = HEIGHT / max(1, load.peak)
    bars: list[Bar] = []
    for step in range(steps):
        top = float(HEIGHT)
        for number, flavor in enumerate(shown):
            height = load.counts[flavor][step] * unit
            top -= height
            if height:
                bars.append(Bar(f"load-{number % SHADES}", step, round(top, 2), round(height, 2)))

    def when(step: int) -> str:
        return time_text(load.begins + step * load.step)

    return LoadChart(
        width=steps,
        peak=load.peak,
        bars=bars,
        legend=[(f"load-{number % SHADES}", titles.get(flavor, flavor)) for number, flavor in enumerate(shown)],
        marks=[when(round(number * steps / (marks - 1))) for number in range(marks)],
        rows=[
            (when(first), [max(load.counts[flavor][first : first + per_row]) for flavor in shown])
            for first in range(0, steps, per_row)
        ],
    )


DAY = (timedelta(minutes=30), 48)
WEEK = (timedelta(hours=3), 56)
"""Length and number of the steps."""
