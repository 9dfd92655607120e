"""The administrators' page of what was noticed about notebooks: found in the menu, accessible, without a script."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from spawner.desk.i18n import load_translations
from spawner.ledger.people import people
from spawner.ledger.people.rows import HubUser
from spawner.ledger.pool import guard_notes
from spawner.ledger.pool.rows import GuardKind, GuardNote
from spawner.ledger.pool.tables import guard_notes as table
from spawner.pool.build import new_id, utc_now
from tests.browser.axe import findings
from tests.browser.test_looks import PHONE, assert_fits
from tests.browser.visitor import Visitor, heading
from tests.stack import Stack

EVIDENCE = {
    GuardKind.BUSY: {"percent": 97, "minutes": 120, "away": True},
    GuardKind.PROCESS: {"names": ["xmrig"]},
    GuardKind.PLACE: {"places": ["203.0.113.80:3333", "[2001:db8::80]:14444"]},
}


@pytest.fixture
def notes(shared_stack: Stack) -> Iterator[None]:
    """A note of each kind, of one person."""
    now = utc_now()
    user = HubUser(secrets.randbelow(1 << 30), "ann-with-a-rather-long-name@example.org", "2026-01-01T00:00:00Z")
    person = shared_stack.ledger.write(people.of_user, user, new_id=new_id, now=now)
    for kind, evidence in EVIDENCE.items():
        note = GuardNote(new_id(), person.id, "0" * 16, kind, evidence, now - timedelta(hours=2), now, now)
        shared_stack.ledger.write(guard_notes.put, note)
    yield
    shared_stack.ledger.write(lambda connection: connection.execute(table.delete()))


@pytest.mark.parametrize(
    ("language", "options"),
    [("en", {}), ("zh-CN", {"viewport": PHONE, "has_touch": True, "is_mobile": True})],
    ids=["desktop in English", "phone in Chinese"],
)
def test_notes_are_read_and_taken_away(
    language: str,
    options: dict[str, object],
    enter: Callable[..., Visitor],
    shared_stack: Stack,
    notes: None,
    picture: Callable[..., None],
) -> None:
    name, say = f"admin-{secrets.token_hex(3)}", load_translations()[language].say
    assert shared_stack.api("POST", f"/users/{name}", json={"admin": True}).status_code == 201
    page: Page = enter(name, locale=language, **options).open_desk()
    page.locator(".account summary").click()
    page.get_by_role("link", name=say("Operations")).click()
    page.get_by_role("main").get_by_role("link", name=say("Unusual use")).click()
    expect(heading(page)).to_have_text(say("Unusual use"))
    rows = page.get_by_role("row")
    expect(rows).to_have_count(1 + len(EVIDENCE))
    expect(page.get_by_role("main")).to_contain_text("203.0.113.80:3333, [2001:db8::80]:14444")
    if options:
        assert_fits(page)
    picture(page, "notes", full_page=True)
    assert findings(page, "notes") == []
    for left in range(len(EVIDENCE), 0, -1):
        page.get_by_role("button", name=say("Mark as OK")).first.click()
        expect(rows).to_have_count(left if left > 1 else 0)
    expect(page.get_by_role("main")).to_contain_text(say("Nothing unusual was seen."))
