"""Everything on the desk can be done by keyboard, and the focus is never lost."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.browser.visitor import IDLE, READY, Visitor, button, heading

MOST_STEPS = 25


def tab_to(page: Page, target: Locator, key: str = "Tab") -> None:
    """Press Tab until `target` has the focus."""
    for _ in range(MOST_STEPS):
        page.keyboard.press(key)
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"{MOST_STEPS} times {key} did not lead to {target}")


def test_start_menu_restart_and_stop_by_keyboard(visitor: Visitor) -> None:
    desk = visitor.open_desk()
    desk.keyboard.press("Tab")
    expect(desk.get_by_role("link", name="Skip to content")).to_be_focused()
    desk.keyboard.press("Enter")
    expect(desk.get_by_role("main")).to_be_focused()

    tab_to(desk, desk.get_by_role("radio", name="CPU", exact=True))
    desk.keyboard.press("ArrowDown")
    expect(desk.get_by_role("radio", name="CPU large")).to_be_checked()
    desk.keyboard.press("ArrowUp")
    tab_to(desk, button(desk, "Start"))
    desk.keyboard.press("Enter")
    expect(heading(desk)).to_have_text(READY["en"])
    assert [instance.flavor for instance in visitor.instances()] == ["cpu-basic"]
    expect(desk.get_by_role("link", name="Open JupyterLab")).to_be_focused()

    summary = desk.locator(".account summary")
    tab_to(desk, summary, "Shift+Tab")
    desk.keyboard.press("Enter")
    expect(desk.get_by_role("link", name="Sign out")).to_be_visible()
    desk.keyboard.press("Escape")
    expect(desk.get_by_role("link", name="Sign out")).to_be_hidden()
    expect(summary).to_be_focused()

    restart = button(desk, "Restart (deletes all files)")
    tab_to(desk, restart)
    desk.keyboard.press("Enter")
    dialog = desk.get_by_role("dialog", name="Restart and delete all files?")
    expect(button(desk, "Cancel")).to_be_focused()
    desk.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(restart).to_be_focused()
    before = visitor.instances()[0]
    desk.keyboard.press("Enter")
    desk.keyboard.press("Enter")  # on Cancel, which has the focus: pressing Enter twice deletes nothing
    expect(dialog).to_be_hidden()
    assert [instance.id for instance in visitor.instances()] == [before.id]
    desk.keyboard.press("Enter")
    desk.keyboard.press("Tab")
    expect(button(desk, "Delete and restart")).to_be_focused()
    desk.keyboard.press("Enter")
    visitor.next_instance(before)
    expect(heading(desk)).to_have_text(READY["en"])
    expect(desk.get_by_role("link", name="Open JupyterLab")).to_be_focused()

    tab_to(desk, button(desk, "Stop"))
    desk.keyboard.press("Enter")
    desk.keyboard.press("Tab")
    desk.keyboard.press("Enter")
    expect(heading(desk)).to_have_text(IDLE["en"])
    assert visitor.instances() == []
    expect(heading(desk)).to_be_focused()


CLICK_AT_ONCE = """([restart, cancel]) => {
  const press = (words) => [...document.querySelectorAll("button")].find((b) => b.textContent === words).click();
  press(restart);
  press(cancel);
  press(restart);
}"""
"""Before the first dialog's close event. On a busy machine three real key presses can be as fast."""


def test_a_question_that_is_asked_again_at_once_gets_its_own_answer(visitor: Visitor) -> None:
    desk = visitor.open_desk()
    button(desk, "Start").click()
    expect(heading(desk)).to_have_text(READY["en"])
    before = visitor.instances()[0]
    desk.evaluate(CLICK_AT_ONCE, ["Restart (deletes all files)", "Cancel"])
    button(desk, "Delete and restart").click()
    visitor.next_instance(before)
