"""A user on the home page reads when the notebook ends, and extends it with one click."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from playwright.sync_api import Page, expect

from spawner.ledger.time import notices
from spawner.ledger.time.rows import Answer
from spawner.pool.build import utc_now
from tests.browser.axe import findings
from tests.browser.test_looks import PHONE, assert_fits, assert_no_english
from tests.browser.visitor import READY, Visitor, button, heading
from tests.hub.deadlines import set_end
from tests.stack import eventually

Enter, Picture = Callable[..., Visitor], Callable[..., None]
FAKE_NOTIFICATIONS = """
window.told = [];
window.Notification = class {
  constructor(title, { body, tag }) { window.told.push({ title, body, tag }); }
};
window.Notification.permission = "granted";
Object.defineProperty(document, "hidden", { configurable: true, get: () => window.isAway === true });
"""


def near_its_end(visitor: Visitor, minutes: float) -> str:
    """The user's notebook ends in so many minutes. Its id."""
    (instance,) = visitor.instances()
    set_end(visitor.stack.ledger, instance.id, utc_now() + timedelta(minutes=minutes))
    return instance.id


def running(visitor: Visitor, language: str = "en") -> Page:
    desk = visitor.open_desk()
    visitor.stack.start(visitor.user)
    expect(heading(desk)).to_have_text(READY[language])
    return desk


def test_two_tabs_show_the_notice_and_extend_once(visitor: Visitor, picture: Picture) -> None:
    here = running(visitor)
    there = visitor.open_desk()
    instance_id = near_its_end(visitor, 10)
    for tab in (here, there):
        expect(tab.locator(".notice strong")).to_have_text("Your notebook ends in 10 minutes")
        expect(tab.get_by_role("status").filter(has=tab.locator(".notice"))).to_be_visible()
    picture(here, "notice", full_page=True)
    seen = eventually(lambda: visitor.stack.ledger.read(notices.of_instance, instance_id)[0].seen_in, what="the report")
    assert seen == "desk"
    buttons = [tab.locator(".notice [data-action=extend]").element_handle() for tab in (here, there)]
    for one in buttons:
        one.evaluate("one => one.click()")  # at once: a click by the mouse would wait for what the first has changed
    for tab in (here, there):
        expect(tab.locator(".notice")).to_have_count(0)
        expect(tab.locator(".left-time")).to_have_text("1\u00a0hr 9\u00a0min")
    expect(button(here, "Extend by 1 hour")).to_be_enabled()
    picture(here, "extended", full_page=True)
    (first, *_) = visitor.stack.ledger.read(notices.of_instance, instance_id)
    assert first.answer is Answer.EXTENDED


def test_a_dismissed_notice_goes_from_all_tabs_and_the_reason_of_a_refusal_is_said(visitor: Visitor) -> None:
    here = running(visitor)
    there = visitor.open_desk()
    button(here, "Extend by 1 hour").click()
    expect(here.locator(".left-time")).to_have_text("4\u00a0hr 59\u00a0min")
    button(here, "Extend by 1 hour").click()
    expect(here.locator("[data-action=extend]")).to_have_count(0)
    expect(here.locator(".left-time")).to_have_text("5\u00a0hr 59\u00a0min")
    near_its_end(visitor, 5)
    expect(there.locator(".notice [data-action=extend]")).to_have_count(0)
    expect(there.get_by_text("Your notebook has been extended as often as allowed.")).to_be_visible()
    there.locator(".notice").get_by_role("button", name="Dismiss").click()
    for tab in (here, there):
        expect(tab.locator(".notice")).to_have_count(0)


def test_who_looks_elsewhere_gets_a_notification_once(visitor: Visitor) -> None:
    visitor.context.add_init_script(FAKE_NOTIFICATIONS)
    desk = running(visitor)
    desk.evaluate("window.isAway = true")
    instance_id = near_its_end(visitor, 10)
    eventually(lambda: desk.evaluate("window.told.length"), what="the notification")
    (notice,) = visitor.stack.ledger.read(notices.of_instance, instance_id)
    assert notice.seen_at is None, "nobody has seen the page"
    assert desk.evaluate("window.told") == [
        {
            "title": "Your notebook ends in 10 minutes",
            "body": "Download the files you want to keep now. They are deleted at the end.",
            "tag": notice.id,
        }
    ]


def test_a_browser_with_a_wrong_clock_shows_the_right_time(visitor: Visitor) -> None:
    visitor.context.add_init_script("const real = Date.now; Date.now = () => real() - 5 * 3600e3;")
    desk = running(visitor)
    near_its_end(visitor, 10)
    expect(desk.locator(".notice strong")).to_have_text("Your notebook ends in 10 minutes")
    expect(desk.locator(".left-time")).to_have_text("9\u00a0min")


def test_a_notice_fits_a_phone_in_chinese_and_dark(enter: Enter, picture: Picture) -> None:
    visitor = enter(locale="zh-CN", color_scheme="dark", viewport=PHONE, reduced_motion="reduce")
    desk = running(visitor, "zh-CN")
    near_its_end(visitor, 5)
    expect(desk.locator(".notice strong")).to_have_text("Notebook 将在 5\u00a0分钟后结束")
    assert_fits(desk)
    assert_no_english(desk)
    assert findings(desk, "notice") == []
    picture(desk, "notice", full_page=True)
