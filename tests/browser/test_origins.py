"""A page of a notebook whose server is an attacker's cannot act on the desk."""

from __future__ import annotations

import html
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page

from spawner.ledger.paid import orders
from tests.browser.hostile import READ_DESK, TAKE_OVER, hostile_settings
from tests.browser.visitor import PATIENCE_MS, heading
from tests.cloud.steer import QUICK, Steer, steer_beside
from tests.lean import with_lean
from tests.paid_desk.forms import Browser, fresh_account
from tests.stack import Stack, eventually, running_stack, write_catalog

DESK = "/services/desk/"
VICTIM, ATTACKER = "victim", "attacker"
CODE = "Mozilla/5.0 (X11; Linux x86_64) "


@contextmanager
def running(**changes: object) -> Iterator[Stack]:
    """A stack with the stand-in cloud, whose notebook servers are the attacker's. The attacker's runs."""
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    try:
        with running_stack(
            folder / "s",
            catalog=write_catalog(folder / "catalog.yaml", with_lean),
            settings=hostile_settings(folder, **changes),
            arguments=("--demo-cloud",),
        ) as stack:
            steer_beside(stack.state).quirk(pace=QUICK)
            stack.add_user(ATTACKER)
            assert stack.start(ATTACKER).status_code in (201, 202)
            eventually(lambda: any(one.state == "running" for one in stack.unended()), what="the attacker's server")
            yield stack
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def apart() -> Iterator[Stack]:
    """As `make run` starts it: each user's notebooks have a host."""
    with running() as stack:
        yield stack


@pytest.fixture(scope="module")
def shared() -> Iterator[Stack]:
    """On one origin."""
    with running(notebook_hosts="shared") as stack:
        yield stack


@dataclass
class Victim:
    """A user with a browser who opens the attacker's page."""

    stack: Stack
    context: BrowserContext

    @property
    def url(self) -> str:
        """Of the hub and the desk, as browsers see it, without the last slash."""
        return self.stack.settings.public_url.rstrip("/")

    @property
    def notebook(self) -> str:
        """URL of the attacker's server."""
        url = urlsplit(self.url)
        host = url.netloc if self.stack.settings.subdomain_host is None else f"{ATTACKER}.{url.netloc}"
        return f"{url.scheme}://{host}/user/{ATTACKER}/"

    def sign_in(self, name: str = VICTIM) -> Page:
        """Follow a link, and show the desk."""
        self.stack.add_user(name)
        page = self.context.new_page()
        page.goto(self.stack.link_for(name))
        heading(page).wait_for()
        return page

    def lured(self, *cookies: str) -> Page:
        """A tab with the attacker's page, which sets these cookies."""
        page = self.context.new_page()
        page.goto(f"{self.notebook}page.html?{urlencode([('Set-Cookie', cookie) for cookie in cookies])}")
        assert page.inner_text("h1") == "notebook"
        return page

    def at(self, path: str) -> Page:
        """A tab with a page of the desk or the hub."""
        page = self.context.new_page()
        page.goto(self.url + path)
        return page


@contextmanager
def browsing(chromium: Chromium, stack: Stack, **options: Any) -> Iterator[Victim]:
    """A browser of a new user. `options` are Playwright's."""
    context = chromium.new_context(**{"locale": "en-US", "ignore_https_errors": True} | options)
    context.set_default_timeout(PATIENCE_MS)
    try:
        yield Victim(stack, context)
    finally:
        context.close()


def asked(stack: Stack) -> str:
    """The victim has linked an account and read the terms: the next click is billed. Returns that page's path."""
    cloud: Steer = steer_beside(stack.state)
    browser = Browser(stack, VICTIM)
    try:
        consent = browser.ask(browser.link(fresh_account(cloud, 77, VICTIM)))
    finally:
        browser.client.close()
    return f"{DESK}paid/consents/{consent}"


