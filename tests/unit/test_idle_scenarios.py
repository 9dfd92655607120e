"""How recorded use of real instances is judged, and when a notice and a stop follow. docs/idle.md has the table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from spawner.ledger.time.rows import Activity, NoticeKind
from spawner.pool.backends.base import SlotUse
from spawner.pool.time.idle.judge import Why
from spawner.pool.time.idle.report import Report
from tests.idle.replay import CPU, GPU, RULES, SAMPLES, Replay, recorded, unending
from tests.idle.table import ORDER, table
from tests.stack import PROJECT

WORKING, WAITING, IDLE = Activity.WORKING, Activity.WAITING, Activity.IDLE
NEVER = (None, None)
TABLE: list[tuple[str, Activity, tuple[int | None, int | None], tuple[int | None, int | None]]] = [
    # scenario, activity, minutes of the notice and the stop on CPU, and on a GPU that is not used
    ("training", WORKING, NEVER, NEVER),
    ("sleep_in_a_cell", WAITING, (55, 60), (55, 60)),
    ("input_in_a_cell", WAITING, (55, 60), (55, 60)),
    ("debugger", WAITING, (55, 60), (55, 60)),
    ("lab_left_open", IDLE, (55, 60), (25, 30)),
    ("lab_closed", IDLE, (55, 60), (10, 15)),
    ("job_in_a_terminal", WORKING, NEVER, NEVER),
    ("top_in_a_terminal", IDLE, (55, 60), (25, 30)),
    ("nohup", WORKING, NEVER, NEVER),
    ("widget_heartbeat", IDLE, (55, 60), (25, 30)),
    ("model_server", IDLE, (55, 60), (10, 15)),
    ("download", WORKING, NEVER, NEVER),
]


def test_the_table_names_every_recording() -> None:
    assert {row[0] for row in TABLE} == {path.stem for path in SAMPLES.glob("*.json")}


@pytest.mark.parametrize(("name", "activity", "on_cpu", "on_gpu"), TABLE, ids=[row[0] for row in TABLE])
def test_a_recorded_scenario(
    name: str, activity: Activity, on_cpu: tuple[int | None, int | None], on_gpu: tuple[int | None, int | None]
) -> None:
    for limits, gpu, (notice, stop) in ((CPU, None, on_cpu), (GPU, 0.0, on_gpu)):
        run = Replay(limits).run(unending(recorded(name), gpu=gpu))
        assert run.activity is activity
        assert run.judgements[-1].why is not Why.UNKNOWN
        assert near(run.minutes_of(NoticeKind.IDLE), [] if notice is None else [notice])
        assert near([] if run.ended is None else [run.ended], [] if stop is None else [stop])


def near(found: list[int] | list[float], expected: list[int]) -> bool:
    """Real idleness is found within two minutes of its time, and never before it."""
    return len(found) == len(expected) and all(0 <= a - b <= 2 for a, b in zip(found, expected, strict=True))


def test_an_unused_lab_is_below_the_baseline() -> None:
    quiet = [window for name in ("lab_left_open", "lab_closed", "model_server") for window in recorded(name)]
    assert max(window.processors for window in quiet) < RULES.baseline
    used = [window for name in ("training", "job_in_a_terminal", "nohup") for window in recorded(name)]
    assert min(window.processors for window in used) > RULES.baseline + RULES.working


def test_work_on_the_gpu_keeps_an_instance_whatever_else_is_seen() -> None:
    run = Replay(GPU).run(unending(recorded("lab_closed"), gpu=0.4))
    assert (run.activity, run.judgements[-1].why, run.ended, run.notices) == (WORKING, Why.GPU, None, [])


def test_a_gpu_instance_that_works_on_its_processor_only_is_offered_cpu_once() -> None:
    run = Replay(GPU).run(unending(recorded("training"), gpu=0.0))
    assert near(run.minutes_of(NoticeKind.CPU_OFFER), [45])
    assert (run.ended, run.activity) == (None, WORKING)
    for limits, gpu in ((GPU, None), (GPU, 0.1), (CPU, 0.0)):
        run = Replay(limits).run(unending(recorded("training"), gpu=gpu))
        assert run.notices == [], "unknown is not unused, and a CPU flavor has no GPU"


def test_a_model_that_holds_memory_and_computes_nothing_is_not_in_use() -> None:
    run = Replay(GPU).run(unending(recorded("model_server"), gpu=0.0))
    assert near([run.ended or 0], [15])


@pytest.mark.parametrize("step", [3 * 3600, -3 * 3600, 400, -30])
@pytest.mark.parametrize("name", ["sleep_in_a_cell", "lab_left_open"])
def test_a_clock_that_is_set_shortens_nothing(name: str, step: float) -> None:
    for at in (5, 57):  # before the notice, and while it stands
        run = Replay().run(unending(recorded(name)), steps={at: step}, minutes=300)
        assert run.ended is not None
        assert run.ended >= 60
        notice = run.minutes_of(NoticeKind.IDLE)[-1]
        assert run.ended - notice >= 5
        # A notice names a time. Where the clock was set back, that time comes later, and the stop is not before it.
        assert run.ended <= 64 + max(0, -step / 60)


def test_an_instance_that_reports_nothing_is_judged_from_outside_and_later() -> None:
    def silent(use: SlotUse, _: Report) -> tuple[SlotUse, None]:
        return use, None

    run = Replay().run(unending(recorded("lab_closed")), change=silent)
    assert near([run.ended or 0], [120])
    assert run.asked < 40, "it is not asked each minute"
    assert Replay().run(unending(recorded("training")), change=silent).ended is None


def test_what_cannot_be_seen_is_not_idle() -> None:
    run = Replay().run(unending(recorded("lab_closed")), change=lambda *_: (None, None), minutes=600)
    assert (run.ended, run.notices, run.judgements[-1].why) == (None, [], Why.UNKNOWN)


def test_without_counters_from_outside_the_report_decides() -> None:
    def inside_only(_: SlotUse, report: Report) -> tuple[None, Report]:
        return None, replace(report, network=None)

    assert near([Replay().run(unending(recorded("lab_closed")), change=inside_only).ended or 0], [60])
    busy = Replay().run(unending(recorded("sleep_in_a_cell")), change=inside_only)
    assert (busy.ended, busy.activity) == (None, WORKING), "what a busy kernel uses is unknown, so it may be all"


def test_the_same_measurement_twice_says_nothing_about_the_time_since() -> None:
    def stuck(use: SlotUse, _: Report) -> tuple[SlotUse, None]:
        return SlotUse(processors=0.0, stamp="2026-03-01T12:00:00Z"), None

    assert Replay().run(unending(recorded("training")), change=stuck).ended is None


def test_the_page_has_the_table() -> None:
    assert table() in (PROJECT / "docs" / "idle.md").read_text(), "run python -m tests.idle.table"
    assert set(ORDER) == {row[0] for row in TABLE}


def test_each_recording_names_its_source() -> None:
    for path in SAMPLES.glob("*.json"):
        source = json.loads(Path(path).read_text())["source"]
        assert {"scenario", "by", "on", "with"} <= set(source)
