"""Everything on the desk can be done without a mouse, and the focus is always somewhere."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.browser.visitor import IDLE, READY, Visitor, button, heading

MOST_STEPS = 25


def tab_to(page: Page, target: Locator, key: str = "Tab") -> None:
    """Press Tab until the focus is there."""
    for _ in range(MOST_STEPS):
        page.keyboard.press(key)
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"{MOST_STEPS} times {key} do not lead to {target}")


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
    assert [loan.flavor for loan in visitor.loans()] == ["cpu-basic"]
    expect(desk.get_by_role("link", name="Open JupyterLab")).to_be_focused()

    summary = desk.locator("summary")
    tab_to(desk, summary, "Shift+Tab")
    desk.keyboard.press("Enter")
    expect(desk.get_by_role("link", name="Log out")).to_be_visible()
    desk.keyboard.press("Escape")
    expect(desk.get_by_role("link", name="Log out")).to_be_hidden()
    expect(summary).to_be_focused()

    restart = button(desk, "Restart (wipes everything)")
    tab_to(desk, restart)
    desk.keyboard.press("Enter")
    dialog = desk.get_by_role("dialog", name="Restart and wipe everything?")
    expect(button(desk, "Cancel")).to_be_focused()
    desk.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(restart).to_be_focused()
    before = visitor.loans()[0]
    desk.keyboard.press("Enter")
    desk.keyboard.press("Enter")  # on Cancel, where the focus is: a hasty double Enter loses nothing
    expect(dialog).to_be_hidden()
    assert [loan.id for loan in visitor.loans()] == [before.id]
    desk.keyboard.press("Enter")
    desk.keyboard.press("Tab")
    expect(button(desk, "Wipe and restart")).to_be_focused()
    desk.keyboard.press("Enter")
    visitor.next_loan(before)
    expect(heading(desk)).to_have_text(READY["en"])
    expect(desk.get_by_role("link", name="Open JupyterLab")).to_be_focused()

    tab_to(desk, button(desk, "Stop"))
    desk.keyboard.press("Enter")
    desk.keyboard.press("Tab")
    desk.keyboard.press("Enter")
    expect(heading(desk)).to_have_text(IDLE["en"])
    assert visitor.loans() == []
    expect(heading(desk)).to_be_focused()


HASTE = """([restart, cancel]) => {
  const press = (words) => [...document.querySelectorAll("button")].find((one) => one.textContent === words).click();
  press(restart);
  press(cancel);
  press(restart);
}"""
"""Quicker than the browser says that the first question is closed: a busy machine lets three real keys be so, too."""


def test_what_is_asked_again_at_once_is_answered_by_its_own_answer(visitor: Visitor) -> None:
    desk = visitor.open_desk()
    button(desk, "Start").click()
    expect(heading(desk)).to_have_text(READY["en"])
    before = visitor.loans()[0]
    desk.evaluate(HASTE, ["Restart (wipes everything)", "Cancel"])
    button(desk, "Wipe and restart").click()
    visitor.next_loan(before)
