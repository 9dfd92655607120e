"""No state of the desk has anything that axe-core finds wrong, in either language, light or dark."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from spawner.desk.i18n import load_translations
from tests.browser.visitor import READY, STARTING, Visitor, ask, button, choose_large, heading

LARGE = {"en": "CPU large", "zh-CN": "CPU 大内存型"}


def findings(page: Page, state: str) -> list[str]:
    """What axe finds, light and dark, one line each."""
    found = []
    for scheme in ("light", "dark"):
        # Without motion: a colour that is on its way to another one is no colour to judge.
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        for violation in Axe().run(page).response["violations"]:
            found += [f"{state}, {scheme}: {violation['id']}: {node['html']}" for node in violation["nodes"]]
    return found


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_axe_finds_nothing_in_any_state(enter: Callable[..., Visitor], language: str) -> None:
    visitor = enter(locale=language)
    say = load_translations()[language].say
    desk = visitor.open_desk()
    found = findings(desk, "none")

    desk.locator("summary").click()
    found += findings(desk, "menu")
    desk.keyboard.press("Escape")

    visitor.expected.append("ERR_INTERNET_DISCONNECTED")
    visitor.context.set_offline(True)
    button(desk, say("Start")).click()
    expect(desk.get_by_role("alert")).to_contain_text(say("The desk did not answer."))
    found += findings(desk, "alert")
    visitor.context.set_offline(False)
    button(desk, say("Dismiss")).click()

    choose_large(desk, LARGE[language])
    button(desk, say("Start")).click()
    with visitor.held_start():
        expect(heading(desk)).to_have_text(STARTING[language])
        found += findings(desk, "starting")
    expect(heading(desk)).to_have_text(READY[language])
    found += findings(desk, "running")
    ask(desk, say("Restart (wipes everything)"))
    found += findings(desk, "dialog")

    visitor.expected += ["status of 404", "status of 403"]
    nothing, response = visitor.visit("/services/desk/nothing")
    assert response.status == 404
    expect(heading(nothing)).to_have_text(say("There is nothing here"))
    expect(nothing.get_by_role("main")).to_contain_text(say("Check the address, or go on from the desk."))
    found += findings(nothing, "404")
    with nothing.expect_response("**/language") as answer:
        nothing.evaluate(
            "() => { const form = document.createElement('form'); form.method = 'post';"
            " form.action = '/services/desk/language'; document.body.append(form); form.submit(); }"
        )
    assert answer.value.status == 403
    expect(heading(nothing)).to_have_text(say("That did not work"))
    found += findings(nothing, "message")
    assert found == []
