"""Login by a real, certified OpenID Connect provider, as users and administrators meet it."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from cryptography.fernet import Fernet
from playwright.sync_api import Browser, Page, expect, sync_playwright

from spawner.hub.login import crypt_keys
from tests.backends.notebook import Notebook
from tests.browser.conftest import SCREENSHOTS_VARIABLE
from tests.browser.visitor import IDLE, PATIENCE_MS, Visitor, heading, launch
from tests.login.provider import SECRET, Provider, client_with_cookies, log_in
from tests.stack import NO_TLS, Stack, eventually


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with client_with_cookies() as client:
        yield client


def enter(stack: Stack, client: httpx.Client, account: str) -> httpx.Response:
    """Log in from the login page's button."""
    return log_in(client, f"{stack.url}/hub/oauth_login", account)


def user(stack: Stack, name: str) -> dict[str, Any]:
    answer = stack.api("GET", f"/users/{name}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def look(stack: Stack, client: httpx.Client) -> int:
    """Have the hub identify the user by their cookie, which refreshes what it knows after a second."""
    time.sleep(1.05)  # auth_refresh_age of this stack
    return client.get(f"{stack.url}/hub/home").status_code


def groups_become(stack: Stack, client: httpx.Client, name: str, groups: set[str]) -> None:
    def seen() -> bool:
        assert look(stack, client) == 200
        return set(user(stack, name)["groups"]) == groups

    eventually(seen, seconds=5, what=f"groups {groups}")


# --- whom the settings admit ------------------------------------------------------------------------------------------


def test_up_prints_the_login_page_and_the_callback_url(stack: Stack) -> None:
    ready = stack.output[-1] if "Freepool is ready" in stack.output[-1] else "\n".join(stack.output)
    assert f"Open: {stack.url}/hub/login (login by Test University; its callback URL: " in ready
    assert f"{stack.url}/hub/oauth_callback)" in ready
    assert stack.http.get(stack.link).status_code == 200


def test_an_account_that_is_named_gets_in_and_is_no_administrator(
    stack: Stack, provider: Provider, client: httpx.Client
) -> None:
    provider.account("ann")
    assert enter(stack, client, "ann").url.path == "/services/desk/"
    assert user(stack, "ann")["admin"] is False


@pytest.mark.parametrize("name", ["root", "mallory"])
def test_an_account_that_nobody_named_stays_outside(
    stack: Stack, provider: Provider, client: httpx.Client, name: str
) -> None:
    """`root` administrates a trial on this machine."""
    provider.account(name, email=f"{name}@example.org", email_verified=False)
    page = enter(stack, client, name)
    assert page.status_code == 403
    assert f"You signed in to Test University as {name}, but this account has no access to this platform." in page.text
    assert f"你在 Test University 的身份是 {name}" in page.text
    assert 'data-status="403"' in page.text
    assert stack.api("GET", f"/users/{name}").status_code == 404
    assert client.get(f"{stack.url}/services/desk/api/state").status_code == 403


def test_a_refused_name_is_shown_as_text(stack: Stack, provider: Provider, client: httpx.Client) -> None:
    provider.account("evil", preferred_username="<script>alert(1)</script>")
    page = enter(stack, client, "evil")
    assert page.status_code == 403
    assert "<script>alert(1)" not in page.text


def test_a_verified_mail_address_of_the_domain_gets_in(stack: Stack, provider: Provider, client: httpx.Client) -> None:
    provider.account("by-domain", email="a@Example.org", email_verified=True)
    assert enter(stack, client, "by-domain").url.path == "/services/desk/"


def test_a_group_makes_an_administrator_and_its_loss_unmakes_them(
    stack: Stack, provider: Provider, client: httpx.Client
) -> None:
    provider.account("olga", realm_access={"roles": ["operators", "learners"]})
    assert enter(stack, client, "olga").url.path == "/services/desk/"
    assert user(stack, "olga")["admin"] is True
    assert client.get(f"{stack.url}/services/desk/admin").status_code == 200
    provider.account("olga", realm_access={"roles": ["learners"]})
    groups_become(stack, client, "olga", {"learners"})
    assert user(stack, "olga")["admin"] is False
    eventually(
        lambda: client.get(f"{stack.url}/services/desk/admin").status_code == 403, seconds=5, what="the desk's refusal"
    )


def test_the_right_of_an_administrator_does_not_outlive_the_trial(
    stack: Stack, provider: Provider, client: httpx.Client
) -> None:
    """Before there was another login, this user was an administrator."""
    stack.add_user("was-admin")
    assert stack.api("PATCH", "/users/was-admin", json={"admin": True}).status_code == 200
    old_token = stack.user_token("was-admin")
    assert stack.api("GET", "/users", token=old_token).status_code == 403, "a user whom the provider does not know"
    provider.account("was-admin", realm_access={"roles": ["learners"]})
    assert enter(stack, client, "was-admin").url.path == "/services/desk/"
    assert user(stack, "was-admin")["admin"] is False


def test_somebody_whom_an_administrator_renames_stays(stack: Stack, provider: Provider, client: httpx.Client) -> None:
    """The settings know the provider's names."""
    provider.account("ann")
    enter(stack, client, "ann")
    assert stack.api("PATCH", "/users/ann", json={"name": "ann-renamed"}).status_code == 200
    assert look(stack, client) == 200
    assert stack.api("DELETE", "/users/ann-renamed").status_code == 204


# --- groups -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("learners", {"learners"}),
        (["学习者", "gruppe-ä"], {"学习者", "gruppe-ä"}),
        (["learners", "", None, {"no": "name"}, "x" * 300], {"learners"}),
        ([{"name": "learners"}, 7], {"learners", "7"}),
        ({"learners": {}, "gpu": {}}, {"learners", "gpu"}),
        (["learners", *(f"group-{number}" for number in range(300))], None),
    ],
)
def test_groups_come_in_many_shapes(
    stack: Stack, provider: Provider, client: httpx.Client, claim: Any, expected: set[str] | None
) -> None:
    provider.account("shapes", realm_access={"roles": claim})
    assert enter(stack, client, "shapes").url.path == "/services/desk/"
    assert set(user(stack, "shapes")["groups"]) == (expected or set(claim))


