"""No session ends before its user was told in time, whatever the steward, a clock or a database did."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from spawner.catalog import Sessions
from spawner.ledger import Instance, InstanceState
from spawner.ledger.time.rows import Extension, ExtensionKind, NoticeKind, SessionNotice
from spawner.pool.time.deadlines import Deadlines, Run, decide
from spawner.pool.time.notices import LEAST_NOTICE, current, mark_of
from tests.unit import make
from tests.unit.make import NOW

RULES = Sessions()
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
ASKED = SECOND
"""One round, in which the instance is asked whether a cell runs."""


def later(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


@dataclass
class Session:
    """A session that began at `NOW`, as the rows have it. `step` is one round of the steward."""

    minutes: float = 240
    rules: Sessions = RULES
    closes_at: datetime | None = None
    wanted: frozenset[str] = frozenset()
    busy: bool | None = False
    instance: Instance = field(init=False)
    notices: list[SessionNotice] = field(default_factory=list)
    extensions: list[Extension] = field(default_factory=list)
    ended_at: datetime | None = None
    answers: dict[str, bool | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.instance = make.instance("i", usable_at=NOW, ends_at=later(self.minutes))

    @property
    def end(self) -> datetime:
        assert self.instance.ends_at is not None
        return self.instance.ends_at

    def due(self, now: datetime) -> Deadlines:
        run = Run(self.instance, tuple(self.notices), tuple(self.extensions))
        return decide([run], self.rules, now=now, closes_at=self.closes_at, wanted=self.wanted, busy=self.answers)

    def step(self, now: datetime) -> None:
        """What the steward writes for what is due."""
        if self.ended_at is not None:
            return
        due = self.due(now)
        for one in due.notices:
            self.write(one.kind, one.mark, one.due_at, now, one.params)
            if one.moves_end:
                self.instance = replace(self.instance, ends_at=one.due_at)
        for grace in due.graces:
            seconds = int((grace.ends_at - self.end).total_seconds())
            self.extensions.append(Extension("g", "i", "ann", ExtensionKind.GRACE, seconds, now))
            mark = mark_of(NoticeKind.GRACE, grace.ends_at, seconds // 60)
            self.write(NoticeKind.GRACE, mark, grace.ends_at, now, {"minutes": seconds // 60})
            self.instance = replace(self.instance, ends_at=grace.ends_at)
        for _ in due.ask:
            self.answers["i"] = self.busy
        if due.may_end or (self.closes_at is not None and self.closes_at <= now):
            self.ended_at = now

    def write(self, kind: NoticeKind, mark: str, due_at: datetime, now: datetime, params: dict[str, int]) -> None:
        assert mark not in [one.mark for one in self.notices], "the database has each mark once"
        self.notices.append(SessionNotice(f"n{len(self.notices)}", "i", "ann", kind, mark, due_at, now, dict(params)))

    def extend(self, minutes: int = 60) -> None:
        self.instance = replace(self.instance, ends_at=self.end + timedelta(minutes=minutes))

    def run(self, since: datetime, until: datetime, every: timedelta = SECOND) -> None:
        """Rounds of the steward."""
        now = since
        while now <= until and self.ended_at is None:
            self.step(now)
            now += every

    @property
    def said(self) -> list[tuple[float, int]]:
        """When each notice was written, in minutes since the start, and what it said."""
        return [(round((one.written_at - NOW) / MINUTE), one.params["minutes"]) for one in self.notices]


def test_the_user_is_told_four_times_and_the_session_ends_at_its_time() -> None:
    session = Session()
    session.run(later(200), later(250))
    assert session.said == [(210, 30), (230, 10), (235, 5), (239, 1)]
    assert session.ended_at is not None
    assert session.ended_at - later(240) < 2 * SECOND


def test_a_session_that_is_far_from_its_end_is_told_nothing() -> None:
    assert Session().due(later(209)) == Deadlines()
    starting = Session()
    starting.instance = replace(starting.instance, state=InstanceState.STARTING, ends_at=None)
    assert starting.due(later(239)) == Deadlines()


def test_a_steward_that_was_away_for_two_hours_over_an_end_tells_and_waits() -> None:
    session = Session()
    session.run(later(360), later(370))
    assert session.said == [(360, 5), (364, 1)]
    assert session.end == later(365)
    assert session.ended_at is not None
    assert timedelta() <= session.ended_at - later(365) < 2 * SECOND


def test_a_steward_that_comes_back_before_the_end_says_what_is_true_now() -> None:
    early = Session()
    early.run(later(232), later(250))
    assert early.said == [(232, 8), (235, 5), (239, 1)], "one notice in place of two that were missed"
    assert early.end == later(240)
    late = Session()
    late.run(later(237), later(250))
    assert late.said == [(237, 5), (241, 1)]
    assert late.end == later(242), "the end has moved: three minutes are too few"
    assert late.ended_at == later(242) + ASKED


def test_a_steward_that_is_away_after_a_notice_ends_the_session_when_it_is_back() -> None:
    session = Session()
    session.run(later(229), later(231))
    session.run(later(300), later(310))
    assert session.ended_at == later(300)


def test_a_notice_of_an_end_that_was_extended_away_is_none_of_the_new_end() -> None:
    session = Session()
    session.run(later(229), later(231))
    session.extend()
    session.run(later(320), later(330))
    assert session.said[-2:] == [(320, 5), (324, 1)]
    assert session.ended_at == later(325) + ASKED


def test_an_extended_session_is_told_again() -> None:
    session = Session()
    session.run(later(200), later(236))
    session.extend()
    session.run(later(236), later(310))
    assert session.said == [(210, 30), (230, 10), (235, 5), (270, 30), (290, 10), (295, 5), (299, 1)]


@pytest.mark.parametrize(("minutes", "said"), [(1, [1]), (3, [3, 1]), (5, [5, 1]), (7, [5, 1]), (20, [10, 5, 1])])
def test_a_short_session_is_told_at_its_start_and_ends_at_its_time(minutes: int, said: list[int]) -> None:
    session = Session(minutes)
    session.run(NOW + SECOND, later(40))
    assert [told for _, told in session.said] == said
    assert session.ended_at is not None
    assert session.ended_at - later(minutes) < 3 * SECOND


def test_a_database_restored_from_yesterday_ends_nothing_without_a_notice() -> None:
    session = Session()
    session.run(later(200), later(236))
    session.notices.clear()  # they were written after the copy was made, as was the extension that moved the end
    session.run(later(24 * 60), later(24 * 60 + 10))
    assert session.said[0] == (24 * 60, 5)
    assert session.ended_at == later(24 * 60 + 5) + ASKED


def test_clocks_that_step_back_or_forward_end_nothing_without_a_notice() -> None:
    back = Session()
    back.run(later(200), later(236))
    back.run(later(200), later(250))  # an hour again
    assert back.said == [(210, 30), (230, 10), (235, 5), (239, 1)], "nothing is told twice"
    forward = Session()
    forward.run(later(100), later(101))
    forward.run(later(500), later(510))
    assert forward.ended_at == later(505) + ASKED


def test_an_end_before_the_beginning_is_announced_like_any_other() -> None:
    session = Session(-120)
    session.run(later(0), later(10))
    assert session.said == [(0, 5), (4, 1)]
    assert session.ended_at == later(5) + ASKED


def test_a_busy_cell_gets_grace_once() -> None:
    session = Session(busy=True)
    session.run(later(200), later(300))
    assert [one.kind for one in session.notices[4:]] == [NoticeKind.GRACE, NoticeKind.DEADLINE, NoticeKind.DEADLINE]
    assert [told for _, told in session.said[4:]] == [10, 5, 1]
    assert session.end == later(250)
    assert session.ended_at is not None
    assert session.ended_at - later(250) < 2 * SECOND


@pytest.mark.parametrize(
    "session",
    [
        Session(busy=False),
        Session(busy=None),
        Session(busy=True, wanted=frozenset({"small"})),
        Session(busy=True, rules=Sessions(grace_minutes=0)),
    ],
    ids=["no cell runs", "the instance does not say", "somebody waits", "the catalog gives none"],
)
def test_others_get_no_grace(session: Session) -> None:
    session.run(later(200), later(300))
    assert not session.extensions
    assert session.ended_at is not None
    assert session.ended_at - later(240) < 2 * SECOND


def test_an_instance_that_does_not_answer_delays_the_end_by_seconds() -> None:
    session = Session()
    session.run(later(200), later(239.9))
    for seconds in range(5):
        due = session.due(later(240) + seconds * SECOND)
        assert ([one.id for one in due.ask], due.may_end) == (["i"], set())
    assert session.due(later(240) + 5 * SECOND).may_end == {"i"}


def test_maintenance_is_announced_and_ends_at_its_time() -> None:
    session = Session(closes_at=later(100), busy=True)
    session.run(later(60), later(110))
    assert {one.kind for one in session.notices} == {NoticeKind.MAINTENANCE}
    assert session.said == [(70, 30), (90, 10), (95, 5), (99, 1)]
    assert session.ended_at == later(100)
    sudden = Session(closes_at=later(62))
    sudden.run(later(60), later(70))
    assert sudden.said == [(60, 2), (61, 1)]
    assert sudden.ended_at == later(62), "an administrator's time holds"


def test_a_sudden_maintenance_that_is_called_off_is_no_notice_in_time() -> None:
    session = Session(closes_at=later(239))
    session.run(later(238), later(238.5))
    session.closes_at = None
    session.run(later(238.5), later(250))
    assert session.end == later(243)
    assert session.ended_at is not None
    assert session.ended_at >= later(243)


def test_no_grace_reaches_into_maintenance() -> None:
    session = Session(closes_at=later(245), busy=True)
    session.run(later(200), later(250))
    assert session.ended_at is not None
    assert session.ended_at - later(240) < 2 * SECOND


def test_pages_show_the_last_notice_of_the_end_that_holds() -> None:
    session = Session()
    session.run(later(200), later(236))
    assert [one.params for one in current(session.notices, end=session.end, now=later(236))] == [{"minutes": 5}]
    assert current(session.notices, end=later(300), now=later(236)) == [], "it was extended away"
    idle = SessionNotice("x", "i", "ann", NoticeKind.IDLE, "idle:1", later(240), later(235), {})
    offer = replace(idle, id="y", kind=NoticeKind.CPU_OFFER, due_at=later(230))
    assert current([idle, offer], end=None, now=later(239)) == [idle, offer]
    assert current([idle, offer], end=None, now=later(241)) == [offer]


def rounds(chance: random.Random, until: float) -> Iterator[datetime]:
    """Times of the steward's rounds, in which it is away now and then."""
    minutes = 0.0
    while minutes < until:
        yield later(minutes)
        minutes += chance.choice(
            [0.02, 0.2, 0.2, 1, 1, chance.uniform(1, 40), chance.uniform(40, 200)][: chance.randint(4, 7)]
        )


