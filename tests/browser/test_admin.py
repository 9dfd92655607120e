"""An operator at the page: everything is seen at once, changed by keyboard or mouse, and nothing leaves this page."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from spawner.desk.admin.strings import ADMIN_STRINGS
from spawner.desk.i18n import load_translations
from spawner.ledger.pool import admin_settings
from spawner.ledger.pool.tables import controls as table
from spawner.pool.build import utc_now
from tests.browser.test_axe import findings
from tests.browser.test_looks import PHONE, assert_fits
from tests.browser.visitor import Visitor, button, heading
from tests.stack import Stack

Enter = Callable[..., Visitor]
Picture = Callable[[Page, str], None]


@pytest.fixture
def operate(enter: Enter, shared_stack: Stack) -> Iterator[Callable[..., Page]]:
    """Opens the operator's page for a new administrator; what they set is taken back afterwards."""

    def make(**options: object) -> Page:
        name = f"operator-{secrets.token_hex(3)}"
        assert shared_stack.api("POST", f"/users/{name}", json={"admin": True}).status_code == 201
        visitor = enter(name, **options)
        visitor.expected.append("status of 400")  # mistakes that a test makes
        desk = visitor.open_desk()
        desk.locator("summary").click()
        desk.get_by_role(
            "link", name=load_translations()["zh-CN" if "zh" in str(options) else "en"].say("Operation")
        ).click()
        desk.wait_for_url("**/services/desk/admin")
        heading(desk).wait_for()
        return desk

    yield make
    shared_stack.ledger.write(lambda connection: connection.execute(table.delete()))
    shared_stack.wait_warm()


def board(page: Page, name: str = "CPU cpu-basic") -> Locator:
    """One flavor's part of the page."""
    return page.get_by_role("region", name=name, exact=True)


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog")


def test_on_a_cluster_each_flavor_says_whether_its_pods_have_users_of_their_own(operate: Callable[..., Page]) -> None:
    """This machine's pool has nothing to say of it, so the state is one of a cluster."""
    page = operate()
    text = "User namespaces are off, because a node does not support them: node-2."
    users = {"own": False, "text": text, "details": "node-2 made no sandbox", "until": "2036-11-26T21:00:00Z"}

    def of_a_cluster(route: Route) -> None:
        answer = route.fetch()
        page_of_one = re.sub(r'"users":\s*null', f'"users": {json.dumps(users)}', answer.text(), count=1)
        route.fulfill(response=answer, body=page_of_one)

    page.route("**/api/admin/events*", lambda route: route.fulfill(content_type="text/event-stream", body=""))
    page.route(re.compile(r"/services/desk/(api/)?operator(\?.*)?$"), of_a_cluster)
    page.reload()
    expect(board(page)).to_contain_text(f"{text} It is tried again at ")
    board(page).get_by_text("Details").click()
    expect(board(page).get_by_text("node-2 made no sandbox")).to_be_visible()
    assert findings(page, "of a cluster") == []


def test_a_floor_is_set_by_keyboard_and_the_page_follows(operate: Callable[..., Page], picture: Picture) -> None:
    page = operate()
    floor = board(page).get_by_role("button", name="Floor… CPU, Light")
    floor.focus()
    page.keyboard.press("Enter")
    expect(dialog(page).get_by_label("Slots")).to_be_focused()
    dialog(page).get_by_label("Slots").fill("99")
    page.keyboard.press("Enter")
    expect(dialog(page).get_by_role("alert")).to_have_text(
        "Of cpu-basic there can be 20 at most. Choose a smaller number, or raise its limit in the catalog."
    )
    dialog(page).get_by_label("Slots").fill("")
    page.keyboard.press("Enter")
    expect(dialog(page).get_by_role("alert")).to_contain_text("'' is no number of slots.")
    dialog(page).get_by_label("Slots").fill("2")
    page.keyboard.press("Enter")
    expect(dialog(page)).to_have_count(0)
    expect(floor).to_be_focused()
    expect(board(page)).to_contain_text("An operator has set this floor.")
    expect(board(page).locator(".target-count")).to_have_text("2 of 2 wanted")  # by itself, when it is there
    picture(page, "floor")
    floor.click()
    button(page, "As the catalog says").click()
    expect(board(page)).to_contain_text("The catalog keeps at least so many.")