def test_without_the_claim_there_are_no_groups_and_the_log_says_which_claims_there_are(
    stack: Stack, provider: Provider, client: httpx.Client
) -> None:
    provider.account("claimless", realm_access={"roles": ["learners"]})
    assert enter(stack, client, "claimless").url.path == "/services/desk/"
    provider.account("claimless", email="c@example.org", email_verified=True)
    groups_become(stack, client, "claimless", set())
    assert re.search("Groups of claimless at Test University: there is no claim realm_access.roles", stack.log("hub"))


def test_groups_change_between_logins_and_those_that_an_administrator_granted_stay(
    stack: Stack, provider: Provider, client: httpx.Client
) -> None:
    provider.account("changing", realm_access={"roles": ["learners", "gpu"]})
    enter(stack, client, "changing")
    stack.api("POST", "/groups/granted")
    granted = stack.api("POST", "/groups/granted/users", json={"users": ["changing"]})
    assert granted.status_code == 200, granted.text
    provider.account("changing", realm_access={"roles": ["learners", "new"]})
    groups_become(stack, client, "changing", {"learners", "new", "granted"})
    with client_with_cookies() as elsewhere:
        provider.account("changing", realm_access={"roles": ["learners"]})
        assert enter(stack, elsewhere, "changing").url.path == "/services/desk/"
    assert set(user(stack, "changing")["groups"]) == {"learners", "granted"}


def test_who_loses_the_group_that_let_them_in_is_out(stack: Stack, provider: Provider, client: httpx.Client) -> None:
    provider.account("leaver", realm_access={"roles": ["learners"]})
    enter(stack, client, "leaver")
    token = stack.user_token("leaver")
    assert stack.api("GET", "/user", token=token).status_code == 200
    provider.account("leaver", realm_access={"roles": ["alumni"]})
    eventually(lambda: look(stack, client) == 302, seconds=5, what="the end of the session")
    assert stack.api("GET", "/user", token=token).status_code == 403
    page = enter(stack, client, "leaver")
    assert "Test University as leaver, but this account has no access to this platform" in page.text


