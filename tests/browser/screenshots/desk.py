"""The home page before, during and after a start, an example that has run, and a full pool.

States are found by the controls that they have, not by words, which change.
"""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser import lab
from tests.browser.screenshots.camera import KEPT, WIDE
from tests.browser.screenshots.shoot import Shoot

IDLE, STARTING, RUNNING = "form[data-action=start]", "[data-action=cancel]", "[data-action=stop]"
WAITING, CALLED, DIALOG = "[data-action=leave]", "[data-action=take]", "dialog[open]"
START = f"{IDLE} #start"


def see(page: Page, state: str) -> None:
    """Wait until the home page is in a state."""
    expect(page.locator(state).first).to_be_visible()


def start(page: Page, flavor: str) -> None:
    """Choose a machine type, and press Start or Join the queue."""
    page.locator(f"input[value={flavor}]").check()
    page.locator(START).click()


def shoot_desk(shoot: Shoot) -> None:
    """Before, during and after a start, and the two dialogs."""
    shoot.stack.wait_warm()
    with shoot.visitor("ann") as ann:
        desk = ann.open_desk()
        see(desk, IDLE)
        shoot.take(desk, "desk", keep=True)
        desk.locator(".account summary").first.click()
        shoot.take(desk, "menu")
        desk.keyboard.press("Escape")
        start(desk, "cpu-large")
        with ann.held_start():
            see(desk, STARTING)
            expect(desk.locator(STARTING)).to_be_enabled()
            shoot.take(desk, "starting", keep=True)
            desk.locator(STARTING).click()
        see(desk, IDLE)
        start(desk, "cpu-basic")
        see(desk, RUNNING)
        shoot.take(desk, "running", keep=True)
        for action in ("restart", "stop"):
            desk.locator(f"[data-action={action}]").click()
            see(desk, DIALOG)
            shoot.take(desk, action, keep=action == "restart", full=False)
            desk.locator(f"{DIALOG} button[value=cancel]").click()


def shoot_example(shoot: Shoot) -> None:
    """An example in JupyterLab, after it has run."""
    shoot.stack.wait_warm()
    with shoot.visitor("ann", color_scheme=KEPT[shoot.language]) as ann:
        desk = ann.open_desk()
        desk.locator("[data-example=ocr]").click()
        desk.wait_for_url("**/lab/tree/**")
        lab.run_all(desk)
        desk.locator(".jp-OutputArea-output img").scroll_into_view_if_needed()
        shoot.take(desk, "example", keep=True, full=False, sizes=(WIDE,), schemes=(KEPT[shoot.language],))


def shoot_queue(shoot: Shoot) -> None:
    """A machine type that is in use: the form, the place in the queue, another machine type meanwhile, the call."""
    shoot.stack.wait_warm()
    with shoot.visitor("ann") as holder, shoot.visitor("bob") as queued:
        shoot.stack.add_user(holder.user)
        shoot.stack.run(holder.user, flavor="cpu-large")
        desk = queued.open_desk()
        desk.locator("input[value=cpu-large]").check()
        shoot.take(desk, "full", keep=True)
        desk.locator(START).click()
        see(desk, WAITING)
        shoot.take(desk, "waiting", keep=True)
        desk.locator("[data-action=instead]").first.click()
        see(desk, ".queue-banner")
        see(desk, RUNNING)
        shoot.take(desk, "meanwhile", keep=True)
        shoot.stack.stop(holder.user)
        see(desk, CALLED)
        shoot.take(desk, "held", keep=True)
        shoot.stack.leave_line(queued.user)
