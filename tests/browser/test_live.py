"""Every tab of the desk shows each change, no matter what caused it."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.visitor import IDLE, READY, STARTING, Visitor, ask, button, choose_large, heading

FIRST_STEPS = ["Request received", "Creating a new notebook (takes a few seconds)"]


def test_all_tabs_show_a_cold_start_from_its_first_step_and_a_stop(visitor: Visitor) -> None:
    here, there = visitor.open_desk(), visitor.open_desk()
    choose_large(here)
    button(here, "Start").click()
    with visitor.held_start():
        late = visitor.open_desk()  # opened during the start, and shows all its steps
        for tab in (here, there, late):
            expect(heading(tab)).to_have_text(STARTING["en"])
            expect(tab.locator(".step-text")).to_have_text(FIRST_STEPS)
            expect(tab.get_by_role("progressbar", name="Progress")).to_have_attribute("value", "20")
    for tab in (here, there, late):
        expect(heading(tab)).to_have_text(READY["en"])

    asking = ask(here, "Restart (deletes all files)")
    ask(there, "Stop").get_by_role("button", name="Delete and stop").click()
    for tab in (here, there, late):
        expect(heading(tab)).to_have_text(IDLE["en"])
    expect(asking).to_be_hidden()  # the instance is gone, so the question is withdrawn
    assert visitor.instances() == []


def test_a_cancelled_start_leaves_nothing_and_the_next_start_works(visitor: Visitor) -> None:
    desk = visitor.open_desk()
    choose_large(desk)
    button(desk, "Start").click()
    with visitor.held_start():
        slot = next(slot.id for slot in visitor.stack.slots() if slot.holder_id == visitor.instances()[0].id)
        button(desk, "Cancel").click()
    expect(heading(desk)).to_have_text(IDLE["en"])
    expect(desk.get_by_role("alert")).to_be_empty()
    assert visitor.instances() == []
    assert slot not in visitor.stack.slot_folders()
    button(desk, "Start").click()
    expect(heading(desk)).to_have_text(READY["en"])


def test_a_disabled_button_looks_disabled_under_the_pointer_too(visitor: Visitor) -> None:
    """After a click the pointer is still on the button that now says "Starting…"."""
    desk = visitor.open_desk()
    desk.emulate_media(reduced_motion="reduce")  # else the colour would still be in transition
    desk.route("**/services/desk/api/**", lambda route: None if route.request.method == "POST" else route.continue_())
    start = desk.locator("#start")
    colours = "one => [getComputedStyle(one).color, getComputedStyle(one).backgroundColor]"
    enabled = start.evaluate(colours)
    start.click()
    expect(start).to_have_text("Starting…")
    under_the_pointer = start.evaluate(colours)
    desk.mouse.move(0, 0)
    assert under_the_pointer == start.evaluate(colours) != enabled


def test_a_start_and_a_stop_by_the_rest_api_show_at_once(visitor: Visitor) -> None:
    desk = visitor.open_desk()
    visitor.stack.start(visitor.user)
    expect(heading(desk)).to_have_text(READY["en"])
    assert desk.title() == "● Running - Freepool"
    visitor.stack.stop(visitor.user)
    expect(heading(desk)).to_have_text(IDLE["en"])
    assert desk.title() == "Freepool"


def test_an_instance_that_its_user_shuts_down_in_jupyterlab_is_explained_until_dismissed(visitor: Visitor) -> None:
    desk = visitor.open_desk()
    button(desk, "Start").click()
    expect(heading(desk)).to_have_text(READY["en"])
    shut_down(visitor)
    expect(heading(desk)).to_have_text(IDLE["en"])
    explanation = desk.get_by_text("You shut your notebook down in JupyterLab. Its files were deleted.")
    expect(explanation.and_(desk.locator("p"))).to_be_visible()
    button(desk, "Dismiss").click()
    expect(desk.locator(".last")).to_have_count(0)
    desk.reload()
    expect(heading(desk)).to_have_text(IDLE["en"])
    expect(desk.locator(".last")).to_have_count(0)


def shut_down(visitor: Visitor) -> None:
    """The request of JupyterLab's File > Shut Down."""
    token = visitor.stack.user_token(visitor.user)
    address = f"{visitor.stack.url}/user/{visitor.user}/api/shutdown"
    assert visitor.stack.http.post(address, headers={"Authorization": f"token {token}"}, timeout=30).status_code == 200


def test_a_page_shows_the_current_state_after_going_back(visitor: Visitor) -> None:
    desk = visitor.open_desk()
    desk.goto(f"{visitor.stack.url}/services/desk/nothing")
    visitor.expected.append("status of 404")
    visitor.stack.start(visitor.user)
    go_back(desk)
    expect(heading(desk)).to_have_text(READY["en"])


def go_back(page: Page) -> None:
    """Go back in the history, which may restore the page from the back-forward cache."""
    page.go_back(wait_until="commit")
