"""The bench's numbers: percentiles, ratios, verdicts."""

from __future__ import annotations

import pytest

from tests.bench.table import Measure, middle, pair, percentile, render, rows, share, show, verdicts

START = Measure("start", "s", target_p50=12, target_p95=8)
MEMORY = Measure("memory", "MiB")


@pytest.mark.parametrize(
    ("values", "part", "expected"),
    [([1.0], 0.95, 1.0), ([3, 1, 2], 0.5, 2), (range(1, 101), 0.95, 95), (range(1, 16), 0.95, 15), ([1, 2], 0.0, 1)],
)
def test_percentile_is_the_nearest_rank(values: list[float], part: float, expected: float) -> None:
    assert percentile(list(values), part) == expected


def test_percentile_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_the_median_of_an_even_number_lies_between_the_two_in_the_middle() -> None:
    assert middle([4, 1, 2, 3]) == 2.5
    assert middle([5, 1, 3]) == 3
    assert pair([]) is None


def test_ratios_say_which_side_is_smaller() -> None:
    assert share(0.2, 2.4) == "1/12.0"
    assert share(3, 2) == "1.5x"
    assert share(None, 2) == share(1, None) == "-"


def test_numbers_carry_their_unit() -> None:
    assert show(0.1234, "s") == "0.12 s"
    assert show(81.6, "MiB") == "82 MiB"
    assert show(None, "s") == "-"


def test_the_table_has_one_row_per_measure_and_a_dash_where_a_side_has_nothing() -> None:
    found = {("start", "ours"): [0.2, 0.2, 0.3], ("start", "stock"): [2.4, 2.4, 3.0], ("memory", "ours"): [80.0]}
    text = render(rows([START, MEMORY], "ours", "stock", ["ours", "stock"], found)).splitlines()
    assert [cell.strip() for cell in text[0].split("|")][-2:] == ["ratio p50", "ratio p95"]
    assert [cell.strip() for cell in text[2].split("|")] == [
        "start", "0.20 s", "0.30 s", "2.40 s", "3.00 s", "1/12.0", "1/10.0",
    ]  # fmt: skip
    assert [cell.strip() for cell in text[3].split("|")] == ["memory", "80 MiB", "80 MiB", "-", "-", "-", "-"]


def test_targets_are_told_as_facts() -> None:
    found = {("start", "ours"): [0.2, 0.4], ("start", "stock"): [3.0, 4.8]}
    assert verdicts([START, MEMORY], "ours", "stock", found) == [
        "start, p50: target 1/12: met",
        "start, p95: target 1/8: met",
    ]
    slower = {("start", "ours"): [1.0], ("start", "stock"): [2.0]}
    assert verdicts([START], "ours", "stock", slower)[0] == "start, p50: target 1/12: not met"
    assert verdicts([START], "ours", "stock", {})[0] == "start, p50: target 1/12: not measured"
