"""Replays recorded use in virtual time: what the steward would judge, send and end. Nothing is asked or written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from spawner.ledger import Instance, InstanceState
from spawner.ledger.time.rows import Activity, Answer, NoticeKind, SessionNotice
from spawner.pool.backends.base import SlotUse
from spawner.pool.time.idle.judge import Judgement, Look, judge, should_ask
from spawner.pool.time.idle.report import Report, parse_report
from spawner.pool.time.idle.rules import Limits, Rules
from spawner.pool.time.idle.state import State
from spawner.steward.idle import decide

SAMPLES = Path(__file__).parent / "samples"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LOOK = 60.0
CPU = Limits(60 * 60, 60 * 60)
GPU = Limits(30 * 60, 15 * 60, has_gpu=True)
RULES = Rules()


@dataclass(frozen=True)
class Window:
    """About a minute of a recording: seconds, processor seconds, bytes, and the report at its end."""

    seconds: float
    processor: float
    network: int
    report: Report

    @property
    def processors(self) -> float:
        """Processors in use on average."""
        return self.processor / self.seconds


def recorded(name: str) -> list[Window]:
    """The windows of a recording."""
    looks = json.loads((SAMPLES / f"{name}.json").read_text())["looks"]
    windows, last = [], looks[0]
    for look in looks[1:]:
        if look["at"] - last["at"] >= LOOK - 1:
            report = parse_report(json.dumps(look["report"]).encode())
            assert report is not None
            seconds, before = look["use"], last["use"]
            windows.append(
                Window(
                    look["at"] - last["at"],
                    seconds["seconds"] - before["seconds"],
                    seconds["network"] - before["network"],
                    report,
                )
            )
            last = look
    return windows


def unending(windows: list[Window], *, gpu: float | None = None) -> Iterator[tuple[SlotUse, Report]]:
    """What each look of a minute finds if the recording goes on and on."""
    processor, network = 0.0, 0
    for number in count():
        window = windows[number % len(windows)]
        processor += window.processors * LOOK
        network += round(window.network / window.seconds * LOOK)
        yield SlotUse(seconds=processor, network=network, gpu=gpu), window.report


INSTANCE = Instance(
    id="i1",
    person_id="ann",
    user_name="ann",
    server_name="",
    flavor="small",
    image="cpu",
    example=None,
    state=InstanceState.RUNNING,
    hub_epoch="1",
    slot_id="s1",
    url="http://x",
    requested_at=NOW,
    usable_at=NOW,
    ends_at=None,
    stopping_at=None,
    ended_at=None,
    reason=None,
    detail=None,
)


@dataclass
class Replay:
    """One instance in virtual time. `passed` is real minutes, whatever the clock shows."""

    limits: Limits = CPU
    rules: Rules = RULES
    clock: datetime = NOW
    passed: float = 0.0
    state: State | None = None
    notices: list[SessionNotice] = field(default_factory=list)
    written: dict[str, float] = field(default_factory=dict)
    """When each notice was written, in minutes passed."""
    judgements: list[Judgement] = field(default_factory=list)
    ended: float | None = None
    asked: int = 0

    def look(self, use: SlotUse | None, report: Report | None, *, seconds: float = LOOK, step: float = 0.0) -> None:
        """One look after so many seconds; the clock is set by `step` seconds before it."""
        self.passed += seconds / 60
        self.clock += timedelta(seconds=seconds + step)
        look = Look(self.clock, use, elapsed=seconds)
        judgement = judge(self.state, look, self.limits, self.rules)
        if should_ask(judgement, self.rules):
            self.asked += 1
            judgement = judge(self.state, replace(look, report=report), self.limits, self.rules)
            judgement = replace(judgement, state=replace(judgement.state, asked=0.0))
        new_id = f"n{len(self.notices)}"
        outcome = decide(INSTANCE, judgement, self.notices, self.clock, lambda: new_id, self.rules)
        self.judgements.append(outcome.judgement)
        stored = State.from_json(json.loads(json.dumps(outcome.judgement.state.to_json())))
        assert stored is not None, "what is written can be read"
        self.state = stored
        for notice in (outcome.notice, outcome.offer):
            if notice is not None:
                assert notice.mark not in {one.mark for one in self.notices}, "its mark is new"
                self.notices.append(notice)
                self.written[notice.id] = self.passed
        if outcome.withdrawn is not None:
            self.answer(outcome.withdrawn)
        if outcome.is_over:
            self.ended = self.passed

    def answer(self, notice_id: str) -> None:
        """The person is still here."""
        self.notices = [
            replace(one, answered_at=self.clock, answer=Answer.STILL_HERE) if one.id == notice_id else one
            for one in self.notices
        ]

    def run(
        self,
        looks: Iterator[tuple[SlotUse, Report]],
        *,
        minutes: float = 240,
        change: Callable[[SlotUse, Report], tuple[SlotUse | None, Report | None]] = lambda use, report: (use, report),
        steps: dict[int, float] | None = None,
    ) -> Replay:
        """Looks until it ends, at most for so many minutes. `steps`: by look, how the clock is set before it."""
        for number in range(int(minutes)):
            self.look(*change(*next(looks)), step=(steps or {}).get(number, 0.0))
            if self.ended is not None:
                break
        return self

    @property
    def activity(self) -> Activity:
        """What most looks found."""
        found = [one.state.activity for one in self.judgements if one.is_known]
        return max(set(found), key=found.count)

    def minutes_of(self, kind: NoticeKind) -> list[int]:
        """When notices of a kind were written."""
        return [round(self.written[one.id]) for one in self.notices if one.kind is kind]


def report(**changes: Any) -> Report:
    """A report of an instance in which nothing happens, with a tab open."""
    return replace(Report(now=1_000_000.0, tabs=1), **changes)
