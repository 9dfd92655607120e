"""axe-core finds no accessibility problem in any state of the desk, in both languages and colour schemes."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from spawner.desk.i18n import load_translations
from tests.browser.axe import findings
from tests.browser.languages import told_in
from tests.browser.visitor import READY, STARTING, Visitor, ask, button, choose_large, heading

LARGE = {"en": "CPU large", "zh-CN": "CPU 大内存型"}


@told_in("en")
def test_every_state_of_the_desk_passes_axe(enter: Callable[..., Visitor], language: str) -> None:
    visitor = enter(locale=language)
    say = load_translations()[language].say
    desk = visitor.open_desk()
    violations = findings(desk, "none")

    desk.locator(".account summary").click()
    violations += findings(desk, "menu")
    desk.keyboard.press("Escape")

    visitor.expected.append("ERR_INTERNET_DISCONNECTED")
    visitor.context.set_offline(True)
    button(desk, say("Start")).click()
    expect(desk.get_by_role("alert")).to_contain_text(say("The server did not respond."))
    violations += findings(desk, "alert")
    visitor.context.set_offline(False)
    button(desk, say("Dismiss")).click()

    choose_large(desk, LARGE[language])
    button(desk, say("Start")).click()
    with visitor.held_start():
        expect(heading(desk)).to_have_text(STARTING[language])
        violations += findings(desk, "starting")
    expect(heading(desk)).to_have_text(READY[language])
    violations += findings(desk, "running")
    ask(desk, say("Restart (deletes all files)"))
    violations += findings(desk, "dialog")

    visitor.expected += ["status of 404", "status of 403"]
    not_found, response = visitor.visit("/services/desk/nothing")
    assert response.status == 404
    expect(heading(not_found)).to_have_text(say("Page not found"))
    expect(not_found.get_by_role("main")).to_contain_text(say("Check the address, or go to the home page."))
    not_found.get_by_text(say("Report a problem")).first.click()
    violations += findings(not_found, "404")
    with not_found.expect_response("**/language") as answer:
        not_found.evaluate(
            "() => { const form = document.createElement('form'); form.method = 'post';"
            " form.action = '/services/desk/language'; document.body.append(form); form.submit(); }"
        )
    assert answer.value.status == 403
    expect(heading(not_found)).to_have_text(say("Sign in again"))
    violations += findings(not_found, "message")
    assert violations == []
