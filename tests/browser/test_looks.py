"""The desk on a phone, in the dark colour scheme, and in both languages."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from spawner.desk.i18n import load_translations
from spawner.desk.user.strings import USER_STRINGS
from tests.browser.visitor import IDLE, READY, STARTING, Visitor, ask, button, card, heading

Enter = Callable[..., Visitor]
Picture = Callable[[Page, str], None]
PHONE = {"width": 360, "height": 780}


MISFITS = """() => {
  const dialog = document.querySelector("dialog[open]");
  const controls = dialog ? "button" : "a, button, summary, input:enabled, select";
  const misfits = [];
  for (const control of (dialog ?? document).querySelectorAll(controls)) {
    const isShown = control.checkVisibility({ visibilityProperty: true }) && control.getClientRects().length > 0;
    // A link that skips to the content is outside of the page until it has the focus.
    if (!isShown || control.classList.contains("skip")) continue;
    control.scrollIntoView({ behavior: "instant", block: "center", inline: "nearest" });
    const whole = control.getBoundingClientRect();
    if (whole.left < 0 || whole.right > innerWidth) misfits.push(`outside of the page: ${control.outerHTML}`);
    const [line] = control.getClientRects();
    const top = document.elementFromPoint(line.x + line.width / 2, line.y + line.height / 2);
    const isOnTop = top !== null && (control.contains(top) || top.closest("label")?.control === control);
    if (!isOnTop) misfits.push(`below ${top?.outerHTML}: ${control.outerHTML}`);
  }
  return misfits;
}"""
"""Controls of the page, or of its open dialog, that a finger does not reach."""


def assert_fits(page: Page) -> None:
    """Assert that the page does not scroll sideways, and that every control can be clicked."""
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert page.evaluate(MISFITS) == []


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_every_state_fits_a_phone(enter: Enter, picture: Picture, language: str) -> None:
    name = "a-person-with-quite-a-long-name-indeed@example-university." + language.lower()
    visitor = enter(name, viewport=PHONE, locale=language, has_touch=True, is_mobile=True)
    say = load_translations()[language].say
    desk = visitor.open_desk()
    assert_fits(desk)
    picture(desk, "none")
    button(desk, say("Start")).click()
    expect(heading(desk)).to_have_text(READY[language])
    assert_fits(desk)
    picture(desk, "running")
    dialog = ask(desk, say("Restart (deletes all files)"))
    assert_fits(desk)
    picture(desk, "restart")
    dialog.get_by_role("button", name=say("Cancel")).click()
    expect(dialog).to_be_hidden()
    not_found, _ = visitor.visit("/services/desk/nothing")
    assert_fits(not_found)
    visitor.expected.append("status of 404")


LIGHTNESS = """style => {
  const [red, green, blue] = getComputedStyle(document.body)[style].match(/[0-9]+/g).map(Number);
  return (red + green + blue) / 765;
}"""


def lightness(page: Page, style: str) -> float:
    """The lightness of a colour of the page, from 0 to 1."""
    return float(page.evaluate(LIGHTNESS, style))


def test_the_colour_scheme_follows_the_systems_at_once(enter: Enter, picture: Picture) -> None:
    desk = enter(color_scheme="dark", reduced_motion="reduce").open_desk()
    assert lightness(desk, "backgroundColor") < 0.15
    assert lightness(desk, "color") > 0.8
    picture(desk, "dark")
    desk.emulate_media(color_scheme="light")
    assert lightness(desk, "backgroundColor") > 0.9
    assert lightness(desk, "color") < 0.2


def test_a_chinese_browser_shows_chinese_in_every_state(enter: Enter, picture: Picture) -> None:
    visitor = enter(locale="zh-CN")
    desk = visitor.open_desk()
    expect(heading(desk)).to_have_text(IDLE["zh-CN"])
    assert desk.locator("html").get_attribute("lang") == "zh-CN"
    expect(card(desk, "识别图片中的文字")).to_contain_text("找出图片中的中英文文字")
    assert_no_english(desk)
    desk.get_by_role("radio", name="CPU 大内存型").check()
    button(desk, "启动").click()
    with visitor.held_start():
        expect(heading(desk)).to_have_text(STARTING["zh-CN"])
        expect(desk.get_by_text("正在创建新的 Notebook（需要几秒钟）")).to_be_visible()
        assert_no_english(desk)
        picture(desk, "starting")
    expect(heading(desk)).to_have_text(READY["zh-CN"])
    assert_no_english(desk)
    ask(desk, "停止")
    assert_no_english(desk)


def assert_no_english(page: Page) -> None:
    """Assert that no English text of the desk is shown."""
    shown = page.locator("body").inner_text()
    texts = load_translations()["zh-CN"]
    untranslated = [
        text
        for text in USER_STRINGS.values()
        if len(text) > 3 and texts.say(text) != text and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", shown, re.ASCII)
    ]
    assert untranslated == []


def test_a_chosen_language_is_kept(enter: Enter) -> None:
    visitor = enter(locale="zh-CN")
    desk = visitor.open_desk()
    button(desk, "English").click()
    expect(heading(desk)).to_have_text(IDLE["en"])
    assert desk.url == f"{visitor.stack.url}/services/desk/"
    desk.reload()
    expect(heading(desk)).to_have_text(IDLE["en"])
    another, _ = visitor.visit("/services/desk/")
    expect(heading(another)).to_have_text(IDLE["en"])
    button(another, "简体中文").click()
    expect(heading(another)).to_have_text(IDLE["zh-CN"])


def test_a_page_that_needs_another_machine_is_noticed(enter: Enter) -> None:
    """By what the browser writes to the console: what is asked of other machines fails there."""
    visitor = enter()
    page = visitor.context.new_page()
    page.goto("data:text/html,<img src='http://example.org/1.png'><img src='http://192.0.2.1/2.png'>")
    page.evaluate("fetch('http://example.net/').catch(() => {})")
    page.close()
    assert visitor.unexpected == 3 * ["console: Failed to load resource: net::ERR_NAME_NOT_RESOLVED"]
    visitor.problems.clear()
