"""Notices of a session are written once, to one person, and keep who saw and answered them first."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from spawner.ledger import InstanceState, Ledger
from spawner.ledger.pool import instances
from spawner.ledger.time import extensions, notices
from spawner.ledger.time.rows import Answer, Extension, ExtensionKind, NoticeKind, SessionNotice
from spawner.ledger.transitions import revision
from tests.ledger.conftest import Together
from tests.ledger.rows import NOW, instance_in, later

NOTICE = SessionNotice("n1", "i1", "ann", NoticeKind.DEADLINE, "deadline:1:10", later(600), NOW, {"minutes": 10})


def of(ledger: Ledger, instance_id: str = "i1") -> list[SessionNotice]:
    return ledger.read(notices.of_instance, instance_id)


def test_a_mark_is_written_once_in_its_instance(ledger: Ledger, together: Together[bool]) -> None:
    tasks = [lambda n=n: ledger.write(notices.write, replace(NOTICE, id=f"n{n}")) for n in range(8)]
    assert sorted(together(tasks)) == [False] * 7 + [True]
    assert ledger.write(notices.write, replace(NOTICE, id="other", instance_id="i2"))
    assert [(one.mark, one.params) for one in of(ledger)] == [("deadline:1:10", {"minutes": 10})]


def test_a_notice_reaches_open_pages_and_a_second_of_its_mark_does_not(ledger: Ledger) -> None:
    before = ledger.read(revision)
    ledger.write(notices.write, NOTICE)
    assert ledger.read(revision) == before + 1
    assert not ledger.write(notices.write, replace(NOTICE, id="n2"))
    assert ledger.read(revision) == before + 1


def test_the_first_page_that_shows_a_notice_is_kept(ledger: Ledger) -> None:
    ledger.write(notices.write, NOTICE)
    ledger.write(notices.write, replace(NOTICE, id="of-i2", instance_id="i2"))
    before = ledger.read(revision)
    assert ledger.write(notices.mark_seen, ["n1", "of-i2", "unknown"], "lab", later(1), instance_id="i1") == 1
    assert ledger.write(notices.mark_seen, ["n1"], "desk", later(2)) == 0
    assert ledger.write(notices.mark_seen, [], "desk", later(2)) == 0
    (one,) = of(ledger)
    assert (one.seen_at, one.seen_in) == (later(1), "lab")
    assert of(ledger, "i2")[0].seen_at is None, "another instance's"
    assert ledger.read(revision) == before, "no page shows it"


def test_the_first_answer_is_kept(ledger: Ledger) -> None:
    ledger.write(notices.write, NOTICE)
    assert not ledger.write(notices.answer, "n1", Answer.DISMISSED, later(1), instance_id="i2"), "another instance's"
    assert ledger.write(notices.answer, "n1", Answer.DISMISSED, later(1), instance_id="i1")
    assert not ledger.write(notices.answer, "n1", Answer.STILL_HERE, later(2))
    assert not ledger.write(notices.answer, "unknown", Answer.STILL_HERE, later(2))
    assert [(one.answer, one.answered_at) for one in of(ledger)] == [(Answer.DISMISSED, later(1))]


def test_notices_of_many_instances_are_read_at_once(ledger: Ledger) -> None:
    ledger.write(notices.write, NOTICE)
    ledger.write(notices.write, replace(NOTICE, id="n2", kind=NoticeKind.IDLE, mark="idle:1", written_at=later(1)))
    ledger.write(notices.write, replace(NOTICE, id="n3", instance_id="i2", written_at=later(2)))
    found = ledger.read(notices.of_instances, ["i1", "i2", "i3"])
    assert {name: [one.id for one in of_one] for name, of_one in found.items()} == {"i1": ["n1", "n2"], "i2": ["n3"]}
    found = ledger.read(notices.of_instances, ["i1", "i2"], [NoticeKind.IDLE])
    assert {name: [one.id for one in of_one] for name, of_one in found.items()} == {"i1": ["n2"]}
    assert ledger.read(notices.of_instances, []) == {}


def test_notices_and_extensions_are_deleted_with_their_old_instance(ledger: Ledger) -> None:
    instance_in(ledger, InstanceState.ENDED)
    ledger.write(notices.write, NOTICE)
    ledger.write(extensions.put, Extension("e1", "i1", "ann", ExtensionKind.CLICK, 3600, NOW))
    ended_at: datetime | None = ledger.read(instances.get, "i1").ended_at
    assert ended_at is not None
    assert ledger.write(instances.prune, before=ended_at) == 0
    assert len(of(ledger)) == 1
    assert ledger.write(instances.prune, before=later(10_000)) == 1
    assert (of(ledger), ledger.read(extensions.of_instance, "i1")) == ([], [])
    assert ledger.read(instances.history) == []
