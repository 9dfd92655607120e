"""The definitions of waits and starts, and their statistics."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.ledger import EndReason, Instance, InstanceState, StartStep, Ticket, TicketState
from spawner.pool.statistics import HOURS, Day, EstimateAccuracy, Percentiles, percentiles, quantile, statistics_of
from tests.unit import make
from tests.unit.make import NOW, quick


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def ticket(
    name: str, state: TicketState = TicketState.SERVED, *, joined: float, called: float | None = None, **changes: Any
) -> Ticket:
    """`joined` and `called` are seconds ago."""
    values: dict[str, Any] = {
        "id": name,
        "user_name": name,
        "server_name": "",
        "flavor": "small",
        "image": "cpu",
        "example": None,
        "state": state,
        "joined_at": ago(joined),
        "rank_at": ago(joined),
        "called_at": None if called is None else ago(called),
        "hold_until": None,
        "instance_id": None,
        "served_at": None,
        "collected_at": None,
        "told_at": None,
        "ended_at": None,
        "expected_low": None,
        "expected_high": None,
        "tries": 0,
        "ends_by": None,
        "detail": None,
    }
    return Ticket(**values | changes)


def started(name: str, *, requested: float, usable: float, **changes: Any) -> Instance:
    return make.instance(name, requested_at=ago(requested), usable_at=ago(usable), **changes)


def day(
    tickets: list[Ticket] | None = None,
    instances: list[Instance] | None = None,
    ended: list[Instance] | None = None,
    cold: tuple[str, ...] = (),
) -> Day:
    return Day(tickets or [], instances or [], ended or [], {name: {StartStep.SLOT_CREATING} for name in cold})


def test_a_day_without_requests_has_empty_statistics() -> None:
    found = statistics_of(day(), "small", now=NOW)
    assert (found.warm_seconds, found.cold_seconds, found.wait_seconds, found.failures) == ([], [], [], {})
    assert found.foretold == EstimateAccuracy(0, 0, 0)
    assert len(found.hours) == HOURS
    assert percentiles([]) == Percentiles(0, None, None)


def test_a_request_that_found_room_started_at_once_and_did_not_wait() -> None:
    """The start includes the hub's own time."""
    at_once = ticket("t", joined=100, called=100, instance_id="i")
    found = statistics_of(day([at_once], [started("i", requested=99.5, usable=99)]), "small", now=NOW)
    assert (found.warm_seconds, found.wait_seconds) == ([1.0], [])


def test_a_queued_ticket_waited_until_called_and_started_with_its_instance() -> None:
    """In between, the slot may have been held while the user was away."""
    held = ticket("t", joined=900, called=600, instance_id="i")
    found = statistics_of(day([held], [started("i", requested=100, usable=97)], cold=("i",)), "small", now=NOW)
    assert (found.cold_seconds, found.wait_seconds) == ([3.0], [300.0])


def test_an_instance_from_before_there_were_tickets_counts_from_its_request() -> None:
    found = statistics_of(day([], [started("i", requested=10, usable=8)]), "small", now=NOW)
    assert found.warm_seconds == [2.0]


def test_a_waiting_ticket_has_no_wait_yet() -> None:
    assert statistics_of(day([ticket("t", TicketState.WAITING, joined=500)]), "small", now=NOW).wait_seconds == []


def test_flavors_are_counted_apart() -> None:
    rows = day(
        [ticket("t", joined=20, called=10, flavor="large")],
        [started("i", requested=10, usable=8, flavor="large")],
        [make.instance("e", InstanceState.ENDED, reason=EndReason.CRASHED, flavor="large")],
    )
    small, large = statistics_of(rows, "small", now=NOW), statistics_of(rows, "large", now=NOW)
    assert (small.warm_seconds, small.wait_seconds, small.failures) == ([], [], {})
    assert (large.warm_seconds, large.wait_seconds, large.failures) == ([2.0], [10.0], {EndReason.CRASHED: 1})


@pytest.mark.parametrize(("waited", "counts"), [(59, (0, 1, 0)), (60, (1, 0, 0)), (120, (1, 0, 0)), (121, (0, 0, 1))])
def test_a_wait_is_compared_with_its_estimate(waited: int, counts: tuple[int, int, int]) -> None:
    estimated = ticket("t", joined=waited + 5, called=5, expected_low=60, expected_high=120)
    without_estimate = ticket("u", joined=50, called=5)
    found = statistics_of(day([estimated, without_estimate]), "small", now=NOW).foretold
    assert (found.within, found.shorter, found.longer) == counts
    assert found.count == 1


def test_failures_are_listed_the_most_frequent_first() -> None:
    reasons = [EndReason.STOPPED, EndReason.LOST, EndReason.CRASHED, EndReason.CRASHED, EndReason.DEADLINE]
    rows = [make.instance(str(number), InstanceState.ENDED, reason=reason) for number, reason in enumerate(reasons)]
    found = statistics_of(day(ended=rows), "small", now=NOW)
    assert list(found.failures.items()) == [(EndReason.CRASHED, 2), (EndReason.LOST, 1)]
    assert sum(found.endings.values()) == 5


def test_hours_count_the_tickets_called_in_them() -> None:
    tickets = [
        ticket("a", joined=30, called=30),
        ticket("b", joined=400, called=100),
        ticket("c", joined=9000, called=8000),
    ]
    hours = statistics_of(day(tickets), "small", now=NOW).hours
    last, third_last = hours[-1], hours[-3]
    assert (last.came, last.waited, last.p50, last.longest) == (2, 1, 300, 300)
    assert (third_last.came, third_last.waited, third_last.longest) == (1, 1, 1000)
    assert sum(hour.came for hour in hours) == 3


@quick
@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_the_smallest_value_that_its_share_does_not_exceed(values: list[float], share: float) -> None:
    ordered = sorted(values)
    found = quantile(ordered, share)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= share * len(ordered) - 1e-9
    below = [value for value in ordered if value < found]
    assert len(below) < share * len(ordered)
