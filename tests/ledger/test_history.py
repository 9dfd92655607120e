"""A person's history page by page, and the use of allowances by week, on both databases."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, insert

from spawner.ledger import EndReason, Ledger
from spawner.ledger.pool import instances, run_history
from spawner.ledger.pool.run_history import Cursor, RunPage
from spawner.ledger.time import allowance_use
from spawner.ledger.time.allowance_use import ClassTotals, UseOfPerson
from spawner.ledger.time.rows import EndSource, ExtensionKind, GrantSource
from spawner.ledger.time.tables import allowance_charges, allowance_grants, allowance_holds, session_extensions
from tests.ledger.rows import NOW, later, request

WEEK = timedelta(days=7)


def write(ledger: Ledger, table: Table, **values: Any) -> None:
    ledger.write(lambda connection: connection.execute(insert(table).values(**values)))


def charged(
    ledger: Ledger, name: str, person: str = "ann", *, at: datetime = NOW, seconds: int = 3600, **changes: Any
) -> None:
    values: dict[str, Any] = {
        "instance_id": name, "person_id": person, "class_id": "gpu", "weight": 1.0, "began_at": at,
        "until": at + timedelta(seconds=seconds), "end_source": EndSource.STOP, "seconds": seconds, "refunded": 0,
        "refund_reason": None, "charged_at": at,
    }  # fmt: skip
    write(ledger, allowance_charges, **values | changes)


def held(ledger: Ledger, name: str, person: str = "ann", **changes: Any) -> None:
    values: dict[str, Any] = {
        "instance_id": name, "person_id": person, "class_id": "gpu", "weight": 1.0, "seconds": 7200, "taken_at": NOW,
        "released_at": None,
    }  # fmt: skip
    write(ledger, allowance_holds, **values | changes)


def given(ledger: Ledger, name: str, person: str = "ann", **changes: Any) -> None:
    values: dict[str, Any] = {
        "id": name, "person_id": person, "class_id": "gpu", "seconds": 36000, "valid_from": NOW,
        "valid_until": NOW + WEEK, "source": GrantSource.ADMIN, "reference": None, "reason": "course",
        "made_by": "root", "made_at": NOW,
    }  # fmt: skip
    write(ledger, allowance_grants, **values | changes)


def ended(ledger: Ledger, name: str, *, at: float, person: str = "ann", server: str = "") -> None:
    request(ledger, name, person=person, server=server, at=at, at_most=9)
    ledger.write(instances.mark_running, name, url="http://x", now=later(at + 1), ends_at=later(at + 60))
    ledger.write(instances.mark_stopping, name, reason=EndReason.STOPPED, now=later(at + 2))
    ledger.write(instances.mark_ended, name, now=later(at + 3))


def page(ledger: Ledger, before: Cursor | None = None, at_most: int = 2) -> RunPage:
    return ledger.read(run_history.page, "ann", before=before, at_most=at_most)


def test_pages_have_each_run_once_also_where_two_were_requested_at_the_same_time(ledger: Ledger) -> None:
    for name, at in (("a", 0), ("b", 10), ("c", 10), ("d", 20), ("e", 30)):
        ended(ledger, name, at=at, server=f"s{name}")
    ended(ledger, "x", at=15, person="bob")
    before, seen = None, []
    for _ in range(3):
        found = page(ledger, before)
        seen.append([run.instance.id for run in found.runs])
        before = Cursor.parse(str(found.following)) if found.following else None
    assert seen == [["e", "d"], ["c", "b"], ["a"]]
    assert before is None


def test_a_run_that_begins_meanwhile_moves_no_page(ledger: Ledger) -> None:
    for name, at in (("a", 0), ("b", 10), ("c", 20)):
        ended(ledger, name, at=at)
    first = page(ledger)
    ended(ledger, "new", at=30)
    assert [run.instance.id for run in page(ledger, first.following).runs] == ["a"]


def test_the_cursor_of_another_person_shows_nothing_of_theirs(ledger: Ledger) -> None:
    ended(ledger, "mine", at=0)
    ended(ledger, "theirs", at=10, person="bob")
    assert [run.instance.id for run in page(ledger, Cursor(later(10), "theirs")).runs] == ["mine"]


def test_a_run_has_its_charge_its_refunds_its_hold_and_by_how_much_it_was_extended(ledger: Ledger) -> None:
    ended(ledger, "over", at=0)
    request(ledger, "now", at=10)
    charged(ledger, "over", refunded=600, refund_reason="lost")
    given(ledger, "g1", source=GrantSource.REFUND, reference="over", seconds=60)
    given(ledger, "g2", source=GrantSource.REFUND, reference="now", seconds=60, person="bob")
    held(ledger, "now")
    held(ledger, "over", released_at=later(3))
    for number, seconds in enumerate((3600, 600)):
        write(
            ledger, session_extensions, id=f"x{number}", instance_id="over", person_id="ann", seconds=seconds,
            kind=ExtensionKind.CLICK, at=NOW,
        )  # fmt: skip
    now, over = page(ledger).runs
    assert over.charge is not None
    assert (over.charge.seconds, over.refunded, over.extended, over.hold) == (3600, 660, 4200, None)
    assert now.hold is not None
    assert (now.hold.seconds, now.charge, now.refunded, now.extended) == (7200, None, 0, 0)


def test_grants_are_listed_newest_first_and_only_those_of_the_person(ledger: Ledger) -> None:
    given(ledger, "g1", source=GrantSource.POLICY, seconds=None)
    given(ledger, "g2", made_at=later(5))
    given(ledger, "g3", person="bob", made_at=later(9))
    assert [(grant.id, grant.seconds) for grant in ledger.read(allowance_use.grants_of, "ann", at_most=9)] == [
        ("g2", 36000),
        ("g1", None),
    ]


def test_a_week_counts_the_runs_that_began_in_it(ledger: Ledger) -> None:
    charged(ledger, "a", at=NOW)
    charged(ledger, "b", "bob", at=NOW + timedelta(days=6), seconds=1000, refunded=400)
    charged(ledger, "c", at=NOW + timedelta(days=6), seconds=1)
    charged(ledger, "before", at=NOW - timedelta(microseconds=1))
    charged(ledger, "after", at=NOW + WEEK)
    charged(ledger, "cpu", at=NOW, class_id="cpu", seconds=7)
    weeks = ledger.read(allowance_use.week_of_classes, ["gpu", "cpu", "none"], begins=NOW, ends=NOW + WEEK)
    found = {week.class_id: (week.seconds, week.refunded, week.runs, week.people) for week in weeks}
    assert found == {"gpu": (4601, 400, 3, 2), "cpu": (7, 0, 1, 1)}


def test_who_used_and_holds_most_comes_first(ledger: Ledger) -> None:
    charged(ledger, "a", "ann", seconds=5000, refunded=4000)
    charged(ledger, "b", "bob", seconds=3000)
    charged(ledger, "c", "bob", seconds=500)
    charged(ledger, "old", "cleo", at=NOW - WEEK, seconds=90_000)
    held(ledger, "d", "dora", seconds=3600)
    held(ledger, "e", "ann", seconds=1, released_at=NOW)
    found = ledger.read(allowance_use.most_used, "gpu", since=NOW, at_most=3)
    assert found == [
        UseOfPerson("dora", "gpu", 0, 3600),
        UseOfPerson("bob", "gpu", 3500, 0),
        UseOfPerson("ann", "gpu", 1000, 0),
    ]
    assert ledger.read(allowance_use.most_used, "cpu", since=NOW, at_most=3) == []


def test_what_administrators_and_the_platform_gave_back_is_found(ledger: Ledger) -> None:
    given(ledger, "weekly", source=GrantSource.POLICY)
    given(ledger, "hand")
    given(ledger, "refund", source=GrantSource.REFUND, made_at=later(1))
    given(ledger, "old", valid_until=NOW - WEEK)
    assert [grant.id for grant in ledger.read(allowance_use.made_by_hand, valid_after=NOW, at_most=9)] == [
        "refund",
        "hand",
    ]
    charged(ledger, "a", refunded=1, refund_reason="lost")
    charged(ledger, "b")
    charged(ledger, "c", at=NOW - WEEK, refunded=1)
    assert [charge.instance_id for charge in ledger.read(allowance_use.refunded_charges, since=NOW, at_most=9)] == ["a"]
    assert ledger.read(allowance_use.charge_of, "c").refunded == 1  # type: ignore[union-attr]
    assert ledger.read(allowance_use.charge_of, "none") is None


def test_totals_count_this_week_without_unlimited_grants_and_debits(ledger: Ledger) -> None:
    given(ledger, "weekly", source=GrantSource.POLICY)
    given(ledger, "more", seconds=100)
    given(ledger, "refund", source=GrantSource.REFUND, seconds=30)
    given(ledger, "unlimited", "bob", source=GrantSource.POLICY, seconds=None)
    given(ledger, "debit", source=GrantSource.GRACE, seconds=-600)
    given(ledger, "last week's", valid_from=NOW - WEEK, valid_until=NOW)
    given(ledger, "next week's", valid_from=NOW + WEEK, valid_until=NOW + 2 * WEEK)
    charged(ledger, "a", seconds=500, refunded=20)
    charged(ledger, "across", at=NOW - timedelta(seconds=50), seconds=60)
    charged(ledger, "old", at=NOW - WEEK)
    held(ledger, "h")
    held(ledger, "h2", "bob", seconds=1, class_id="cpu")
    found = ledger.read(allowance_use.totals, since=NOW, now=NOW + timedelta(days=1))
    assert found == {
        "gpu": ClassTotals(granted=36100, charged=560, refunded=50, held=7200),
        "cpu": ClassTotals(held=1),
    }
