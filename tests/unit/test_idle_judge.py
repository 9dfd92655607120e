"""How one look is judged, what a report may say, and that no stop comes without its notice."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.ledger.time.rows import Activity, NoticeKind
from spawner.pool.backends.base import SlotUse
from spawner.pool.time.idle.judge import Judgement, Look, Why, judge
from spawner.pool.time.idle.report import LARGEST_REPORT, Report, parse_report
from spawner.pool.time.idle.rules import BUCKETS, Limits
from spawner.pool.time.idle.state import State
from tests.idle.replay import CPU, GPU, NOW, RULES, Replay, report
from tests.idle.simulate import simulate
from tests.unit.make import quick


def after(seconds: float, use: SlotUse | None, said: Report | None) -> Look:
    """A look so many seconds later; where the clock was set back, it is really a minute."""
    return Look(NOW + timedelta(seconds=seconds), use, said, elapsed=seconds if seconds > 0 else 60)


def judged(use: SlotUse | None, said: Report | None, *, seconds: float = 60, limits: Limits = CPU) -> Judgement:
    """A look `seconds` after one in which nothing was used yet."""
    first = judge(None, Look(NOW, SlotUse(seconds=0, network=0), report(tabs=0)), limits, RULES)
    long_ago = replace(first.state, input_age=10_000.0)
    return judge(
        long_ago,
        after(seconds, use, said),
        limits,
        RULES,
    )


BUSY, SHELL = report(busy_seconds=90.0), report(terminals=1)


@pytest.mark.parametrize(
    ("use", "said", "activity", "why"),
    [
        (SlotUse(seconds=0.1, network=0, gpu=0.01), report(), Activity.WORKING, Why.GPU),
        (SlotUse(seconds=7.3, network=0), report(), Activity.WORKING, Why.PROCESSOR),
        (SlotUse(seconds=7.1, network=0), report(), Activity.IDLE, Why.NOTHING),
        (SlotUse(processors=0.5), report(), Activity.WORKING, Why.PROCESSOR),
        (SlotUse(seconds=1, network=3_000_000), report(), Activity.WORKING, Why.NETWORK),
        (SlotUse(seconds=1, network=2_900_000), report(), Activity.IDLE, Why.NOTHING),
        (SlotUse(seconds=2.5, network=0), BUSY, Activity.WORKING, Why.KERNEL),
        (SlotUse(seconds=1, network=310_000), BUSY, Activity.WORKING, Why.KERNEL),
        (SlotUse(seconds=1, network=0), BUSY, Activity.WAITING, Why.BUSY_KERNEL),
        (SlotUse(seconds=1, network=0), report(busy_seconds=1.0), Activity.IDLE, Why.NOTHING),
        (SlotUse(seconds=2.5, network=0), SHELL, Activity.WORKING, Why.TERMINAL),
        (SlotUse(seconds=1, network=0), SHELL, Activity.IDLE, Why.NOTHING),
        (None, BUSY, Activity.WORKING, Why.KERNEL),
        (None, report(), Activity.IDLE, Why.NOTHING),
        (None, report(processor_seconds=30.0), Activity.IDLE, Why.NOTHING),  # no counter before to compare it with
    ],
)
def test_a_look(use: SlotUse | None, said: Report, activity: Activity, why: Why) -> None:
    found = judged(use, said)
    assert (found.state.activity, found.why, found.is_known) == (activity, why, True)


@pytest.mark.parametrize(
    ("use", "said", "seconds"),
    [
        (None, None, 60),
        (SlotUse(seconds=1), report(), RULES.longest_gap + 1),
        (SlotUse(seconds=1), report(), 0),
        (SlotUse(seconds=1), report(), -3600),
    ],
)
def test_a_look_that_shows_nothing_adds_nothing(use: SlotUse | None, said: Report | None, seconds: float) -> None:
    long = replace(RULES, stale=0) if said is None else RULES
    first = judge(None, Look(NOW, SlotUse(seconds=0), report(tabs=0)), CPU, RULES)
    before = replace(first.state, input_age=10_000.0, idle=3000.0, quiet=3000.0)
    found = judge(before, after(seconds, use, said), CPU, long)
    assert (found.why, found.is_known, found.remaining) == (Why.UNKNOWN, False, None)
    assert (found.state.idle, found.state.quiet) == (3000.0, 3000.0)


def test_work_in_a_gap_is_use_and_rest_in_a_gap_is_unknown() -> None:
    for step in (RULES.longest_gap + 1, 3600):
        first = judge(None, Look(NOW, SlotUse(seconds=0), report(tabs=0)), CPU, RULES)
        before = replace(first.state, input_age=10_000.0, idle=3000.0, quiet=3000.0)
        at = NOW + timedelta(seconds=step)
        found = judge(before, Look(at, SlotUse(seconds=step / 2), report(), step), CPU, RULES)
        assert (found.why, found.state.idle, found.state.quiet) == (Why.PROCESSOR, 0, 0)
        assert not judge(before, Look(at, SlotUse(seconds=1), report(), step), CPU, RULES).is_known


def test_counters_that_went_back_are_another_slots() -> None:
    first = judge(None, Look(NOW, SlotUse(seconds=1000, network=10**9), report()), CPU, RULES)
    found = judge(first.state, after(60, SlotUse(seconds=10, network=10), report()), CPU, RULES)
    assert (found.rates.processors, found.rates.network) == (None, None)


def test_input_in_a_visible_tab_is_presence_for_a_quarter_of_an_hour_and_then_counts_from_the_input() -> None:
    run, used = Replay(), SlotUse(seconds=0, network=0)
    for minute in range(1, 200):
        said = report(now=minute * 60.0, input_at=min(minute, 100) * 60.0)
        run.look(used, said)
        if run.ended is not None:
            break
    assert run.minutes_of(NoticeKind.IDLE) == [155]
    assert run.ended == 160
    assert {one.state.activity for one in run.judgements[20:114]} == {Activity.PRESENT}
    assert run.judgements[117].state.activity is Activity.IDLE


def test_the_time_of_an_input_is_never_compared_with_another_clock() -> None:
    """An instance whose clock is a year ahead, or was set back, is judged by whether the time of the input changes."""
    for shift in (3e7, -3e7):
        run, used = Replay(), SlotUse(seconds=0, network=0)
        for minute in range(1, 200):
            now = 1e9 + minute * 60.0 + (shift if minute > 50 else 0)
            run.look(used, report(now=now, input_at=1e9 + 40 * 60.0 if minute >= 40 else None))
            if run.ended is not None:
                break
        assert run.ended is not None
        assert 100 <= run.ended <= 101


def test_a_tab_that_is_opened_while_the_notice_stands_withdraws_it_on_a_gpu() -> None:
    run, used = Replay(GPU), SlotUse(seconds=0, network=0, gpu=0.0)
    for minute in range(1, 60):
        run.look(used, report(tabs=int(minute >= 13)))
        if run.ended is not None:
            break
    (first, second) = run.notices
    assert first.answered_at is not None
    assert run.minutes_of(NoticeKind.IDLE) == [11, 26]
    assert (second.mark, run.ended) == ("idle-2", 31)


def test_a_notice_that_comes_late_stands_as_long_and_a_clock_step_does_not_shorten_it() -> None:
    used = SlotUse(seconds=0, network=0, gpu=0.0)
    for step in (60.0, 600.0):
        run = Replay(GPU)
        for minute in range(1, 60):
            run.look(used, report(tabs=int(minute <= 20)), step=step if minute == 23 else 0.0)
            if run.ended is not None:
                break
        assert run.minutes_of(NoticeKind.IDLE) == [21]
        assert run.ended == 26


def test_nobody_is_ended_in_a_look_in_which_their_notebook_did_not_answer() -> None:
    run, used = Replay(), SlotUse(seconds=0, network=0)
    for minute in range(1, 64):
        run.look(used, None if minute >= 61 else report())
    assert run.ended is None
    run.look(used, report(input_at=999_990.0))
    assert run.notices[-1].answered_at is not None, "there was input meanwhile"


def test_a_missing_sample_neither_ends_an_instance_nor_withdraws_its_notice() -> None:
    run, used = Replay(), SlotUse(seconds=0, network=0)
    for _ in range(58):
        run.look(used, report())
    for _ in range(30):
        run.look(None, None)
    (notice,) = run.notices
    assert (notice.answered_at, run.ended) == (None, None)
    while run.ended is None:
        run.look(used, report())
    assert run.ended <= 58 + 30 + 4


def test_an_answer_gives_the_whole_time_again() -> None:
    run, used = Replay(), SlotUse(seconds=0, network=0)
    for _ in range(57):
        run.look(used, report())
    run.answer(run.notices[-1].id)
    for _ in range(80):
        run.look(used, report())
        if run.ended is not None:
            break
    assert run.minutes_of(NoticeKind.IDLE) == [56, 113]
    assert run.ended == 118


def test_where_idle_is_off_nothing_follows() -> None:
    run = Replay(Limits(None, None))
    for _ in range(300):
        run.look(SlotUse(seconds=0, network=0), report())
    assert (run.notices, run.ended, run.judgements[-1].state.activity) == ([], None, Activity.IDLE)
    assert run.state is not None
    assert len(run.state.buckets) == BUCKETS
    assert len(json.dumps(run.state.to_json())) < 1600


def test_what_another_version_wrote_begins_anew() -> None:
    assert State.from_json({"v": 0}) is None
    assert State.from_json({"v": 1, "at": 3}) is None
    assert State.from_json({"v": 1, "at": "x", "sums": [1, 2], "activity": "idle"}) is None


@pytest.mark.parametrize("block", range(4))
def test_no_stop_comes_without_a_notice_and_none_to_those_who_are_there(block: int) -> None:
    """`make bench-idle` does this for 10,000 sessions."""
    sessions = [simulate(seed) for seed in range(block * 25, block * 25 + 25)]
    assert {one.problem for one in sessions} == {None}
    assert sum(one.replay.ended is not None for one in sessions) > 5


# Reports


def test_a_report_is_read() -> None:
    body = {
        "now": 1000,
        "kernels": [{"id": "a", "busy": True, "since": 900}, {"id": "b", "busy": True, "since": 990}, {"busy": False}],
        "terminals": [{"name": "1", "children": 0}, {"name": "2", "children": 3}],
        "tabs": 2,
        "input_at": 950.5,
        "processor_seconds": 3.5,
        "network": 12,
        "opened": True,
    }
    assert parse_report(json.dumps(body).encode()) == Report(1000, 100, 1, 2, 950.5, 3.5, 12, True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"x" * 99,
        b"[" * 9000,
        b'{"now": true}',
        b'{"now": -1}',
        b'{"now": 1e400}',
        b'{"now": NaN}',
        b'{"now": 1, "x": "' + b"x" * LARGEST_REPORT + b'"}',
    ],
)
def test_what_is_no_report_is_none(body: bytes) -> None:
    assert parse_report(body) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3),
    max_leaves=8,
)
FIELDS = ("now", "kernels", "terminals", "tabs", "input_at", "processor_seconds", "network")


@quick
@given(st.fixed_dictionaries({"now": st.floats(0, 1e12)} | dict.fromkeys(FIELDS[1:], JSON)), st.integers(0, 9))
def test_no_answer_of_an_instance_breaks_a_look(fields: dict[str, object], times: int) -> None:
    said = parse_report(json.dumps(fields).encode())
    run = Replay()
    for _ in range(times):
        run.look(SlotUse(seconds=0, network=0), said)
        run.look(None, said)
    assert run.ended is None