# --- the provider fails -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["away", "slow", "rubbish", "list", "broken"])
def test_a_failing_provider_hurts_new_logins_only(
    stack: Stack, provider: Provider, client: httpx.Client, mode: str
) -> None:
    name = f"outage-{mode}"
    provider.account(name, realm_access={"roles": ["learners"]})
    enter(stack, client, name)
    token = stack.user_token(name)
    provider.control(mode=mode)
    began = time.monotonic()
    assert look(stack, client) == 200
    started = stack.api("POST", f"/users/{name}/server", token=token)
    assert started.status_code in (201, 202), started.text
    assert stack.desk("GET", "api/state", token=token).status_code == 200
    assert client.get(f"{stack.url}/services/desk/").status_code == 200
    assert time.monotonic() - began < 8, "they wait for the provider for a second at most"
    assert set(user(stack, name)["groups"]) == {"learners"}, "what is not known has not changed"
    with client_with_cookies() as newcomer:
        page = enter(stack, newcomer, name)
    assert page.status_code == 503
    assert "Test University is not responding correctly, so nobody can sign in right now." in page.text
    assert "暂时无法登录" in page.text
    stack.stop(name)


def test_an_access_token_that_has_expired_is_renewed_and_rotated(
    stack: Stack, provider: Provider, client: httpx.Client
) -> None:
    provider.control(token_seconds=2)
    provider.account("renewed", realm_access={"roles": ["learners"]})
    enter(stack, client, "renewed")
    for number in range(3):
        provider.account("renewed", realm_access={"roles": ["learners", f"round-{number}"]})
        groups_become(stack, client, "renewed", {"learners", f"round-{number}"})


def test_an_account_that_the_provider_deletes_must_log_in_again(
    stack: Stack, provider: Provider, client: httpx.Client
) -> None:
    provider.control(token_seconds=2)
    provider.account("deleted", realm_access={"roles": ["learners"]})
    enter(stack, client, "deleted")
    provider.forget("deleted")
    eventually(lambda: look(stack, client) == 302, seconds=5, what="the end of the session")


def test_two_tabs_at_once_renew_once(stack: Stack, provider: Provider, client: httpx.Client) -> None:
    """A provider that sees a spent refresh token again revokes the whole login."""
    provider.control(token_seconds=2)
    provider.account("tabs", realm_access={"roles": ["learners"]})
    enter(stack, client, "tabs")
    cookies = {cookie.name: cookie.value for cookie in client.cookies.jar if cookie.path.startswith("/hub")}

    async def six_at_once() -> set[int]:
        async with httpx.AsyncClient(verify=NO_TLS, timeout=60, cookies=cookies) as tabs:
            pages = await asyncio.gather(*(tabs.get(f"{stack.url}/hub/home") for _ in range(6)))
        return {page.status_code for page in pages}

    time.sleep(2.1)  # the access token has expired
    provider.control(token_seconds=3600)  # the renewed one does not while it is used, however slow this machine is
    before = provider.renewals()
    with ThreadPoolExecutor(1) as thread:  # beside the event loop of Playwright
        assert thread.submit(asyncio.run, six_at_once()).result() == {200}
    assert provider.renewals() == before + 1


# --- what an attacker or an accident does -----------------------------------------------------------------------------


def test_an_answer_to_a_login_of_another_browser_is_refused(
    stack: Stack, provider: Provider, client: httpx.Client
) -> None:
    page = client.get(f"{stack.url}/hub/oauth_callback?code=stolen&state=e30=")
    assert page.status_code == 400
    assert "This sign-in was started in another window or has expired." in page.text


def test_a_name_that_another_account_has_is_not_taken_over(
    stack: Stack, provider: Provider, client: httpx.Client
) -> None:
    provider.account("first", preferred_username="shared", realm_access={"roles": ["learners"]})
    enter(stack, client, "first")
    provider.account("second", preferred_username="shared", realm_access={"roles": ["learners", "operators"]})
    with client_with_cookies() as other:
        page = enter(stack, other, "second")
        assert page.status_code == 403
        assert "The name shared is already used by another account." in page.text
    assert set(user(stack, "shared")["groups"]) == {"learners"}
    assert user(stack, "shared")["admin"] is False
    assert stack.api("DELETE", "/users/shared").status_code == 204
    with client_with_cookies() as other:
        assert enter(stack, other, "second").url.path == "/services/desk/"