def test_ten_thousand_sessions_end_with_a_notice_that_was_written_in_time() -> None:
    chance = random.Random(16)
    ended = 0
    for _ in range(10_000):
        minutes = chance.choice([1, 3, 4, 5, 6, 8, 15, 30, 45, 60])
        warn = chance.choice([(30, 10, 5, 1), (10, 5), (5,), (20, 6, 2)])
        session = Session(minutes, Sessions(warn_minutes=warn), busy=chance.choice([True, False, None]))
        extended, begun = 0, minutes - 35 if minutes > 35 else 0.0
        for offset in rounds(chance, 300):
            now = offset + timedelta(minutes=begun)
            session.step(now)
            if session.ended_at is not None:
                break
            if extended < 2 and chance.random() < 0.02:
                session.extend(chance.choice([1, 4, 10, 60]))
                extended += 1
            if chance.random() < 0.01:  # the database comes back from a copy, or its notices are lost
                session.notices = session.notices[: chance.randint(0, len(session.notices))]
        if session.ended_at is None:
            continue
        ended += 1
        told = [one for one in session.notices if one.due_at <= session.ended_at + SECOND]
        assert told, session
        least = min(LEAST_NOTICE, timedelta(minutes=minutes))
        assert session.ended_at - min(one.written_at for one in told) >= least, session
        assert any(abs(one.due_at - session.end) <= LEAST_NOTICE + session_grace(session) for one in told), session
        assert session.ended_at >= session.end, "no session ends before the time that pages show"
    assert ended > 9_000


def session_grace(session: Session) -> timedelta:
    return timedelta(seconds=sum(one.seconds for one in session.extensions))
