"""Sessions of people who work, leave and come back, on machines whose clocks, samples and reports fail."""

from __future__ import annotations

import random
from dataclasses import dataclass

from spawner.ledger.time.rows import NoticeKind
from spawner.pool.backends.base import SlotUse
from spawner.pool.time.idle.rules import Limits
from tests.idle.replay import LOOK, Replay, report

CHANGE, FAIL, STEP, ANSWER = 0.03, 0.05, 0.01, 0.1
"""Chances in each look: of other work, of a missing sample or report, of a clock step, of an answer to a notice."""
WORKS = {
    # processors, bytes a second, kernel busy, tab open, input
    "away": (0.005, 50, False, False, False),
    "tab": (0.01, 300, False, True, False),
    "types": (0.03, 500, False, True, True),
    "sleeps": (0.004, 50, True, False, False),
    "computes": (0.9, 100, True, False, False),
    "downloads": (0.04, 200_000, True, False, False),
}
USES = frozenset({"types", "computes", "downloads"})


@dataclass
class Session:
    """A session that has ended or ran for its time. `used_at`: the minute of the last use or answer."""

    replay: Replay
    used_at: float = 0.0

    @property
    def problem(self) -> str | None:
        """What was promised and not kept."""
        run = self.replay
        if run.ended is None:
            return None
        idle = [one for one in run.notices if one.kind is NoticeKind.IDLE]
        if not idle or idle[-1].answered_at is not None:
            return "ended without a notice that stands"
        if run.ended - run.written[idle[-1].id] < 5 - 1e-6:
            return f"ended {run.ended - run.written[idle[-1].id]:.1f} minutes after the notice"
        least = (run.limits.without_tab or 0) / 60
        if run.ended - self.used_at < least - 1e-6:
            return f"ended {run.ended - self.used_at:.1f} minutes after it was used"
        return None


def simulate(seed: int, *, minutes: int = 300) -> Session:
    """One session."""
    chance = random.Random(seed)
    limits = chance.choice([Limits(3600, 3600), Limits(1800, 900, has_gpu=True), Limits(600, 600)])
    session = Session(Replay(limits))
    run, work, processor, network, input_at = session.replay, "types", 0.0, 0, None
    for _ in range(minutes):
        if chance.random() < CHANGE:
            work = chance.choice(list(WORKS))
        processors, rate, busy, tab, types = WORKS[work]
        seconds = LOOK * chance.choice([1, 1, 1, 1, 1.2, 2, 30])
        processor += processors * seconds * chance.uniform(0.8, 1.2)
        network += round(rate * seconds)
        now = run.passed * 60 + seconds
        input_at = now if types else input_at
        failing = chance.random() < FAIL
        use = None if failing else SlotUse(seconds=processor, network=network, gpu=0.0 if limits.has_gpu else None)
        said = None
        if chance.random() > FAIL:
            said = report(now=now, busy_seconds=999.0 if busy else None, tabs=int(tab), input_at=input_at)
        step = chance.choice([-7200, -60, 60, 600, 86400]) if chance.random() < STEP else 0.0
        if work in USES:
            session.used_at = run.passed + seconds / 60
        if chance.random() < STEP:
            run.state = None  # what another version of Freepool wrote
        run.look(use, said, seconds=seconds, step=step)
        if run.ended is not None:
            break
        standing = [one for one in run.notices if one.answered_at is None and one.kind is NoticeKind.IDLE]
        if standing and chance.random() < ANSWER:
            run.answer(standing[-1].id)
            session.used_at = run.passed
    return session