def test_a_notebook_that_opens_the_desk_reads_no_token_and_clicks_nothing(chromium: Chromium, apart: Stack) -> None:
    question = asked(apart)
    with browsing(chromium, apart) as victim:
        victim.sign_in()
        page = victim.lured()
        for path in (question, DESK, "/hub/token", "/hub/home"):
            seen = page.evaluate(READ_DESK, apart.url + path)
            assert seen in ("closed", "SecurityError"), (path, seen)
        button = victim.at(question).get_by_role("button", name="Approve and start")
        button.wait_for()  # where the victim goes by themselves, the page is whole
    assert apart.ledger.read(orders.of_person, apart.person_of(VICTIM)) == []


def test_a_notebooks_service_worker_rewrites_its_own_origin_only(chromium: Chromium, apart: Stack) -> None:
    with browsing(chromium, apart) as victim:
        victim.sign_in()
        page = victim.lured()
        assert page.evaluate(TAKE_OVER, f"{victim.notebook}worker.js") == "registered"
        page.reload()
        assert page.inner_text("h1") == "rewritten"
        desk = victim.at(DESK)
        assert heading(desk).inner_text() == "Start a free notebook"
        refused = desk.evaluate(TAKE_OVER, f"{apart.url}/user/{ATTACKER}/worker.js")
        assert refused != "registered", "nothing of a notebook is a script on the desk's host"


def test_no_page_of_the_hub_or_the_desk_is_served_on_a_users_host(apart: Stack) -> None:
    """Who logged in there would be logged in on the attacker's origin."""
    host = {"Host": urlsplit(Victim(apart, None).notebook).netloc}  # type: ignore[arg-type]
    with httpx.Client(base_url=f"http://127.0.0.1:{apart.port}", headers=host) as client:
        for path in ("/hub/login", "/hub/token", "/hub/api/user"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["Location"]) == (302, apart.url + path)
        assert client.post("/hub/login").status_code == 403
        for headers in (host, {"Host": f"127.0.0.1:{apart.port}"}):
            elsewhere = client.get(DESK, headers=headers)
            assert (elsewhere.status_code, elsewhere.headers["Location"]) == (302, f"{apart.url}{DESK}")


def test_on_a_shared_origin_the_opener_is_cut_and_a_service_worker_is_why_pages_are_off(
    chromium: Chromium, shared: Stack
) -> None:
    with browsing(chromium, shared) as victim:
        desk = victim.sign_in()
        banner = desk.locator(".banner").inner_text()
        assert "Notebooks share this page's address." in banner
        page = victim.lured()
        seen = page.evaluate(READ_DESK, shared.url + DESK)
        assert seen in ("closed", "SecurityError"), f"a page of the same origin, too: {seen}"
        assert page.evaluate(TAKE_OVER, f"{victim.notebook}worker.js") == "registered"
        assert victim.at(DESK).inner_text("h1") == "rewritten", "no header of the desk's can prevent this"


def test_on_a_shared_origin_paid_administrators_and_token_pages_are_off(chromium: Chromium, shared: Stack) -> None:
    admin = "admin"
    shared.add_user(admin)
    assert shared.api("PATCH", f"/users/{admin}", json={"admin": True}).status_code == 200
    assert any("notebooks share the origin" in line and "trust_notebooks" in line for line in shared.output)
    with browsing(chromium, shared) as victim:
        desk = victim.sign_in(admin)
        links = desk.locator(".account-menu a").evaluate_all("links => links.map(link => link.textContent)")
        assert links == ["History", "Sign out"]
        for path in ("paid", "admin", "admin/paid", "admin/people"):
            answer = victim.context.new_page().goto(f"{shared.url}{DESK}{path}")
            assert answer is not None
            assert answer.status == 403, path
            assert "notebooks share this site's address" in html.unescape(answer.text())
            assert "trust_notebooks" in answer.text()
        for path in ("/hub/token", "/hub/admin"):
            page = victim.at(path)
            assert page.get_by_role("heading", name="This page is turned off").is_visible(), path
        made_up = victim.at(DESK).evaluate(
            """async () => (await fetch("/services/desk/api/admin", { headers: { Authorization: "token made-up",
              "X-XSRFToken": document.querySelector("[data-xsrf]").dataset.xsrf } })).status"""
        )
        assert made_up == 403, "JupyterHub takes the cookie where a token is not valid"
        hub = victim.at("/hub/token")
        said = hub.evaluate(
            """async () => {
              const token = document.cookie.match(/_xsrf=([^;]+)/)?.[1] ?? "";
              const call = (method, path) => fetch(`/hub/api/${path}?_xsrf=${encodeURIComponent(token)}`, {
                method, headers: {"Content-Type": "application/json"}, body: method === "GET" ? undefined : "{}" });
              return Promise.all([["POST", "users/admin/tokens"], ["GET", "users"], ["POST", "users/eve"]].map(
                async ([method, path]) => (await call(method, path)).status));
            }"""
        )
        assert said == [403, 403, 403], "a script of that origin mints no token and administrates nothing"
    token = shared.user_token(admin)
    assert shared.desk("GET", "api/admin", token=token).status_code == 200, "programs still can"


