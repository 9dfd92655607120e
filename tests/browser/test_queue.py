"""The desk of a full pool: a place in the queue, other flavors meanwhile, and the call, without a reload."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from spawner.desk.i18n import load_translations
from tests.browser.axe import findings
from tests.browser.languages import told_in
from tests.browser.test_looks import PHONE, Picture, assert_fits
from tests.browser.visitor import IDLE, READY, Visitor, button, heading, launch
from tests.lean import with_lean
from tests.stack import Stack, running_stack, write_catalog

LARGE = {"en": "CPU large", "zh-CN": "CPU 大内存型"}
TITLE = {"en": "You are number {} in the queue", "zh-CN": "你排在第 {} 位"}
Enter = Callable[..., Visitor]


@pytest.fixture(scope="module")
def small_stack(lean: Path) -> Iterator[Stack]:
    """A pool for two instances of one flavor and one instance of another. Nobody looks into a notebook here."""
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))

    def change(data: dict[str, Any]) -> None:
        data["flavors"] = data["flavors"][:2]
        data["flavors"][0] |= {"limit": 2, "reserve": "256MiB"}
        data["flavors"][1] |= {"limit": 1, "reserve": "256MiB"}
        with_lean(data)

    try:
        catalog = write_catalog(folder / "catalog.yaml", change)
        with running_stack(folder / "state", catalog=catalog, settings=lean) as stack:
            yield stack
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def enter(chromium: Browser, small_stack: Stack) -> Iterator[Enter]:
    """Creates visitors of the small pool. At the end their tickets are cancelled and their instances stopped."""
    visitors: list[Visitor] = []

    def make(user: str, **options: Any) -> Visitor:
        visitor = Visitor.enter(chromium, small_stack, user, reduced_motion="reduce", **options)
        visitors.append(visitor)
        return visitor

    yield make
    for visitor in visitors:
        small_stack.leave_line(visitor.user)
    for visitor in visitors:
        visitor.leave()
    assert [text for visitor in visitors for text in visitor.unexpected] == []


def start_for(stack: Stack, *users: str, flavor: str = "cpu-basic") -> None:
    """Start instances for users who have no browser."""
    for user in users:
        stack.add_user(user)
        assert stack.start(user, flavor=flavor).status_code in (201, 202)


def stop_all(stack: Stack, *users: str) -> None:
    """Stop the instances of users."""
    for user in users:
        stack.stop(user)


def choose(page: Page, title: str) -> None:
    """Choose a flavor."""
    page.get_by_role("radio", name=title, exact=True).check()


def queue_banner(page: Page) -> Locator:
    """The banner about a ticket, above a running instance."""
    return page.locator(".queue-banner")


def test_a_third_user_of_two_instances_queues_and_gets_one_without_another_click(
    small_stack: Stack, enter: Enter
) -> None:
    start_for(small_stack, "one", "two", flavor="cpu-basic")
    start_for(small_stack, "big", flavor="cpu-large")
    try:
        desk = enter("third").open_desk()
        expect(button(desk, "Join the queue")).to_be_enabled()
        expect(desk.get_by_text("you would be next").or_(desk.get_by_text("wait ")).first).to_be_visible()
        began = time.monotonic()
        button(desk, "Join the queue").click()
        expect(heading(desk)).to_have_text("You are number 1 in the queue")
        expect(desk.get_by_text("Estimated wait")).to_be_visible()
        print(f"\nplace and wait shown after {time.monotonic() - began:.2f} s")
        assert desk.title() == "1 of 1 in the queue - Freepool"

        behind = enter("fourth").open_desk()
        button(behind, "Join the queue").click()
        expect(heading(behind)).to_have_text("You are number 2 in the queue")
        small_stack.stop("one")
        expect(heading(desk)).to_have_text(READY["en"])
        expect(heading(behind)).to_have_text("You are number 1 in the queue")
        small_stack.stop("two")
        expect(heading(behind)).to_have_text(READY["en"])
    finally:
        stop_all(small_stack, "one", "two", "big")


def test_leaving_the_queue_asks_first_and_starts_nothing(small_stack: Stack, enter: Enter) -> None:
    start_for(small_stack, "one", "two")
    start_for(small_stack, "big", flavor="cpu-large")
    try:
        visitor = enter("leaver")
        here, there = visitor.open_desk(), visitor.open_desk()
        button(here, "Join the queue").click()
        for tab in (here, there):
            expect(heading(tab)).to_have_text("You are number 1 in the queue")
            button(tab, "Leave the queue").click()
        for tab in (here, there):  # in two tabs: the ticket may be gone before the second answers
            dialog = tab.get_by_role("dialog")
            if dialog.is_visible():
                dialog.get_by_role("button", name="Leave the queue").click()
        for tab in (here, there):
            expect(heading(tab)).to_have_text(IDLE["en"])
            expect(tab.get_by_role("alert")).to_be_empty()
        assert visitor.instances() == []
    finally:
        stop_all(small_stack, "one", "two", "big")


def test_a_queued_user_runs_another_flavor_and_switches_when_called(small_stack: Stack, enter: Enter) -> None:
    start_for(small_stack, "big", flavor="cpu-large")
    try:
        visitor = enter("both")
        desk = visitor.open_desk()
        choose(desk, "CPU large")
        button(desk, "Join the queue").click()
        expect(heading(desk)).to_have_text("You are number 1 in the queue")
        button(desk, "Start now CPU").click()
        expect(heading(desk)).to_have_text(READY["en"])
        expect(queue_banner(desk)).to_contain_text("You are number 1 in the queue for CPU large")
        small_stack.stop("big")
        expect(queue_banner(desk)).to_contain_text("It is your turn: CPU large is reserved for you until")
        button(desk, "Switch").click()
        desk.get_by_role("dialog").get_by_role("button", name="Delete and switch").click()
        expect(desk.locator(".facts")).to_contain_text("CPU large")
        expect(heading(desk)).to_have_text(READY["en"])
        expect(queue_banner(desk)).to_have_count(0)
        (instance,) = visitor.instances()
        assert instance.flavor == "cpu-large"
    finally:
        stop_all(small_stack, "big")


def test_an_example_requested_in_a_full_pool_opens_once_an_instance_runs(small_stack: Stack, enter: Enter) -> None:
    start_for(small_stack, "one", "two")
    start_for(small_stack, "big", flavor="cpu-large")
    try:
        desk = enter("reader").open_desk()
        desk.get_by_role("button", name="Open Which language is this?").click()
        expect(heading(desk)).to_have_text("You are number 1 in the queue")
        expect(desk.locator(".hero")).to_contain_text("“Which language is this?” opens automatically")
        small_stack.stop("one")
        desk.wait_for_url("**/user/reader/lab/tree/examples/language/language.ipynb*")
    finally:
        stop_all(small_stack, "one", "two", "big")


def test_a_user_who_allows_notifications_gets_one_when_called(small_stack: Stack, chromium: Browser) -> None:
    start_for(small_stack, "one", "two")
    start_for(small_stack, "big", flavor="cpu-large")
    browser = launch(chromium.browser_type, has_windows=True)
    visitor = Visitor.enter(browser, small_stack, "sleeper", permissions=["notifications"])
    try:
        visitor.context.add_init_script(
            """window.notifications = [];
            window.Notification = class extends window.Notification {
              constructor(title, options) { super(title, options); window.notifications.push([title, options.body]); }
            };
            Object.defineProperty(document, "hidden", { get: () => true });"""
        )
        desk = visitor.open_desk()
        button(desk, "Join the queue").click()
        expect(desk.get_by_text("You will get a notification in this browser.")).to_be_visible()
        small_stack.stop("one")
        expect(heading(desk)).to_have_text(READY["en"])
        assert desk.evaluate("window.notifications") == [["It is your turn", "CPU: your notebook is starting."]]
        assert visitor.unexpected == []
    finally:
        small_stack.leave_line(visitor.user)
        visitor.leave()
        browser.close()
        stop_all(small_stack, "one", "two", "big")


@told_in("zh-CN")
def test_every_state_of_queueing_passes_axe_and_fits_a_phone(
    small_stack: Stack, enter: Enter, picture: Picture, language: str
) -> None:
    say = load_translations()[language].say
    start_for(small_stack, "one", "two")
    start_for(small_stack, "big", flavor="cpu-large")
    try:
        visitor = enter(f"looker-{language.lower()}", locale=language)
        desk = visitor.open_desk()
        expect(button(desk, say("Join the queue"))).to_be_enabled()
        violations = findings(desk, "full")
        picture(desk, "full")
        choose(desk, LARGE[language])
        button(desk, say("Join the queue")).click()
        expect(heading(desk)).to_have_text(TITLE[language].format(1))
        violations += findings(desk, "waiting")
        picture(desk, "waiting")
        small_stack.stop("one")
        expect(button(desk, f"{say('Start now')} CPU" + ("" if language == "en" else " 基础型"))).to_be_visible()
        violations += findings(desk, "waiting, something free")
        picture(desk, "waiting-free")
        desk.set_viewport_size(PHONE)  # type: ignore[arg-type]
        assert_fits(desk)
        picture(desk, "waiting-phone")
        desk.set_viewport_size({"width": 1280, "height": 800})
        desk.locator("[data-action=instead]").click()
        expect(heading(desk)).to_have_text(READY[language])
        violations += findings(desk, "besides")
        picture(desk, "besides")
        small_stack.stop("big")
        expect(button(desk, say("Switch"))).to_be_visible()
        violations += findings(desk, "held")
        picture(desk, "held")
        desk.set_viewport_size(PHONE)  # type: ignore[arg-type]
        assert_fits(desk)
        picture(desk, "held-phone")
        assert violations == []
    finally:
        stop_all(small_stack, "one", "two", "big")
