"""A notebook's host cannot make its visitor work as another user: it sets the desk's cookies for the parent domain."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser as Chromium

from tests.browser.hostile import hostile_settings
from tests.browser.test_origins import ATTACKER, DESK, VICTIM, browsing, desk_cookies, tossed
from tests.browser.tls import ends_tls, make_certificate
from tests.browser.visitor import TLS_HOST
from tests.lean import with_lean
from tests.stack import NO_TLS, Stack, eventually, free_port, running_stack, write_catalog

HUB, DESKS = "__Host-jupyterhub-hub-login", "__Host-service-desk"


@pytest.fixture(scope="module")
def tls() -> Iterator[Stack]:
    """A stack at https://lab.test with a host per user, whose notebook servers are an attacker's."""
    folder, port = Path(tempfile.mkdtemp(prefix="freepool-")), free_port()
    try:
        with running_stack(
            folder / "s",
            catalog=write_catalog(folder / "catalog.yaml", with_lean),
            settings=hostile_settings(folder, public=f"https://{TLS_HOST}:{port}/"),
        ) as stack:
            stack.url = f"http://127.0.0.1:{stack.port}"  # only the browser resolves the name
            for name in (ATTACKER, VICTIM):
                stack.add_user(name)
            assert stack.start(ATTACKER).status_code in (201, 202)
            eventually(lambda: any(one.state == "running" for one in stack.unended()), what="the attacker's server")
            with ends_tls(port, stack.port, make_certificate(folder, TLS_HOST)):
                yield stack
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_visitor_of_a_notebook_stays_who_they_are(chromium: Chromium, tls: Stack) -> None:
    with browsing(chromium, tls) as attacker:
        attacker.sign_in(ATTACKER)
        cookies = desk_cookies(attacker)
    with browsing(chromium, tls) as victim:
        victim.lured(*tossed(cookies, TLS_HOST))
        assert victim.at(DESK).locator(".account-name").count() == 0, "signed in by the attacker's cookie"
        assert victim.sign_in().inner_text(".account-name") == VICTIM
        victim.lured(*tossed(cookies, TLS_HOST))
        assert victim.at(DESK).inner_text(".account-name") == VICTIM


def test_cookies_are_secure_and_those_of_a_login_belong_to_one_host(chromium: Chromium, tls: Stack) -> None:
    with browsing(chromium, tls) as victim:
        victim.sign_in()
        found = {cookie["name"]: cookie for cookie in victim.context.cookies(victim.url + DESK)}
        assert {HUB, DESKS} <= set(found)
        assert "service-desk" not in found
        for name in (HUB, DESKS, "jupyterhub-session-id"):
            assert found[name]["secure"], name
        for name in (HUB, DESKS):
            assert (found[name]["domain"], found[name]["path"]) == (TLS_HOST, "/")


def test_a_request_with_cookies_of_different_users_is_refused(chromium: Chromium, tls: Stack) -> None:
    """Such as after another login at the hub. Loading the page again signs in as the hub's user."""
    jars: dict[str, dict[str, str]] = {}
    tokens: dict[str, str | None] = {}
    for name in (ATTACKER, VICTIM):
        with browsing(chromium, tls) as user:
            page = user.sign_in(name)
            sent = user.context.cookies(user.url + DESK)
            jars[name] = {str(cookie["name"]): str(cookie["value"]) for cookie in sent}
            tokens[name] = page.locator("[data-xsrf]").get_attribute("data-xsrf")

    def send(
        method: str, path: str, hub: str, desk: str, xsrf: str, *more: str, token: str | None = None
    ) -> httpx.Response:
        rest = {key: value for key, value in jars[xsrf].items() if key not in (HUB, DESKS)}
        cookies = {**rest, HUB: jars[hub][HUB], DESKS: jars[desk][DESKS]}
        headers = {
            "Host": urlsplit(tls.settings.public_url).netloc,
            "Cookie": "; ".join([*(f"{key}={value}" for key, value in cookies.items()), *more]),
            "X-XSRFToken": tokens[xsrf] or "",
            "Sec-Fetch-Mode": "navigate" if method == "GET" else "cors",
        } | ({"Authorization": f"token {token}"} if token else {})
        with httpx.Client(base_url=f"http://127.0.0.1:{tls.port}", verify=NO_TLS, timeout=60) as client:
            return client.request(method, DESK + path, headers=headers)

    mine = (VICTIM, VICTIM, VICTIM)
    assert send("POST", "api/ticket/cancel", *mine).status_code == 200
    assert VICTIM in send("GET", "", *mine).text
    for hub, desk, xsrf in ((VICTIM, ATTACKER, ATTACKER), (ATTACKER, VICTIM, VICTIM)):
        refused = send("POST", "api/ticket/cancel", hub, desk, xsrf)
        assert refused.status_code == 409, refused.text
        assert refused.json()["error"]["message"] == "This browser is signed in as different users."
        refused = send("POST", "api/ticket/cancel", hub, desk, xsrf, token="not-valid")
        assert refused.status_code == 409, "JupyterHub then takes the cookie"
        again = send("GET", "", hub, desk, xsrf)
        assert again.status_code == 302
        assert "/hub/api/oauth2/authorize" in again.headers["Location"]
        assert any(cookie.startswith(f'{DESKS}="";') for cookie in again.headers.get_list("Set-Cookie"))
    for xsrf in ((VICTIM, VICTIM, ATTACKER), (ATTACKER, ATTACKER, VICTIM)):
        assert send("POST", "api/ticket/cancel", *xsrf).status_code == 403
    two = f"{DESKS}={jars[ATTACKER][DESKS]}"
    assert send("POST", "api/ticket/cancel", *mine, two).status_code in (403, 409)
    assert send("GET", "", *mine, two).status_code == 302


def test_a_renamed_user_goes_on_under_the_new_name(chromium: Chromium, tls: Stack) -> None:
    """The desk knows the names of cookies for some minutes, and asks again before it calls two of them different."""
    tls.add_user("before")
    with browsing(chromium, tls) as user:
        assert user.sign_in("before").inner_text(".account-name") == "before"
        assert tls.api("PATCH", "/users/before", json={"name": "after"}).status_code == 200
        user.context.clear_cookies(name=DESKS)  # as when the desk has forgotten the token's user
        assert user.at(DESK).inner_text(".account-name") == "after"
        assert user.at(DESK).inner_text(".account-name") == "after"
