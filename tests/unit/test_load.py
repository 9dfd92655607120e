"""How many ran at each time, and the chart of it."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from spawner.desk.admin.load_chart import HEIGHT, chart_of
from spawner.ledger.pool.overview import Span
from spawner.pool.load import load_of
from tests.unit.make import NOW, quick

HOUR = timedelta(hours=1)


def span(flavor: str, begins: float, ends: float | None) -> Span:
    """Hours before now."""
    return Span(flavor, NOW - HOUR * begins, None if ends is None else NOW - HOUR * ends)


def test_each_step_has_the_most_that_ran_at_once() -> None:
    spans = [span("a", 9, 2.5), span("a", 1.5, None), span("b", 3.5, 3.4), span("b", 3.4, 3.2), span("gone", 3, 1)]
    load = load_of(spans, ["a", "b", "c"], until=NOW, step=HOUR, steps=4)
    assert load.counts == {"a": [1, 1, 1, 1], "b": [1, 0, 0, 0], "c": [0, 0, 0, 0]}
    assert load.peak == 2
    chart = chart_of(load, {"a": "A", "b": "B"}, time_text=lambda at: at.strftime("%H"), per_row=2)
    assert chart.legend == [("load-0", "A"), ("load-1", "B")]
    assert chart.rows == [(f"{(NOW - 4 * HOUR):%H}", [1, 1]), (f"{(NOW - 2 * HOUR):%H}", [1, 0])]
    first = [bar for bar in chart.bars if bar.x == 0]
    assert [(bar.y, bar.height) for bar in first] == [(HEIGHT / 2, HEIGHT / 2), (0, HEIGHT / 2)]


def test_nothing_that_ran_is_an_empty_chart() -> None:
    chart = chart_of(load_of([], ["a"], until=NOW, step=HOUR, steps=3), {}, time_text=lambda at: at.isoformat())
    assert (chart.peak, chart.bars, chart.legend) == (0, [], [])


@quick
@given(
    st.lists(
        st.tuples(st.integers(0, 600), st.none() | st.integers(0, 600)).map(
            lambda pair: Span(
                "a",
                NOW - timedelta(minutes=max(pair[0], pair[1] or 0)),
                None if pair[1] is None else NOW - timedelta(minutes=min(pair[0], pair[1])),
            )
        ),
        max_size=12,
    )
)
def test_no_step_has_more_than_overlap_it_or_fewer_than_run_at_its_end(spans: list[Span]) -> None:
    load = load_of(spans, ["a"], until=NOW, step=HOUR, steps=5)
    for number, count in enumerate(load.counts["a"]):
        begins, ends = load.begins + number * HOUR, load.begins + (number + 1) * HOUR
        overlap = sum(one.begins < ends and (one.ends is None or one.ends >= begins) for one in spans)
        at_end = sum(one.begins < ends and (one.ends is None or one.ends >= ends) for one in spans)
        assert at_end <= count <= overlap
