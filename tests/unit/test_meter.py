"""The meter: which fact ends a run, what is given back, and bounds that hold for any clocks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.ledger import EndReason, InstanceState
from spawner.ledger.time.rows import Charge, EndSource, Grant, GrantSource, Hold
from spawner.pool.time import meter
from spawner.pool.time.shares import share_of
from spawner.pool.time.sums import Debit, sums_of
from tests.unit import make
from tests.unit.make import NOW, quick, times

BEGAN = NOW - timedelta(hours=2)
HOLD = Hold("i", "ann", "gpu", weight=1.0, seconds=4 * 3600, taken_at=BEGAN)


def after(minutes: float) -> datetime:
    return BEGAN + timedelta(minutes=minutes)


def charge(
    reason: EndReason, *, hold: Hold = HOLD, seen_at: datetime | None = None, now: datetime = NOW, **changes: Any
) -> Charge:
    values = {"usable_at": BEGAN, "reason": reason} | changes
    found = meter.charge(make.instance("i", InstanceState.STOPPING, **values), hold, seen_at=seen_at, now=now)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("reason", "facts", "minutes", "source"),
    [
        (EndReason.STOPPED, {"stopping_at": after(30)}, 30, EndSource.STOP),
        (EndReason.STOPPED, {"stopping_at": after(30), "ended_at": after(90)}, 30, EndSource.STOP),
        (EndReason.STOPPED, {"stopping_at": after(30), "seen_at": after(10)}, 30, EndSource.STOP),
        (EndReason.CRASHED, {"stopping_at": after(90), "died_at": after(20)}, 20, EndSource.DEATH),
        (EndReason.CRASHED, {"stopping_at": after(90), "died_at": after(20), "seen_at": after(5)}, 20, EndSource.DEATH),
        (EndReason.CRASHED, {"stopping_at": after(90), "seen_at": after(50)}, 50, EndSource.SIGN),
        (EndReason.CRASHED, {"stopping_at": after(90)}, 90, EndSource.SIGN),
        (EndReason.CRASHED, {"stopping_at": after(90), "died_at": after(100)}, 90, EndSource.SIGN),  # the node is ahead
        (EndReason.DEADLINE, {"stopping_at": after(600)}, 240, EndSource.HOLD),
        (EndReason.DEADLINE, {"stopping_at": after(240)}, 240, EndSource.STOP),
        (EndReason.STOPPED, {"stopping_at": after(-5)}, 0, EndSource.STOP),  # the clock was set back
        (EndReason.CRASHED, {"stopping_at": after(90), "died_at": after(-300)}, 0, EndSource.DEATH),
    ],
)
def test_the_earliest_fact_ends_a_run(
    reason: EndReason, facts: dict[str, Any], minutes: float, source: EndSource
) -> None:
    found = charge(reason, now=after(700), **facts)
    assert (found.until, found.end_source, found.seconds) == (after(minutes), source, minutes * 60)


def test_what_never_became_usable_costs_nothing() -> None:
    never = make.instance("i", InstanceState.STOPPING, reason=EndReason.START_FAILED, stopping_at=NOW)
    assert meter.charge(never, HOLD, seen_at=NOW, now=NOW) is None


@pytest.mark.parametrize("reason", sorted(EndReason))
def test_the_person_pays_for_no_end_by_the_platform(reason: EndReason) -> None:
    found = charge(reason, stopping_at=after(30))
    assert found.refunded == (found.seconds if reason in meter.REFUNDED else 0)
    assert (found.refund_reason is not None) == (reason in meter.REFUNDED)


def test_a_person_cannot_end_a_run_so_that_it_is_given_back() -> None:
    by_the_person = {
        EndReason.STOPPED, EndReason.CANCELLED, EndReason.CRASHED, EndReason.OUT_OF_MEMORY, EndReason.OUT_OF_DISK,
        EndReason.RESTARTED, EndReason.SWITCHED, EndReason.DEADLINE, EndReason.GUARD, EndReason.BANNED,
    }  # fmt: skip
    assert by_the_person.isdisjoint(meter.REFUNDED)


@quick
@given(
    reason=st.sampled_from(EndReason),
    usable=times(),
    stopping=st.none() | times(),
    died=st.none() | times(),
    seen=st.none() | times(),
    ended=st.none() | times(),
    weight=st.sampled_from([0.1, 0.5, 1.0, 2.0, 3.7]),
    seconds=st.integers(0, 7200),
)
def test_for_any_clocks_a_charge_is_neither_negative_nor_above_the_hold(
    reason: EndReason,
    usable: datetime,
    stopping: datetime | None,
    died: datetime | None,
    seen: datetime | None,
    ended: datetime | None,
    weight: float,
    seconds: int,
) -> None:
    hold = Hold("i", "ann", "gpu", weight=weight, seconds=seconds, taken_at=usable)
    found = charge(
        reason, hold=hold, seen_at=seen, usable_at=usable, stopping_at=stopping, died_at=died, ended_at=ended
    )
    assert 0 <= found.refunded <= found.seconds <= seconds
    assert found.seconds <= weight * (found.until - found.began_at).total_seconds() + 1e-6
    for known in filter(None, (stopping, died)):
        assert found.until <= max(known, usable)


def grant(seconds: int | None, *, since: float = 0, hours: float = 168) -> Grant:
    begins = NOW + timedelta(hours=since)
    return Grant(
        id="g", person_id="ann", class_id="gpu", seconds=seconds, valid_from=begins,
        valid_until=begins + timedelta(hours=hours), source=GrantSource.POLICY, reference=None, reason="", made_by="",
        made_at=NOW,
    )  # fmt: skip


@quick
@given(
    grants=st.lists(
        st.builds(
            grant,
            st.none() | st.integers(-5000, 50_000),
            since=st.floats(-400, 200),
            hours=st.floats(1, 400),
        ),
        max_size=6,
    ),
    debits=st.lists(
        st.builds(
            Debit,
            st.floats(-400, 200).map(lambda hours: NOW + timedelta(hours=hours)),
            st.integers(0, 20_000),
            st.booleans(),
        ),
        max_size=8,
    ),
)
def test_what_is_left_is_never_negative_and_the_parts_are_the_total(grants: list[Grant], debits: list[Debit]) -> None:
    found = sums_of(grants, debits, NOW)
    assert found.used >= 0
    assert found.held >= 0
    if found.left is None or found.total is None:
        assert found.is_unlimited
        return
    assert found.left >= 0
    assert found.total == found.used + found.held + found.left
    valid = [one for one in grants if one.valid_from <= NOW < one.valid_until]
    assert found.total <= sum(max(0, one.seconds or 0) for one in valid)
    more = sums_of(grants, [*debits, Debit(NOW, 100)], NOW)
    assert more.left == max(0, found.left - 100)


def test_the_float_is_a_share_of_what_was_left_unused() -> None:
    made = make.catalog(
        allowances={"classes": [{"id": "gpu", "title": make.TEXT, "hours": 10, "float": 0.5}]}
    ).allowances
    one, week = made.classes[0], made.week(NOW)
    share = share_of(one, week, people=4, promised=4 * 36_000, used=100_000)
    assert (share.week, share.unused, share.seconds) == (week.start, 44_000, 5500)
    assert share_of(one, week, people=0, promised=0, used=0).seconds == 0
    assert share_of(one, week, people=2, promised=72_000, used=90_000).seconds == 0
