"""A change of one session wakes the streams of that session, and of no other."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

from spawner.desk.changes import ChangeNotifier
from spawner.desk.user.session_changes import SessionChanges, read_marks
from spawner.ledger import Ledger
from spawner.ledger.pool import admin_settings, instances
from spawner.ledger.time import extensions, notices
from spawner.ledger.time.rows import Answer, Extension, ExtensionKind
from spawner.pool.admin.settings import DRAIN
from tests.ledger.pool import SimulatedPool
from tests.ledger.test_session_notices import NOTICE
from tests.unit import make

SECONDS = 10.0
"""A wait that is only ever cut short by what it waits for."""


def rivals(flavor: str) -> frozenset[str]:
    return frozenset({flavor})


async def test_each_change_wakes_its_own_session_only(sqlite_ledger: Ledger) -> None:
    ledger = sqlite_ledger
    pool = SimulatedPool(ledger, make.catalog(make.flavor(limit=2), make.flavor("large", limit=1)))
    ann, bob = pool.start("ann"), pool.start("bob", flavor="large")
    assert ann.ends_at is not None
    changes = SessionChanges(ledger, ChangeNotifier(ledger), rivals)
    notice = replace(NOTICE, instance_id=ann.id)
    later = ann.ends_at + timedelta(hours=1)
    extension = Extension("e1", ann.id, "ann", ExtensionKind.CLICK, 60, pool.time)
    with ExitStack() as streams:
        for one in (ann, bob):
            streams.enter_context(changes.listening(one.id))
        assert await changes.wait(changes.waiter(ann.id), seconds=SECONDS), "the first look wakes all"

        async def woken(write: object, *arguments: object, **named: object) -> tuple[bool, bool]:
            of_ann, of_bob = changes.waiter(ann.id), changes.waiter(bob.id)
            await ledger.awrite(write, *arguments, **named)  # type: ignore[arg-type]
            is_woken = await changes.wait(of_ann, seconds=SECONDS)
            return is_woken, await changes.wait(of_bob, seconds=0.05)

        assert await woken(notices.write, notice) == (True, False)
        assert await woken(notices.answer, notice.id, Answer.DISMISSED, pool.time) == (True, False)
        assert await woken(instances.move_end, ann.id, expected=ann.ends_at, ends_at=later) == (True, False)
        await ledger.awrite(extensions.put, extension)
        assert await woken(admin_settings.put, DRAIN, {"at": None, "reason": ""}, by="root", now=pool.time) == (
            True,
            True,
        )
        of_ann = changes.waiter(ann.id)
        await ledger.awrite(notices.mark_seen, [notice.id], "lab", pool.time)
        pool.end(bob)
        assert not await changes.wait(of_ann, seconds=0.5), "neither what was seen, nor another one's end"


async def test_a_change_wakes_a_stream_that_has_sent_again_meanwhile(sqlite_ledger: Ledger) -> None:
    """A stream without a change sends every ten seconds, and goes on waiting for the same one."""
    pool = SimulatedPool(sqlite_ledger, make.catalog(make.flavor()))
    ann = pool.start("ann")
    changes = SessionChanges(sqlite_ledger, ChangeNotifier(sqlite_ledger), rivals)
    with changes.listening(ann.id):
        assert await changes.wait(changes.waiter(ann.id), seconds=SECONDS), "the first look wakes all"
        waiter = changes.waiter(ann.id)
        assert not await changes.wait(waiter, seconds=0.01)
        await sqlite_ledger.awrite(notices.write, replace(NOTICE, instance_id=ann.id))
        assert await changes.wait(waiter, seconds=SECONDS)


def test_the_mark_of_a_session_says_who_waits_for_its_flavor(ledger: Ledger) -> None:
    pool = SimulatedPool(ledger, make.catalog(make.flavor(limit=1), make.flavor("large", limit=1)))
    ann, bob = pool.start("ann"), pool.start("bob", flavor="large")
    before = ledger.read(read_marks, rivals)
    pool.ask("carl")
    after = ledger.read(read_marks, rivals)
    assert (after[ann.id] != before[ann.id], after[bob.id] == before[bob.id]) == (True, True)
    pool.end(ann)
    pool.finish_endings()
    assert ledger.read(read_marks, rivals).keys() == {bob.id}
