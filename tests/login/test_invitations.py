"""Accounts that are new: by invitation, or so many a day, with a real hub and a real provider, and in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from spawner.cli import main
from spawner.ledger.people import invitations, people
from spawner.ledger.people.rows import TrustClass
from tests.browser.visitor import IDLE, Visitor, heading, launch
from tests.login.provider import Provider, client_with_cookies, log_in
from tests.login.test_provider import shot, sign_in
from tests.stack import Stack, eventually

LEARNER = {"realm_access": {"roles": ["learners"]}}
LIMITS = {"new": {"session_minutes": 30}, "known": {"session_minutes": 60}}


@pytest.fixture(scope="module")
def with_people(login_stack: tuple[Stack, Provider]) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Restarts hub and desk with this section, and with one proxy in front, so that tests can come from anywhere."""
    stack = login_stack[0]
    file = stack.state / "settings.json"
    before = file.read_text()

    def use(people: dict[str, Any]) -> None:
        file.write_text(json.dumps({**json.loads(before), "people": people, "trusted_proxies": 1}))
        restart(stack)

    try:
        yield use
    finally:
        file.write_text(before)
        restart(stack)


def restart(stack: Stack) -> None:
    pids = {name: stack.pids(name) for name in ("hub", "desk")}
    for name in pids:
        stack.kill(name)
    for name, old in pids.items():
        eventually(lambda name=name, old=old: stack.pids(name) not in ([], old), what=f"another {name}")
    for path in ("/hub/health", "/services/desk/health"):
        eventually(lambda path=path: stack.http.get(f"{stack.url}{path}").status_code == 200, what=path)


@pytest.fixture(scope="module")
def by_invitation(login_stack: tuple[Stack, Provider], with_people: Callable[[dict[str, Any]], None]) -> None:
    stack, provider = login_stack
    provider.account("here-before", **LEARNER)
    with client_with_cookies() as client:
        assert enter(stack, client, "here-before").url.path == "/services/desk/"
    with_people({"invitation_only": True, "known": [{"claims": {"email_verified": True}}], "limits": LIMITS})


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with client_with_cookies() as client:
        yield client


def enter(stack: Stack, client: httpx.Client, account: str) -> httpx.Response:
    return log_in(client, f"{stack.url}/hub/oauth_login", account)


