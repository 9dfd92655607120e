"""What a browser that is not signed in sees, and the way from there into the desk."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.axe import findings
from tests.browser.languages import told_in
from tests.browser.test_looks import PHONE, assert_fits
from tests.browser.visitor import IDLE, LANDING, Visitor, heading

Picture = Callable[..., None]


@pytest.mark.parametrize("locale", LANDING)
def test_a_stranger_sees_what_is_free_and_how_to_sign_in(
    enter: Callable[..., Visitor], picture: Picture, locale: str
) -> None:
    scheme = "light" if locale == "en-US" else "dark"
    stranger = enter(locale=locale, java_script_enabled=False, color_scheme=scheme)
    page, answer = stranger.visit("/")
    assert answer.status == 200
    expect(heading(page)).to_have_text(LANDING[locale])
    assert page.locator("[data-flavor=cpu-basic] .free-text").inner_text()
    expect(page.locator("pre")).to_contain_text("freepool link")
    assert page.locator(".examples .card").count() >= 5
    example = page.locator(".examples .card a").first.get_attribute("href") or ""
    assert example.startswith("/services/desk/open?example="), "it says how to sign in, and is opened after that"
    assert page.locator("meta[name=robots]").get_attribute("content") == "index"
    shared = page.locator("meta[property='og:image']").get_attribute("content") or ""
    assert shared.startswith(stranger.stack.url), "an address that other sites can open"
    assert stranger.stack.http.get(shared).headers["Content-Type"] == "image/png"
    picture(page, "landing", full_page=True)


def test_the_language_of_the_landing_page_is_kept_for_the_hubs_pages(visitor: Visitor) -> None:
    page, _ = visitor.visit("/services/desk/?example=ocr")
    page.get_by_role("link", name="简体中文").click()
    expect(heading(page)).to_have_text(LANDING["zh-CN"])
    assert "example=ocr" in page.url
    hub, _ = visitor.visit("/hub/login")
    expect(hub.get_by_role("heading", name="通过链接登录", exact=True)).to_be_visible()


def test_a_login_link_leads_to_the_page_that_was_asked_for(visitor: Visitor) -> None:
    page, _ = visitor.visit("/services/desk/?example=ocr")
    expect(heading(page)).to_have_text(LANDING["en-US"])
    page.goto(visitor.stack.link_for(visitor.user))
    expect(heading(page)).to_have_text("Read the text in a picture")
    assert page.url.endswith("/services/desk/open?example=ocr")
    assert visitor.instances() == []


def test_no_address_of_another_site_is_opened_after_a_login(visitor: Visitor) -> None:
    elsewhere = b"//evil.example/".hex()
    visitor.context.add_cookies([{"name": "freepool-next", "value": elsewhere, "url": f"{visitor.stack.url}/hub/"}])
    page, _ = visitor.visit(visitor.stack.link_for(visitor.user).removeprefix(visitor.stack.url))
    expect(heading(page)).to_have_text(IDLE["en"])
    assert page.url == f"{visitor.stack.url}/services/desk/"


@told_in("zh-CN", "locale", english="en-US")
def test_the_hubs_pages_have_the_header_of_the_desk(
    enter: Callable[..., Visitor], picture: Picture, locale: str
) -> None:
    scheme = "light" if locale == "en-US" else "dark"
    visitor = enter(locale=locale, color_scheme=scheme, records_requests=True)
    visitor.expected += ["status of 404", "status of 403", "status of 400", "status of 424"]
    visitor.visit(visitor.stack.link_for(visitor.user).removeprefix(visitor.stack.url))
    for path in (
        "/hub/login",
        "/hub/token",
        "/hub/nothing",
        f"/hub/user/{visitor.user}/lab",
        "/hub/accept-share?code=x",
    ):
        page, _ = visitor.visit(path)
        expect(page.locator("header .brand")).to_have_text("Freepool")
        assert page.evaluate("document.documentElement.lang") == ("en" if locale == "en-US" else "zh-CN")
        assert "JupyterHub" not in page.title()
        if path == "/hub/token":
            never = {"en-US": "Never", "zh-CN": "永不过期"}[locale]
            expect(page.locator("#token-expiration-seconds option:checked")).to_have_text(never)
        picture(page, path.strip("/").replace("/", "-").partition("?")[0])


def test_a_token_is_made_and_revoked_on_the_hubs_page(visitor: Visitor) -> None:
    visitor.open_desk()
    page, _ = visitor.visit("/hub/token")
    page.get_by_label("What it is for").fill("for a test")
    page.get_by_role("button", name="Create token").click()
    token = page.locator("#token-result")
    expect(token).not_to_be_empty()
    ask = {"Authorization": f"token {token.inner_text()}"}
    url = f"{visitor.stack.url}/hub/api/user"
    assert visitor.stack.http.get(url, headers=ask).json()["name"] == visitor.user
    row = page.get_by_role("row", name="for a test")
    row.get_by_role("button", name="Revoke").click()
    expect(row).to_have_count(0)
    assert visitor.stack.http.get(url, headers=ask).status_code == 403


@told_in("en", "locale", english="en-US")
def test_pages_for_strangers_fit_a_phone_and_pass_axe(
    enter: Callable[..., Visitor], picture: Picture, locale: str
) -> None:
    stranger = enter(locale=locale, viewport=PHONE, has_touch=True, is_mobile=True)
    violations = []
    stranger.expected.append("status of 404")
    for path in ("/", "/hub/login", "/hub/nothing", "/services/desk/status", "/services/desk/report"):
        page, _ = stranger.visit(path)
        assert_fits(page)
        violations += findings(page, path)
        picture(page, f"phone{path.replace('/', '-')}")
    assert violations == []


FIRST_PAINT = """new Promise((found) => new PerformanceObserver((list) => {
  for (const one of list.getEntriesByName("first-contentful-paint")) found(one.startTime);
}).observe({ type: "paint", buffered: true }))"""


def test_the_landing_page_and_the_desk_are_small_and_show_at_once(visitor: Visitor) -> None:
    """Compressed by whatever ends TLS they are less than this. The login's redirects are not counted."""
    page, _ = visitor.visit("/")
    sizes = "performance.getEntries().map(entry => entry.transferSize || 0).reduce((all, one) => all + one, 0)"
    assert page.evaluate(sizes) < 100_000
    assert page.evaluate(FIRST_PAINT) < 1000
    desk = visitor.open_desk()
    assert desk.evaluate(sizes) < 150_000
    preloaded = desk.locator("link[rel=modulepreload]").evaluate_all("links => links.map(link => link.href)")
    modules = "performance.getEntriesByType('resource').map(one => one.name).filter(name => /[.]js$/.test(name))"
    assert set(desk.evaluate(modules)) == set(preloaded)
    desk.reload()
    heading(desk).wait_for()
    assert desk.evaluate(FIRST_PAINT) < 1000
