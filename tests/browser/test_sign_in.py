"""The sign-in link, and JupyterHub's own pages."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.visitor import IDLE, LANDING, READY, Visitor, heading

Picture = Callable[..., None]


LINKS = {
    "en-US": (
        "Open the link that you were given, or that freepool up printed. Administrators make new ones with freepool "
        "link: in the terminal, or on a cluster in the hub’s pod.",
        "This link is incomplete or not valid. Ask the person who gave it to you for a new one. Administrators make "
        "links with freepool link.",
    ),
    "zh-CN": (
        "请打开你收到的链接，或 freepool up 打印的链接。管理员可用 freepool link 生成新链接："
        "在终端中运行，集群上则在 hub 的 pod 中运行。",
        "此链接不完整或无效。请向给你链接的人索取新链接。管理员可用 freepool link 生成。",
    ),
}


@pytest.mark.parametrize("locale", LINKS)
def test_the_login_page_says_how_to_get_a_link(enter: Callable[..., Visitor], picture: Picture, locale: str) -> None:
    page, _ = enter(locale=locale).visit("/hub/login")
    expect(page.get_by_text(LINKS[locale][0])).to_be_visible()
    picture(page, "login")


@pytest.mark.parametrize("locale", LINKS)
def test_a_forged_link_is_refused(enter: Callable[..., Visitor], picture: Picture, locale: str) -> None:
    visitor = enter(locale=locale)
    visitor.expected.append("status of 403")
    genuine = visitor.stack.link_for(visitor.user)
    forged = genuine.replace(f"user={visitor.user}", "user=somebody-else").removeprefix(visitor.stack.url)
    page, answer = visitor.visit(forged)
    assert answer.status == 403
    expect(page.get_by_text(LINKS[locale][1])).to_be_visible()
    assert "token=" not in page.content()
    picture(page, "forged")
    page.goto(f"{visitor.stack.url}/services/desk/")
    expect(heading(page)).to_have_text(LANDING[locale])


def test_the_root_and_jupyterhubs_home_redirect_to_the_desk(visitor: Visitor) -> None:
    visitor.open_desk()
    for path in ("/", "/hub/", "/hub/home"):
        page, _ = visitor.visit(path)
        page.wait_for_url("**/services/desk/")
        expect(heading(page)).to_have_text(IDLE["en"])


def test_a_logout_says_so_and_then_the_desk_shows_the_landing_page(visitor: Visitor) -> None:
    desk = visitor.open_desk()
    desk.locator(".account summary").click()
    desk.get_by_role("link", name="Sign out").click()
    desk.wait_for_url("**/hub/logout")
    expect(heading(desk)).to_have_text("You are signed out")
    desk.goto(f"{visitor.stack.url}/services/desk/")
    expect(heading(desk)).to_have_text(LANDING["en-US"])
    visitor.expected.append("status of 404")
    desk.goto(f"{visitor.stack.url}/services/desk/nothing?a=b")
    desk.get_by_role("link", name="简体中文").click()
    expect(heading(desk)).to_have_text("页面不存在")
    assert desk.url == f"{visitor.stack.url}/services/desk/nothing", "without the query, which may have a key"


def test_jupyterhubs_spawn_page_ignores_its_query_and_starts_the_default(visitor: Visitor) -> None:
    """In JupyterHub a GET of /hub/spawn starts a server. Here that is harmless, because it is free."""
    visitor.open_desk()
    page, _ = visitor.visit("/hub/spawn?flavor=cpu-large&image=nonsense")
    page.wait_for_url(f"**/user/{visitor.user}/lab*")
    assert [(instance.flavor, instance.image) for instance in visitor.instances()] == [("cpu-basic", "light")]
    desk, _ = visitor.visit("/services/desk/")
    expect(heading(desk)).to_have_text(READY["en"])
