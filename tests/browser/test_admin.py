"""The administrator's page: changes by keyboard and mouse show their effect at once, and it is accessible."""

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
from tests.browser.axe import findings
from tests.browser.languages import told_in
from tests.browser.test_looks import PHONE, assert_fits
from tests.browser.visitor import Visitor, button, heading
from tests.stack import Stack

Enter = Callable[..., Visitor]
Picture = Callable[[Page, str], None]


@pytest.fixture
def open_admin_page(enter: Enter, shared_stack: Stack) -> Iterator[Callable[..., Page]]:
    """Opens the page as a new administrator. All settings are deleted afterwards."""

    def make(**options: object) -> Page:
        name = f"admin-{secrets.token_hex(3)}"
        assert shared_stack.api("POST", f"/users/{name}", json={"admin": True}).status_code == 201
        visitor = enter(name, **options)
        visitor.expected.append("status of 400")  # tests send invalid values
        desk = visitor.open_desk()
        desk.locator(".account summary").click()
        desk.get_by_role(
            "link", name=load_translations()["zh-CN" if "zh" in str(options) else "en"].say("Operations")
        ).click()
        desk.wait_for_url("**/services/desk/admin")
        heading(desk).wait_for()
        return desk

    yield make
    shared_stack.ledger.write(lambda connection: connection.execute(table.delete()))
    shared_stack.wait_warm()


def flavor_section(page: Page, name: str = "CPU cpu-basic") -> Locator:
    """The section of a flavor."""
    return page.get_by_role("region", name=name, exact=True)


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog")


def test_on_a_cluster_each_flavor_says_whether_its_pods_run_in_user_namespaces(
    open_admin_page: Callable[..., Page],
) -> None:
    """The local pool has no user namespaces to report, so the test puts a cluster's report into the state."""
    page = open_admin_page()
    text = "User namespaces are off, because a node does not support them: node-2."
    namespaces = {"enabled": False, "text": text, "details": "node-2 made no sandbox", "until": "2036-11-26T21:00:00Z"}

    def with_user_namespaces(route: Route) -> None:
        answer = route.fetch()
        body = re.sub(
            r'"user_namespaces":\s*null', f'"user_namespaces": {json.dumps(namespaces)}', answer.text(), count=1
        )
        route.fulfill(response=answer, body=body)

    page.route("**/api/admin/events*", lambda route: route.fulfill(content_type="text/event-stream", body=""))
    page.route(re.compile(r"/services/desk/(api/)?admin(\?.*)?$"), with_user_namespaces)
    page.reload()
    expect(flavor_section(page)).to_contain_text(f"{text} Next attempt at ")
    flavor_section(page).get_by_text("Details").click()
    expect(flavor_section(page).get_by_text("node-2 made no sandbox")).to_be_visible()
    assert findings(page, "of a cluster") == []


def test_a_floor_set_by_keyboard_shows_its_effect(open_admin_page: Callable[..., Page], picture: Picture) -> None:
    page = open_admin_page()
    floor = flavor_section(page).get_by_role("button", name="Set minimum… CPU, Light")
    floor.focus()
    page.keyboard.press("Enter")
    expect(dialog(page).get_by_label("Notebooks")).to_be_focused()
    dialog(page).get_by_label("Notebooks").fill("99")
    page.keyboard.press("Enter")
    expect(dialog(page).get_by_role("alert")).to_have_text(
        "The limit for cpu-basic is 20. Choose a smaller number, or raise the limit in the catalog."
    )
    dialog(page).get_by_label("Notebooks").fill("")
    page.keyboard.press("Enter")
    expect(dialog(page).get_by_role("alert")).to_contain_text("'' is not a valid number of notebooks.")
    dialog(page).get_by_label("Notebooks").fill("2")
    page.keyboard.press("Enter")
    expect(dialog(page)).to_have_count(0)
    expect(floor).to_be_focused()
    expect(flavor_section(page)).to_contain_text("Minimum set by an administrator.")
    # Without a reload, once the slot is warm.
    expect(flavor_section(page).locator(".target-count")).to_have_text("2 target: 2")
    picture(page, "floor")
    floor.click()
    button(page, "Reset to catalog").click()
    expect(flavor_section(page)).to_contain_text("Minimum set in the catalog.")


def test_a_flavor_can_be_paused_and_resumed(open_admin_page: Callable[..., Page]) -> None:
    page = open_admin_page()
    large_section = flavor_section(page, "CPU large cpu-large")
    large_section.get_by_role("button", name="Pause CPU large").click()
    expect(dialog(page)).to_contain_text("people in the queue keep their place")
    page.keyboard.press("Escape")
    expect(dialog(page)).to_have_count(0)
    large_section.get_by_role("button", name="Pause CPU large").click()
    button(page, "Pause").click()
    expect(large_section).to_contain_text("Paused · set by admin-")
    large_section.get_by_role("button", name="Resume CPU large").click()
    expect(large_section).not_to_contain_text("Paused")