def test_no_secret_of_a_login_is_in_a_log(stack: Stack, provider: Provider, client: httpx.Client) -> None:
    provider.account("logged", realm_access={"roles": ["learners"]})
    enter(stack, client, "logged")
    assert client.get(f"{stack.url}/hub/oauth_callback?code=a-code-to-hide&state=x").status_code == 400
    whole = "".join(stack.log(name) for name in ("hub", "proxy", "desk", "steward"))
    assert SECRET not in whole
    assert "a-code-to-hide" not in whole
    assert SECRET not in (stack.state / "settings.json").read_text()


def test_an_account_without_a_name_is_told_so_and_is_no_outage(
    stack: Stack, provider: Provider, client: httpx.Client
) -> None:
    provider.account("nameless", preferred_username=None, realm_access={"roles": ["learners"]})
    page = enter(stack, client, "nameless")
    assert page.status_code == 403
    assert "Test University did not complete this sign-in." in page.text
    assert "there is no claim preferred_username" in stack.log("hub")


# --- keys -------------------------------------------------------------------------------------------------------------


def test_keys_of_what_is_kept_are_rotated_and_nobody_notices(
    stack: Stack, provider: Provider, client: httpx.Client
) -> None:
    provider.account("rotated", realm_access={"roles": ["learners"]})
    enter(stack, client, "rotated")
    file = stack.state / "secrets" / crypt_keys.NAME
    assert file.stat().st_mode & 0o077 == 0
    kept = _kept(stack, "rotated")
    assert b"learners" not in kept
    file.write_text(crypt_keys.rotate(file.read_text()))
    (pid,) = stack.pids("hub")
    stack.kill("hub")
    eventually(lambda: stack.pids("hub") not in ([], [pid]), what="another hub")
    eventually(lambda: stack.http.get(f"{stack.url}/hub/health").status_code == 200, what="the hub's answer")
    assert look(stack, client) == 200
    stack.api("POST", "/groups/granted-late")
    stack.api("POST", "/groups/granted-late/users", json={"users": ["rotated"]})
    provider.account("rotated", realm_access={"roles": ["learners", "more"]})
    groups_become(stack, client, "rotated", {"learners", "more", "granted-late"})
    new_key = Fernet(base64.urlsafe_b64encode(bytes.fromhex(file.read_text().split()[0])))
    assert b"granted-late" not in new_key.decrypt(_kept(stack, "rotated")), "and the old key can go"


def _kept(stack: Stack, name: str) -> bytes:
    with closing(sqlite3.connect(stack.state / "jupyterhub.sqlite")) as database:
        (found,) = database.execute("select encrypted_auth_state from users where name = ?", (name,)).fetchone()
    return bytes(found)


# --- what operators set -----------------------------------------------------------------------------------------------


def test_variables_of_the_settings_reach_the_programs(stack: Stack, provider: Provider) -> None:
    for name in ("hub", "desk", "steward"):
        (pid,) = stack.pids(name)
        assert b"GIVEN=by the settings" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def test_variables_of_catalog_hub_and_hook_reach_an_instance(
    stack: Stack, provider: Provider, client: httpx.Client
) -> None:
    provider.account("ann")
    enter(stack, client, "ann")
    token = stack.user_token("ann")
    started = stack.start("ann", image="real")
    assert started.status_code in (201, 202), started.text
    eventually(lambda: user(stack, "ann")["servers"][""]["ready"], seconds=60, what="the notebook")

    async def ask() -> dict[str, str]:
        async with aiohttp.ClientSession() as session:
            notebook = Notebook(session, f"{stack.url}/user/ann/", token, slot_id="")
            await notebook.open_kernel()
            code = "import json, os; print(json.dumps([dict(os.environ), os.path.isfile(os.environ['SSL_CERT_FILE'])]))"
            found: dict[str, str]
            found, has_file = json.loads(await notebook.run(code))
            assert has_file
            return found

    with ThreadPoolExecutor(1) as thread:  # beside the event loop of Playwright
        found = thread.submit(asyncio.run, ask()).result()
    assert found["PIP_INDEX_URL"] == "https://mirror.example.org/simple"
    assert found["PIP_TIMEOUT"] == "9", "the hub's own file wins"
    assert (found["FROM_HUB"], found["CALLED"], found["FROM_HOOK"]) == ("hub", "ann", "hook")
    assert "FREEPOOL_SETTINGS" not in found
    stack.stop("ann")


# --- in a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for this file; each visitor has its own browser context."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