def test_pause_and_resume(operate: Callable[..., Page]) -> None:
    page = operate()
    large = board(page, "CPU large cpu-large")
    large.get_by_role("button", name="Pause CPU large").click()
    expect(dialog(page)).to_contain_text("who stands in line keeps their place")
    page.keyboard.press("Escape")
    expect(dialog(page)).to_have_count(0)
    large.get_by_role("button", name="Pause CPU large").click()
    button(page, "Pause").click()
    expect(large).to_contain_text("Paused by operator-")
    large.get_by_role("button", name="Resume CPU large").click()
    expect(large).not_to_contain_text("Paused")


def test_maintenance(operate: Callable[..., Page], enter: Enter) -> None:
    page = operate()
    button(page, "Close for maintenance…").click()
    dialog(page).get_by_label("What people read (optional)").fill("New disks.")
    button(page, "Close").click()
    expect(page.get_by_text("Closed for maintenance")).to_be_visible()
    expect(page.get_by_text("“New disks.”")).to_be_visible()
    expect(board(page)).to_contain_text("None waits during maintenance.")
    button(page, "Open again").click()
    expect(page.get_by_text("Closed for maintenance")).to_have_count(0)


def test_a_plan_in_the_operators_own_time(operate: Callable[..., Page], picture: Picture, shared_stack: Stack) -> None:
    page = operate(timezone_id="Asia/Shanghai")
    year = utc_now().year + 1
    button(page, "New plan…").click()
    form = dialog(page)
    expect(form).to_contain_text("Times are in your time zone (Asia/Shanghai).")
    form.get_by_label("Name").fill("ml-course")
    form.get_by_label("Slots").fill("3")
    form.get_by_label("Begins").fill(f"{year}-01-05T09:00")
    form.get_by_label("Ends").fill(f"{year}-01-05T08:00")
    form.get_by_label("Every week").check()
    button(page, "Save").click()
    expect(form.get_by_role("alert")).to_have_text(
        "The plan ends before it begins. Choose an end that comes after the beginning."
    )
    picture(page, "mistake")
    form.get_by_label("Ends").fill(f"{year}-01-05T11:00")
    button(page, "Save").click()
    expect(form).to_have_count(0)
    row = page.get_by_role("listitem").filter(has_text="ml-course")
    expect(row).to_contain_text("3 × CPU, Light")
    expect(row).to_contain_text(f"Jan 5, {year}, 9:00")
    expect(row).to_contain_text("Every week")
    value = shared_stack.ledger.read(admin_settings.all_of)["plan:ml-course"].value
    assert value["begins"] == f"{year}-01-05T09:00:00+08:00"
    row.get_by_role("button", name="Remove ml-course").click()
    dialog(page).get_by_role("button", name="Remove").click()
    expect(page.get_by_text("There is no plan.")).to_be_visible()


def test_what_counts_for_nothing_is_shown_and_removed(operate: Callable[..., Page], shared_stack: Stack) -> None:
    page = operate()
    shared_stack.ledger.write(admin_settings.put, "floor:gpu-80g:light", 3, now=utc_now(), by="ann")
    row = page.get_by_role("listitem").filter(has_text="floor:gpu-80g:light")
    expect(row).to_contain_text("The catalog has no gpu-80g. by ann")
    row.get_by_role("button").click()
    expect(row).to_have_count(0)
    expect(heading(page)).to_be_focused()


def test_who_is_no_administrator_sees_no_link_and_reads_why(enter: Enter) -> None:
    visitor = enter()
    desk = visitor.open_desk()
    desk.locator("summary").click()
    expect(desk.get_by_role("link", name="Log out")).to_be_visible()
    expect(desk.get_by_role("link", name="Operation")).to_have_count(0)
    visitor.expected.append("status of 403")
    page, response = visitor.visit("/services/desk/admin")
    assert response.status == 403
    expect(page.get_by_role("main")).to_contain_text("This page is for administrators.")


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_axe_finds_nothing_and_a_phone_shows_all(operate: Callable[..., Page], picture: Picture, language: str) -> None:
    page = operate(locale=language, reduced_motion="reduce")
    say = load_translations()[language].say
    found = findings(page, "page")
    picture(page, "wide")
    button(page, say("New plan…")).click()
    found += findings(page, "plan")
    page.keyboard.press("Escape")
    button(page, say("Close for maintenance…")).click()
    found += findings(page, "drain")
    button(page, say("Close")).click()
    expect(page.get_by_text(say("Closed for maintenance"))).to_be_visible()
    found += findings(page, "draining")
    assert found == []
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert_fits(page)
    picture(page, "phone")
    if language != "en":
        shown = page.locator("body").inner_text()
        forgotten = [one for one in ADMIN_STRINGS.values() if len(one) > 4 and say(one) != one and one in shown]
        assert forgotten == []