def freepool(stack: Stack, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command prints."""
    main([arguments[0], "--state", str(stack.state), *arguments[1:]])
    return capsys.readouterr().out.strip()


def code_of(link: str) -> str:
    (code,) = parse_qs(urlsplit(link).query)["code"]
    return code


def token_of(page: httpx.Response) -> str:
    found = re.search('name="_xsrf" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def send(stack: Stack, client: httpx.Client, code: str) -> httpx.Response:
    page = f"{stack.url}/hub/invitation"
    return client.post(page, data={"_xsrf": token_of(client.get(page)), "code": code})


def use(stack: Stack, client: httpx.Client, code: str, account: str) -> httpx.Response:
    """Send the code, and log in as this account from where that leads to."""
    answer = send(stack, client, code)
    assert answer.status_code == 302, answer.text
    return log_in(client, f"{stack.url}{answer.headers['Location']}", account)


def is_inside(stack: Stack, page: httpx.Response, account: str) -> bool:
    has_user = stack.api("GET", f"/users/{account}").status_code == 200
    assert has_user == (page.url.path == "/services/desk/"), page.text
    return has_user


# --- by invitation only -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("by_invitation")
def test_a_new_account_is_asked_for_an_invitation_and_leaves_nothing(
    stack: Stack, provider: Provider, client: httpx.Client
) -> None:
    provider.account("uninvited", **LEARNER)
    page = enter(stack, client, "uninvited")
    assert page.status_code == 403
    assert not is_inside(stack, page, "uninvited")
    assert "New accounts need an invitation, and uninvited is a new account here." in page.text
    assert "新账号需要邀请码，uninvited 在本平台是新账号。" in page.text
    assert '<a href="/hub/invitation">' in page.text
    assert stack.ledger.read(people.of_name, "uninvited") == []
    assert "Enter your invitation</a>" in client.get(f"{stack.url}/hub/login").text


@pytest.mark.usefixtures("by_invitation")
def test_who_was_here_before_and_who_the_settings_name_need_none(stack: Stack, provider: Provider) -> None:
    provider.account("olaf", realm_access={"roles": ["operators"]})
    provider.account("ann")
    for account in ("here-before", "olaf", "ann"):
        with client_with_cookies() as client:
            assert is_inside(stack, enter(stack, client, account), account)


@pytest.mark.usefixtures("by_invitation")
def test_a_link_lets_one_account_in_with_its_class_and_is_in_no_log(
    stack: Stack, provider: Provider, client: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    link = freepool(stack, capsys, "invite", "--class", "new", "--group", "class-7", "--note", "for the test")
    code = code_of(link)
    page = client.get(link)
    assert page.status_code == 200
    assert f'value="{code}"' in page.text
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"
    (listed,) = freepool(stack, capsys, "invitations").splitlines()
    assert re.search(r"; open; until .*; new; groups class-7; by \w+ at .*; for the test$", listed), (
        "a GET uses nothing"
    )
    forged = client.post(f"{stack.url}/hub/invitation", data={"code": code})
    assert forged.status_code == 403
    assert client.cookies.get("freepool-invitation") is None
    provider.account("guest", **LEARNER)
    assert is_inside(stack, use(stack, client, code, "guest"), "guest")
    assert client.cookies.get("freepool-invitation") is None, "it has served"
    guest = stack.ledger.read(people.get, stack.person_of("guest"))
    assert guest.trust is TrustClass.NEW
    (used,) = [one for one in stack.ledger.read(invitations.list_invitations) if one.used_by == guest.id]
    assert f"used by guest ({guest.id})" in freepool(stack, capsys, "invitations", "--all")
    with client_with_cookies() as second:
        refused = send(stack, second, code)
        assert refused.status_code == 403
        assert "This invitation was already used: each is for one account." in refused.text
        assert "此邀请码已被使用" in refused.text
    with pytest.raises(SystemExit):
        freepool(stack, capsys, "revoke-invitation", used.id)
    assert "cannot be revoked" in capsys.readouterr().err
    stack.kill("hub")
    stack.http.get(link)  # while the hub is away the proxy logs the request
    eventually(lambda: stack.http.get(f"{stack.url}/hub/health").status_code == 200, what="the hub's answer")
    logs = {name: stack.log(name) for name in ("hub", "proxy", "desk", "steward")}
    assert "/hub/invitation" in logs["hub"]
    assert [name for name, text in logs.items() if code in text] == []
    assert code.encode() not in (stack.state / "ledger.sqlite").read_bytes()


@pytest.mark.usefixtures("by_invitation")
def test_the_class_is_said_on_the_desk_and_shortens_a_session(
    stack: Stack, provider: Provider, client: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.account("limited", **LEARNER)
    code = code_of(freepool(stack, capsys, "invite", "--class", "new"))
    assert is_inside(stack, use(stack, client, code, "limited"), "limited")
    token = stack.user_token("limited")
    state = stack.desk("GET", "api/state", token=token).json()
    assert state["standing"] == {
        "trust": "new",
        "text": "Your account level is “new”. Your notebooks stop after 30 minutes at most.",
    }
    assert {flavor["session_seconds"] for flavor in state["flavors"]} == {1800}
    assert length(stack.run("limited")) == timedelta(minutes=30)
    stack.stop("limited")
    assert "known (set by" in freepool(stack, capsys, "trust", "limited", "known")
    assert stack.desk("GET", "api/state", token=token).json()["standing"]["trust"] == "known"
    assert length(stack.run("limited")) == timedelta(minutes=60)
    stack.stop("limited")
    told = freepool(stack, capsys, "trust", "limited", "auto")
    assert re.search(r"new \(no rule of the settings holds; left to the rules again by \w+ at", told)
    provider.account("limited", **LEARNER, email="l@example.org", email_verified=True)
    with client_with_cookies() as again:
        enter(stack, again, "limited")
    assert "known (by a rule of the settings" in freepool(stack, capsys, "trust", "limited"), "its next login says more"


def length(instance: Any) -> timedelta:
    assert isinstance(instance.usable_at, datetime)
    return instance.ends_at - instance.usable_at  # type: ignore[no-any-return]


@pytest.mark.usefixtures("by_invitation")
@pytest.mark.parametrize(
    ("change", "english", "chinese"),
    [
        ("unknown", "This invitation is not valid.", "此邀请码无效"),
        ("expired", "This invitation has expired.", "此邀请码已过期"),
        ("revoked", "This invitation was revoked.", "此邀请码已被撤销"),
    ],
)
def test_a_code_that_is_not_good_is_refused_in_words(
    stack: Stack, client: httpx.Client, capsys: pytest.CaptureFixture[str], change: str, english: str, chinese: str
) -> None:
    code = code_of(freepool(stack, capsys, "invite", "--days", "7" if change != "expired" else "0.0000001"))
    if change == "unknown":
        code = invitations.new_code()
    if change == "revoked":
        newest = stack.ledger.read(invitations.list_invitations)[0]
        freepool(stack, capsys, "revoke-invitation", newest.id)
    page = send(stack, client, code)
    assert page.status_code == 403
    assert english in page.text
    assert chinese in page.text
    assert code not in page.text


@pytest.mark.usefixtures("by_invitation")
def test_an_invitation_that_is_revoked_during_the_login_is_refused_at_its_end(
    stack: Stack, provider: Provider, client: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.account("too-late", **LEARNER)
    answer = send(stack, client, code_of(freepool(stack, capsys, "invite")))
    freepool(stack, capsys, "revoke-invitation", stack.ledger.read(invitations.list_invitations)[0].id)
    page = log_in(client, f"{stack.url}{answer.headers['Location']}", "too-late")
    assert page.status_code == 403
    assert "This invitation was revoked." in page.text
    assert not is_inside(stack, page, "too-late")


@pytest.mark.usefixtures("by_invitation")
def test_guessing_is_limited_by_address(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    good = code_of(freepool(stack, capsys, "invite"))
    with client_with_cookies() as guesser, client_with_cookies() as neighbour:
        guesser.headers["X-Forwarded-For"] = "198.51.100.7"
        neighbour.headers["X-Forwarded-For"] = "198.51.100.8"
        page = f"{stack.url}/hub/invitation"
        token = token_of(guesser.get(page))
        for number in range(10):
            guesser.headers["X-Real-Ip"] = f"192.0.2.{number}"
            guesser.headers["X-Forwarded-For"] = f"192.0.2.{number}, 198.51.100.7"  # as a client may invent it
            token = token_of(guesser.get(page))
            assert guesser.post(page, data={"_xsrf": token, "code": invitations.new_code()}).status_code == 403
        refused = guesser.post(page, data={"_xsrf": token, "code": good})
        assert refused.status_code == 429
        assert 0 < int(refused.headers["Retry-After"]) <= 600
        assert "Too many invalid invitation codes from your address." in refused.text
        assert "无效邀请码过多" in refused.text
        assert send(stack, neighbour, good).status_code == 302


# --- in a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


@pytest.mark.usefixtures("by_invitation")
@pytest.mark.parametrize(
    ("locale", "link_text", "button", "says", "said"),
    [
        (
            "en-US",
            "Enter an invitation",
            "Sign in with this invitation",
            "New accounts need an invitation",
            "Your account level is “known”.",
        ),
        ("zh-CN", "输入邀请码", "凭邀请码登录", "新账号需要邀请码", "你的账号级别为“已知”。"),
    ],
)
def test_somebody_with_a_browser_is_asked_for_the_invitation_and_comes_in_with_it(
    stack: Stack,
    provider: Provider,
    chromium: Browser,
    capsys: pytest.CaptureFixture[str],
    locale: str,
    link_text: str,
    button: str,
    says: str,
    said: str,
) -> None:
    account = f"invited-{locale}".lower()
    provider.account(account, **LEARNER)
    link = freepool(stack, capsys, "invite")
    visitor = Visitor.enter(chromium, stack, account, locale=locale)
    visitor.expected.append("status of 403")
    page, _ = visitor.visit("/hub/oauth_login")
    sign_in(page, account)
    expect(page.get_by_text(says)).to_be_visible()
    shot(page, f"uninvited-{locale}")
    page.get_by_role("link", name=link_text).click()
    page.locator("#code").fill("wrong")
    page.get_by_role("button", name=button).click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.goto(link)
    expect(page.locator("#code")).to_have_value(code_of(link))
    shot(page, f"invitation-{locale}")
    page.get_by_role("button", name=button).click()
    page.wait_for_url("**/services/desk/")  # the provider still knows the account
    expect(heading(page)).to_have_text(IDLE[locale.replace("en-US", "en")])
    expect(page.get_by_text(said)).to_be_visible()
    shot(page, f"class-{locale}")
    visitor.context.close()
    assert visitor.unexpected == []


# --- so many a day ----------------------------------------------------------------------------------------------------


def test_a_full_day_refuses_new_accounts_of_a_network_also_after_a_restart(
    stack: Stack,
    provider: Provider,
    capsys: pytest.CaptureFixture[str],
    with_people: Callable[[dict[str, Any]], None],
) -> None:
    """The last test of this file: it changes what the others need."""
    for number in range(5):
        provider.account(f"many-{number}", **LEARNER)

    def come(account: str, address: str, code: str | None = None) -> httpx.Response:
        with client_with_cookies() as client:
            client.headers["X-Forwarded-For"] = address
            return use(stack, client, code, account) if code else enter(stack, client, account)

    with_people({"new_per_network_per_day": 1, "new_per_day": 2})
    assert is_inside(stack, come("many-0", "203.0.113.7"), "many-0")
    page = come("many-1", "203.0.113.200")
    assert page.status_code == 429
    assert not is_inside(stack, page, "many-1")
    assert 0 < int(page.headers["Retry-After"]) <= 86400
    assert "No more new accounts are accepted from your network today. Try again after 20" in page.text
    assert "今日来自你所在网络的新账号名额已满" in page.text
    assert come("many-1", "192.0.2.1, 203.0.113.200").status_code == 429, "what a client invents does not count"
    assert is_inside(stack, come("many-2", "2001:db8:1:2300::1"), "many-2")
    restart(stack)
    full = come("many-3", "2001:db8:2::1")
    assert full.status_code == 429
    assert "No more new accounts are accepted today." in full.text
    assert "今日新账号名额已满" in full.text
    assert is_inside(stack, come("many-0", "203.0.113.7"), "many-0"), "nobody known is hurt"
    code = code_of(freepool(stack, capsys, "invite", "--class", "trusted"))
    assert is_inside(stack, come("many-4", "203.0.113.9", code), "many-4")
    assert "203.0.113" not in (stack.state / "ledger.sqlite").read_bytes().decode("latin-1")