def test_maintenance_can_be_started_and_ended(open_admin_page: Callable[..., Page]) -> None:
    page = open_admin_page()
    button(page, "Start maintenance…").click()
    dialog(page).get_by_label("Message to users (optional)").fill("New disks.")
    button(page, "Start maintenance").click()
    expect(page.get_by_text("Maintenance", exact=True)).to_be_visible()
    expect(page.get_by_text("“New disks.”")).to_be_visible()
    expect(flavor_section(page)).to_contain_text("No warm notebooks during maintenance.")
    button(page, "End maintenance").click()
    expect(page.get_by_text("Maintenance", exact=True)).to_have_count(0)


def test_a_plan_is_in_the_administrators_time_zone(
    open_admin_page: Callable[..., Page], picture: Picture, shared_stack: Stack
) -> None:
    page = open_admin_page(timezone_id="Asia/Shanghai")
    year = utc_now().year + 1
    button(page, "New plan…").click()
    form = dialog(page)
    expect(form).to_contain_text("Times are in your time zone (Asia/Shanghai).")
    form.get_by_label("Name").fill("ml-course")
    form.get_by_label("Notebooks").fill("3")
    form.get_by_label("Starts").fill(f"{year}-01-05T09:00")
    form.get_by_label("Ends").fill(f"{year}-01-05T08:00")
    form.get_by_label("Every week").check()
    button(page, "Save").click()
    expect(form.get_by_role("alert")).to_have_text(
        "The plan ends before it starts. Choose an end time after the start time."
    )
    picture(page, "mistake")
    form.get_by_label("Ends").fill(f"{year}-01-05T11:00")
    button(page, "Save").click()
    expect(form).to_have_count(0)
    row = page.get_by_role("listitem").filter(has_text="ml-course")
    expect(row).to_contain_text("3 × CPU, Light")
    expect(row).to_contain_text(f"Jan 5, {year}, 09:00")
    expect(row).to_contain_text("Every week")
    value = shared_stack.ledger.read(admin_settings.all_of)["plan:ml-course"].value
    assert value["begins"] == f"{year}-01-05T09:00:00+08:00"
    row.get_by_role("button", name="Delete ml-course").click()
    dialog(page).get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No plans.")).to_be_visible()


def test_a_setting_without_effect_is_shown_and_can_be_removed(
    open_admin_page: Callable[..., Page], shared_stack: Stack
) -> None:
    page = open_admin_page()
    shared_stack.ledger.write(admin_settings.put, "floor:gpu-80g:light", 3, now=utc_now(), by="ann")
    row = page.get_by_role("listitem").filter(has_text="floor:gpu-80g:light")
    expect(row).to_contain_text("gpu-80g is not in the catalog. set by ann")
    row.get_by_role("button").click()
    expect(row).to_have_count(0)
    expect(heading(page)).to_be_focused()


def test_other_users_see_no_link_and_are_told_why_they_are_refused(enter: Enter) -> None:
    visitor = enter()
    desk = visitor.open_desk()
    desk.locator(".account summary").click()
    expect(desk.get_by_role("link", name="Sign out")).to_be_visible()
    expect(desk.get_by_role("link", name="Operations")).to_have_count(0)
    visitor.expected.append("status of 403")
    page, response = visitor.visit("/services/desk/admin")
    assert response.status == 403
    expect(page.get_by_role("main")).to_contain_text("This page is for administrators.")


@told_in("zh-CN")
def test_the_page_passes_axe_and_fits_a_phone(
    open_admin_page: Callable[..., Page], picture: Picture, language: str
) -> None:
    page = open_admin_page(locale=language, reduced_motion="reduce")
    say = load_translations()[language].say
    violations = findings(page, "page")
    picture(page, "wide")
    button(page, say("New plan…")).click()
    violations += findings(page, "plan")
    page.keyboard.press("Escape")
    button(page, say("Start maintenance…")).click()
    violations += findings(page, "drain")
    button(page, say("Start maintenance")).click()
    expect(page.get_by_text(say("Maintenance"), exact=True)).to_be_visible()
    violations += findings(page, "draining")
    assert violations == []
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert_fits(page)
    picture(page, "phone")
    if language != "en":
        shown = page.locator("body").inner_text()
        untranslated = [
            text for text in ADMIN_STRINGS.values() if len(text) > 4 and say(text) != text and text in shown
        ]
        assert untranslated == []