@pytest.fixture
def visitor(chromium: Browser, stack: Stack, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """Somebody with a browser, who has not logged in."""
    made = Visitor.enter(chromium, stack, "browser", locale=getattr(request, "param", "en-US"))
    yield made
    made.context.close()
    assert made.unexpected == []


def shot(page: Page, name: str) -> None:
    """Saves a screenshot if FREEPOOL_SCREENSHOTS names a folder."""
    if folder := os.environ.get(SCREENSHOTS_VARIABLE):
        page.screenshot(path=Path(folder) / f"login-{name}.png")


def sign_in(page: Page, account: str, *, consent: str | None = "Share") -> None:
    """At the provider."""
    page.get_by_label("Account").fill(account)
    page.get_by_role("button", name="Sign in").click()
    if consent:
        page.get_by_role("button", name=consent).click()


@pytest.mark.parametrize(
    ("visitor", "start", "button", "title"),
    [
        ("en-US", "Sign in and start", "Sign in with Test University", IDLE["en"]),
        ("zh-CN", "登录并开始使用", "使用 Test University 登录", IDLE["zh-CN"]),
    ],
    indirect=["visitor"],
)
def test_login_and_logout_in_a_browser(
    stack: Stack, provider: Provider, visitor: Visitor, start: str, button: str, title: str
) -> None:
    provider.account("browser", realm_access={"roles": ["学习者"]})
    page, _ = visitor.visit("/")
    shot(page, title)
    page.get_by_role("link", name=start).click()
    page.get_by_role("link", name=button).click()
    sign_in(page, "browser")
    page.wait_for_url("**/services/desk/")
    expect(heading(page)).to_have_text(title)
    page.locator(".account summary").click()
    page.get_by_role("link", name="Sign out" if title == IDLE["en"] else "退出登录").click()
    page.get_by_role("button", name="Yes, log me out").click()  # at the provider
    page.wait_for_url("**/hub/login")
    page.get_by_role("link", name=button).click()
    expect(page.get_by_label("Account")).to_be_visible()
    page.goto(f"{stack.url}/services/desk/")
    expect(page.get_by_role("link", name=start)).to_be_visible()


def test_whoever_does_not_consent_is_told_so(provider: Provider, visitor: Visitor) -> None:
    visitor.expected.append("status of 403")
    provider.account("browser-no", realm_access={"roles": ["learners"]})
    page, _ = visitor.visit("/hub/oauth_login")
    sign_in(page, "browser-no", consent="Cancel")
    expect(page.get_by_text("You did not allow signing in with Test University")).to_be_visible()
    expect(page.locator(".said-html .said[lang=zh-CN]")).to_contain_text("你没有同意使用 Test University 登录")
    shot(page, "not-agreed")
    page.get_by_role("link", name="Sign in again").click()
    expect(page.get_by_label("Account").or_(page.get_by_role("button", name="Share"))).to_be_visible()


def test_whoever_is_not_admitted_can_log_in_with_another_account(provider: Provider, visitor: Visitor) -> None:
    visitor.expected.append("status of 403")
    provider.account("browser-outside")
    provider.account("browser-inside", realm_access={"roles": ["learners"]})
    page, _ = visitor.visit("/hub/oauth_login")
    sign_in(page, "browser-outside")
    expect(page.get_by_text("as browser-outside, but this account has no access")).to_be_visible()
    shot(page, "not-admitted")
    page.get_by_role("link", name="sign in with another account").click()
    sign_in(page, "browser-inside")
    page.wait_for_url("**/services/desk/")


def test_while_the_provider_is_away_the_page_says_what_goes_on(provider: Provider, visitor: Visitor) -> None:
    visitor.expected.append("status of 503")
    provider.account("browser-away", realm_access={"roles": ["learners"]})
    page, _ = visitor.visit("/hub/oauth_login")
    page.get_by_label("Account").fill("browser-away")
    page.get_by_role("button", name="Sign in").click()
    provider.control(mode="rubbish")  # what the hub asks; its pages are there
    page.get_by_role("button", name="Share").click()
    expect(page.get_by_text("is not responding correctly, so nobody can sign in right now")).to_be_visible()
    expect(page.locator(".said-html .said[lang=zh-CN]")).to_contain_text("暂时无法登录")
    shot(page, "away")