def test_a_shared_origin_is_explained_in_chinese_on_a_phone(
    chromium: Chromium, shared: Stack, picture: Callable[..., None]
) -> None:
    shared.add_user("phone")
    with browsing(chromium, shared, locale="zh-CN", viewport={"width": 360, "height": 740}) as victim:
        desk = victim.sign_in("phone")
        assert "共用同一地址" in desk.locator(".banner").inner_text()
        paid, token = victim.at(f"{DESK}paid"), victim.at("/hub/token")
        assert "付费 Notebook 已停用" in paid.inner_text("main")
        assert token.get_by_role("heading", name="此页面已停用").is_visible()
        for name, page in (("desk", desk), ("paid", paid), ("token", token)):
            picture(page, name, full_page=True)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, name


def desk_cookies(victim: Victim) -> dict[str, str]:
    """Cookies for the desk and the hub in this browser, by name."""
    found = [*victim.context.cookies(victim.url + DESK), *victim.context.cookies(f"{victim.url}/hub/")]
    return {str(cookie["name"]): str(cookie["value"]) for cookie in found}


def tossed(cookies: dict[str, str], domain: str) -> list[str]:
    """The attacker's own cookies, for a parent domain, with and without the prefix, for every path that could count."""
    plain = {name.removeprefix("__Host-"): value for name, value in cookies.items()}
    return [
        f"{prefix}{name}={value}; Domain={domain}; Path={path}; Secure"
        for name, value in plain.items()
        for prefix in ("", "__Host-")
        for path in ("/", DESK, "/hub/")
    ]


def test_below_localhost_the_browser_takes_no_cookies_of_a_notebook_for_the_desk(
    chromium: Chromium, apart: Stack
) -> None:
    with browsing(chromium, apart) as attacker:
        attacker.sign_in(ATTACKER)
        cookies = desk_cookies(attacker)
    assert "service-desk" in cookies
    with browsing(chromium, apart) as victim:
        victim.lured(*tossed(cookies, "localhost"))
        assert victim.at(DESK).locator(".account-name").count() == 0
        assert victim.sign_in().inner_text(".account-name") == VICTIM
        victim.lured(*tossed(cookies, "localhost"))
        assert victim.at(DESK).locator(".account-name").inner_text() == VICTIM


@pytest.mark.parametrize(
    ("agent", "policy"),
    [
        ("Chrome/156.0.0.0 Safari/537.36", "noopener-allow-popups"),
        ("", "noopener-allow-popups"),
        ("Gecko/20100101 Firefox/140.0", "same-origin"),
        ("AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/605.1.15", "same-origin"),
    ],
)
def test_every_page_cuts_its_opener_off_as_far_as_the_browser_knows_how(apart: Stack, agent: str, policy: str) -> None:
    for path in (DESK, f"{DESK}paid", f"{DESK}admin", f"{DESK}nothing"):
        answer = apart.http.get(apart.url + path, headers={"User-Agent": (CODE + agent).strip()})
        assert answer.headers["Cross-Origin-Opener-Policy"] == policy, path
    assert apart.http.get(f"{apart.url}/hub/login").headers["Cross-Origin-Opener-Policy"] == "noopener-allow-popups"
