"""The ways to the desk, and JupyterHub's own pages around it."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.visitor import IDLE, READY, Visitor, heading

Picture = Callable[..., None]


def test_without_a_link_the_page_says_how_to_get_one(visitor: Visitor, picture: Picture) -> None:
    page, _ = visitor.visit("/")
    expect(
        page.get_by_text("Open the link that freepool up printed, or make a new one with freepool link.")
    ).to_be_visible()
    expect(page.get_by_text("请打开 freepool up 打印的链接，或用 freepool link 生成新链接。")).to_be_visible()
    picture(page, "login")


def test_a_link_that_is_not_genuine_lets_nobody_in(visitor: Visitor, picture: Picture) -> None:
    visitor.expected.append("status of 403")
    genuine = visitor.stack.link_for(visitor.user)
    forged = genuine.replace(f"user={visitor.user}", "user=somebody-else").removeprefix(visitor.stack.url)
    page, answer = visitor.visit(forged)
    assert answer.status == 403
    expect(page.get_by_text("This link is not valid. Make a new one with freepool link.")).to_be_visible()
    expect(page.get_by_text("此链接无效，请用 freepool link 生成新链接。")).to_be_visible()
    picture(page, "forged")
    page.goto(f"{visitor.stack.url}/services/desk/")
    assert page.url.startswith(f"{visitor.stack.url}/hub/login")


def test_home_of_jupyterhub_and_the_root_lead_to_the_desk(visitor: Visitor) -> None:
    visitor.open_desk()
    for path in ("/", "/hub/", "/hub/home"):
        page, _ = visitor.visit(path)
        page.wait_for_url("**/services/desk/")
        expect(heading(page)).to_have_text(IDLE["en"])


def test_after_logging_out_the_desk_asks_for_the_link(visitor: Visitor) -> None:
    desk = visitor.open_desk()
    desk.locator("summary").click()
    desk.get_by_role("link", name="Log out").click()
    desk.wait_for_url("**/hub/login*")
    desk.goto(f"{visitor.stack.url}/services/desk/")
    desk.wait_for_url("**/hub/login*")


def test_jupyterhubs_spawn_page_lends_the_default_whatever_its_address_says(visitor: Visitor) -> None:
    """A plain GET of /hub/spawn starts a server in JupyterHub: harmless here, as what it starts is free."""
    visitor.open_desk()
    page, _ = visitor.visit("/hub/spawn?flavor=cpu-large&image=nonsense")
    page.wait_for_url(f"**/user/{visitor.user}/lab*")
    assert [(loan.flavor, loan.image) for loan in visitor.loans()] == [("cpu-basic", "light")]
    desk, _ = visitor.visit("/services/desk/")
    expect(heading(desk)).to_have_text(READY["en"])
