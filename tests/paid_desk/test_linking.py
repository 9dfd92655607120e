"""Linking a cloud account on the desk's pages: sign-in, role and workspace."""

from __future__ import annotations

import hashlib
import time
from urllib.parse import urljoin

import httpx
from tornado.web import create_signed_value, decode_signed_value

from spawner.desk.app import CLIENT_ID
from spawner.desk.paid.accounts import COOKIE
from spawner.desk.paid.oauth_proof import STATE
from spawner.ledger.paid import bindings
from spawner.ledger.paid.rows import BindingState
from tests.cloud.steer import Steer
from tests.paid_desk.forms import DESK, Browse, Browser
from tests.stack import Stack


def begin_sign_in(browser: Browser) -> tuple[str, str]:
    """Start to link an account. Returns the URL of the cloud's sign-in and the cookie."""
    browser.at(f"{DESK}paid")
    browser.press("Link")
    href = next(href for href, text in browser.parse().links if text.startswith("Continue"))
    return href, next(cookie.value or "" for cookie in browser.client.cookies.jar if cookie.name == COOKIE)


def set_cookie(browser: Browser, value: str) -> None:
    """Replace the cookie of the sign-in."""
    jar = browser.client.cookies.jar
    (domain,) = {cookie.domain for cookie in jar if cookie.name == CLIENT_ID}
    for cookie in [cookie for cookie in jar if cookie.name == COOKIE]:
        jar.clear(cookie.domain, cookie.path, cookie.name)
    browser.client.cookies.set(COOKIE, value, domain=domain, path=f"{DESK}paid/linked")


def test_a_sign_in_at_the_cloud_counts_once_and_only_for_the_user_who_started_it(
    browse: Browse, cloud: Steer, account: str, stack: Stack
) -> None:
    """A request with the valid cookie of another sign-in is refused before the code is exchanged."""
    since, ann, eve = cloud.last(), browse(), browse()
    href, anns_cookie = begin_sign_in(ann)
    ann.at(href)
    form = next(form for form in ann.parse().forms if form.fields.get("account") == account)
    name, value, _ = form.buttons[0]
    url = urljoin(str(ann.page.url), form.action)
    redirect = ann.client.post(url, data=form.fields | {name: value}, follow_redirects=False)
    callback = redirect.headers["Location"]
    assert "/paid/linked?" in callback
    authorized = cloud.calls(action="Authorize", since=since)
    assert {call.params["pkce"] for call in authorized} == {"S256"}

    _, eves_cookie = begin_sign_in(eve)
    _, second_cookie = begin_sign_in(ann)
    key = hashlib.sha256(f"freepool desk linking {stack.settings.secret('desk')}".encode()).digest()

    def an_hour_older(signed: str) -> str:
        signed_value = decode_signed_value(key, STATE, signed.strip('"'))
        assert signed_value is not None
        hour_ago = time.time() - 3600
        return create_signed_value(key, STATE, signed_value, clock=lambda: hour_ago).decode()

    parts = httpx.URL(callback)
    expired = str(parts.copy_set_param("state", an_hour_older(parts.params["state"])))
    attempts = (
        (eve, callback, eves_cookie),
        (eve, callback, anns_cookie),
        (ann, callback, second_cookie),
        (ann, callback, ""),
        (ann, expired, anns_cookie),
        (ann, callback, an_hour_older(anns_cookie)),
        (ann, str(parts.copy_remove_param("state")), anns_cookie),
        (ann, f"{callback}x", second_cookie),
    )
    for browser, path, cookie in attempts:
        set_cookie(browser, cookie)
        answer = browser.at(path)
        assert answer.status_code == 403, (browser.user, path)
        assert "started in another window" in browser.text
    assert cloud.calls(action="Token", since=since) == [], "no code was exchanged"
    assert (
        stack.ledger.read(bindings.of_person, stack.person_of(ann.user))
        == stack.ledger.read(bindings.of_person, stack.person_of(eve.user))
        == []
    )
    set_cookie(ann, anns_cookie)
    assert "/paid/accounts/" in str(ann.at(callback).url), "the user's own cookie is accepted"
    assert [call.params["pkce"] for call in cloud.calls(action="Token", since=since)] == ["S256"]
    set_cookie(ann, anns_cookie)
    assert ann.at(callback).status_code == 403, "a sign-in is used once"
    assert len(stack.ledger.read(bindings.of_person, stack.person_of(ann.user))) == 1
    assert "code=" not in stack.log("desk")


def test_a_role_that_is_too_open_is_refused(browse: Browse, cloud: Steer, account: str, stack: Stack) -> None:
    ann = browse()
    binding = ann.link(account, role=False)
    external_id = stack.ledger.read(bindings.get, binding).external_id
    ann.press("Check")
    assert "does not let Freepool in" in ann.text
    assert external_id not in ann.client.get(f"{stack.url}{DESK}paid/role-template.json").text
    cloud.role(None, account=account, name="mine")
    ann.press("Check", role="mine")
    assert "too open" in ann.text
    assert stack.ledger.read(bindings.get, binding).state is BindingState.PROVEN
    assert ann.at(f"{DESK}paid/new/{binding}").status_code == 200
    assert "/paid/accounts/" in str(ann.page.url), "no prices before it is linked"


def test_the_user_chooses_between_two_workspaces(browse: Browse, cloud: Steer, account: str, stack: Stack) -> None:
    cloud.account(account, workspaces={"101": "lab", "102": "course"})
    ann = browse(language="zh-CN")
    binding = link_on_the_chinese_pages(ann, account)
    ann.press("检查")
    assert "请选择创建 Notebook 所用的工作空间" in ann.text
    ann.press("检查", **{"workspace-cn-hangzhou": "102", "workspace-cn-shanghai": "101"})
    assert "设置正确" in ann.text
    found = stack.ledger.read(bindings.get, binding)
    assert found.workspaces == {"cn-hangzhou": "102", "cn-shanghai": "101"}  # type: ignore[attr-defined]


def link_on_the_chinese_pages(ann: Browser, account: str) -> str:
    ann.at(f"{DESK}paid")
    ann.press("关联")
    ann.follow("继续")
    form = next(form for form in ann.parse().forms if form.fields.get("account") == account)
    name, value, _ = form.buttons[0]
    ann.page = ann.client.post(urljoin(str(ann.page.url), form.action), data=form.fields | {name: value})
    here = str(ann.page.url)
    ann.follow("在云控制台创建角色")
    form = next(form for form in ann.parse().forms if form.buttons and form.buttons[0][1] == account)
    ann.client.post(str(ann.page.url), data=form.fields | {"account": account})
    ann.at(here)
    return here.rpartition("/")[2]
