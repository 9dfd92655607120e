"""The table of recorded scenarios in docs/idle.md: `python -m tests.idle.table` prints it."""

from __future__ import annotations

import json

from spawner.ledger.time.rows import Activity, NoticeKind
from spawner.pool.time.idle.judge import Why
from tests.idle.replay import CPU, GPU, SAMPLES, Replay, recorded, unending

ORDER = (
    "training",
    "job_in_a_terminal",
    "nohup",
    "download",
    "sleep_in_a_cell",
    "input_in_a_cell",
    "debugger",
    "lab_left_open",
    "lab_closed",
    "top_in_a_terminal",
    "widget_heartbeat",
    "model_server",
)
WHY = {
    Why.PROCESSOR: "it computes",
    Why.NETWORK: "it transfers data",
    Why.KERNEL: "a busy kernel that uses something",
    Why.TERMINAL: "a program in a terminal that uses something",
    Why.BUSY_KERNEL: "a busy kernel that uses nothing",
    Why.NOTHING: "nothing is used",
}
HEAD = """\
| recorded | processor | network | judged | because | CPU | GPU that computes nothing |
|---|---|---|---|---|---|---|"""


def row(name: str) -> str:
    """One recording: what it used at most, and what came of it."""
    source = json.loads((SAMPLES / f"{name}.json").read_text())["source"]
    windows = recorded(name)
    processors = max(window.processors for window in windows)
    network = max(window.network / window.seconds for window in windows)
    runs = [Replay(CPU).run(unending(windows)), Replay(GPU).run(unending(windows, gpu=0.0))]
    found = runs[0].activity
    why = next(one.why for one in reversed(runs[0].judgements) if one.state.activity is found)
    kept = [_fate(run) for run in runs]
    cells = [
        source["scenario"].removesuffix("."),
        f"{processors:.1%}",
        f"{network / 1000:.1f} kB/s",
        Activity(found).value,
        WHY[why],
        *kept,
    ]
    return f"| {' | '.join(cells)} |"


def _fate(run: Replay) -> str:
    if run.ended is not None:
        return f"stopped after {run.ended:.0f} min"
    offers = run.minutes_of(NoticeKind.CPU_OFFER)
    return f"goes on; CPU is offered after {offers[0]} min" if offers else "goes on"


def table() -> str:
    """The whole table."""
    return "\n".join([HEAD, *map(row, ORDER)])


if __name__ == "__main__":
    print(table())
