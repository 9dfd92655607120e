"""The administrators' page of the guard's notes, on a whole platform whose steward looks by itself."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, timedelta

import pytest

from spawner.desk.zones import time_text
from spawner.ledger.people import people
from spawner.ledger.people.rows import HubUser
from spawner.ledger.pool import guard_notes
from spawner.ledger.pool.rows import GuardKind, GuardNote
from spawner.ledger.pool.tables import guard_notes as table
from spawner.pool.build import new_id, utc_now
from tests.api.conftest import Caller
from tests.api.test_requests import error_of
from tests.stack import Stack, eventually

CHINESE = {"Accept-Language": "zh-CN"}


@pytest.fixture
def note(shared_stack: Stack) -> Iterator[GuardNote]:
    """A note about somebody's notebook, whose name would be markup if it could."""
    now = utc_now()
    user = HubUser(secrets.randbelow(1 << 30), f"<b>ann-{new_id()}", "2026-01-01T00:00:00Z")
    person = shared_stack.ledger.write(people.of_user, user, new_id=new_id, now=now)
    made = GuardNote(
        id=new_id(),
        person_id=person.id,
        instance_id=new_id(),
        kind=GuardKind.PROCESS,
        evidence={"names": ["xmrig", "<i>minerd"]},
        since=now - timedelta(minutes=7),
        noted_at=now,
        seen_at=now,
    )
    yield shared_stack.ledger.write(guard_notes.put, made)
    shared_stack.ledger.write(lambda connection: connection.execute(table.delete()))


def test_a_note_is_shown_in_both_languages_with_a_way_to_its_person(admin: Caller, note: GuardNote) -> None:
    eventually(lambda: "Last check:" in admin.get("admin/guard").text, seconds=30, what="the steward's first look")
    page = admin.get("admin/guard").text
    assert "Programs with these names run in it: xmrig, &lt;i&gt;minerd." in page
    assert f'href="/services/desk/admin/people/{note.person_id}"' in page
    assert "&lt;b&gt;ann-" in page
    assert "<b>ann-" not in page
    assert time_text(note.since, UTC, "en") in page
    assert "cannot be seen" not in page, "this machine's pool sees all of it"
    chinese = admin.get("admin/guard", headers=CHINESE).text
    assert "其中运行着以下名称的程序：xmrig" in chinese
    assert "异常使用" in chinese


def test_a_dismissed_note_is_shown_no_more(admin: Caller, note: GuardNote) -> None:
    path = f"admin/guard/{note.id}/dismiss"
    assert admin.post(path, follow_redirects=False).status_code == 303
    assert "xmrig" not in admin.get("admin/guard").text
    assert "Nothing unusual was seen." in admin.get("admin/guard").text
    (kept,) = admin.stack.ledger.read(guard_notes.of_person, note.person_id)
    assert (kept.dismissed_by, kept.dismissed_at is not None) == (admin.user, True)
    again = admin.post(path)
    assert again.status_code == 409
    assert "This note is no longer open." in again.text


def test_users_see_no_note_and_dismiss_none(caller: Caller, note: GuardNote) -> None:
    page = caller.get("admin/guard")
    assert page.status_code == 403
    assert "xmrig" not in page.text
    assert caller.post(f"admin/guard/{note.id}/dismiss").status_code == 403
    assert caller.stack.ledger.read(guard_notes.of_person, note.person_id)[0].dismissed_at is None
    assert error_of(caller.get("api/admin"), 403)["code"] == "not_allowed"
