"""An app on a port of a notebook: on a host of its own, for the owner, and for others by a link. docs/apps.md."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tornado.httpclient import HTTPClientError
from tornado.websocket import WebSocketClientConnection

from tests.apps.run import PORT, start_app
from tests.stack import Stack, browser_client
from tests.websockets import websocket

ANN, BOB = "ann-of-apps", "bob-of-apps"
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site"}


@pytest.fixture(scope="module")
def stack(shared_stack: Stack) -> Iterator[Stack]:
    """A user's notebook with an app; another user."""
    for name in (ANN, BOB):
        shared_stack.add_user(name)
    shared_stack.run(ANN)
    asyncio.run(start_app(shared_stack, ANN))
    yield shared_stack
    shared_stack.stop(ANN)


@pytest.fixture
def owner(stack: Stack) -> Iterator[httpx.Client]:
    """The owner's browser, signed in."""
    with browser_client() as browser:
        assert browser.get(stack.link_for(ANN)).status_code == 200
        yield browser


@pytest.fixture
def nobody() -> Iterator[httpx.Client]:
    """A browser without a sign-in."""
    with browser_client(follow_redirects=False) as browser:
        yield browser


def app_url(stack: Stack, port: int = PORT) -> str:
    return f"http://p{port}--{ANN}.localhost:{stack.port}"


def lab_url(stack: Stack) -> str:
    return f"http://{ANN}.localhost:{stack.port}/user/{ANN}/"


def call(stack: Stack, method: str, path: str, **body: Any) -> httpx.Response:
    """The server's own API for the lab."""
    headers = {"Authorization": f"token {stack.user_token(ANN)}"}
    url = f"{stack.url}/user/{ANN}/freepool/{path}"
    return stack.http.request(method, url, headers=headers, json=body or None)


def cookie_of(answer: httpx.Response) -> str:
    return answer.headers["Set-Cookie"].partition(";")[0]


def test_the_owner_is_led_to_the_apps_own_host_and_gets_a_cookie_of_it_only(stack: Stack, owner: httpx.Client) -> None:
    page = owner.get(f"{app_url(stack)}/seen?a=1&b=%2F", headers=NAVIGATION)
    assert (page.status_code, str(page.url)) == (200, f"{app_url(stack)}/seen?a=1&b=%2F")
    seen = page.json()
    assert seen["uri"] == "/seen?a=1&b=%2F", "the app knows nothing of a prefix"
    assert seen["headers"]["Host"] == f"p{PORT}--{ANN}.localhost:{stack.port}"
    assert not {"Cookie", "X-Forwarded-For"} & seen["headers"].keys(), seen["headers"].get("Cookie")
    assert seen["headers"]["X-Forwarded-Proto"] == "http", "one, and the browser's"
    (cookie,) = [one for one in owner.cookies.jar if one.name == "freepool-app"]
    assert cookie.domain == f"p{PORT}--{ANN}.localhost"
    assert 11 * 3600 < (cookie.expires or 0) - time.time() < 13 * 3600
    page = owner.get(f"{app_url(stack)}/")
    assert page.headers.get_list("set-cookie") == ["mine=1; Path=/"], "not ours, and for no other host"
    assert page.headers["content-security-policy"] == "frame-ancestors 'self'"
    path = f"{lab_url(stack)}proxy/{PORT}/seen?a=2"
    assert str(owner.get(path, headers=NAVIGATION | {"Sec-Fetch-Site": "none"}).url) == f"{app_url(stack)}/seen?a=2"


def test_without_the_owners_sign_in_there_is_only_the_sign_in(stack: Stack, nobody: httpx.Client) -> None:
    answer = nobody.get(f"{app_url(stack)}/seen", headers=NAVIGATION)
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"{lab_url(stack)}freepool/apps/open/{PORT}?next=%2Fseen"
    assert urlsplit(nobody.get(answer.headers["Location"]).headers["Location"]).path == "/hub/api/oauth2/authorize"
    for cookie in ("", "freepool-app=owner.9999999999.x." + "0" * 64):
        for method in ("GET", "POST", "OPTIONS"):
            assert nobody.request(method, f"{app_url(stack)}/seen", headers={"Cookie": cookie}).status_code == 403
    assert nobody.get(f"{app_url(stack)}/.freepool/enter?ticket=x&next=/seen").status_code == 302
    assert nobody.get(f"{app_url(stack)}/.freepool/shared?key=x").status_code == 410
    token = {"Authorization": f"token {stack.user_token(ANN)}"}
    assert nobody.get(f"{app_url(stack)}/seen", headers=token).status_code == 403, "an app would learn the token"
    with browser_client() as bob:
        assert bob.get(stack.link_for(BOB)).status_code == 200
        assert bob.get(f"{app_url(stack)}/seen", headers=NAVIGATION).status_code == 403


def test_a_ticket_works_once_for_one_port(stack: Stack, owner: httpx.Client) -> None:
    owner.get(lab_url(stack) + "lab")
    owner.follow_redirects = False
    led = owner.get(f"{lab_url(stack)}freepool/apps/open/{PORT}?next=//evil.example")
    assert led.headers["Referrer-Policy"] == "no-referrer"
    assert parse_qs(urlsplit(led.headers["Location"]).query)["next"] == ["//evil.example"]
    first = owner.get(led.headers["Location"])
    assert (first.status_code, first.headers["Location"]) == (303, "/"), "only a path of the app's"
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(first.headers["Set-Cookie"].split("; "))
    again = owner.get(led.headers["Location"])
    assert again.status_code == 302
    other = cookie_of(first)
    with browser_client(follow_redirects=False) as thief:
        assert thief.get(f"{app_url(stack)}/seen", headers={"Cookie": other}).status_code == 200
        assert thief.get(f"{app_url(stack, 7861)}/seen", headers={"Cookie": other}).status_code == 403


def test_a_page_of_another_origin_can_lead_to_an_app_and_nothing_else(stack: Stack, owner: httpx.Client) -> None:
    owner.get(f"{app_url(stack)}/", headers=NAVIGATION)
    site = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    evil = f"http://{BOB}.localhost:{stack.port}"
    refused: list[tuple[str, dict[str, str]]] = [
        ("GET", site),
        ("POST", site | {"Origin": evil}),
        ("POST", NAVIGATION | {"Origin": evil}),
        ("POST", {"Origin": evil}),
        ("GET", NAVIGATION | {"Sec-Fetch-Dest": "iframe"}),
    ]
    for method, headers in refused:
        assert owner.request(method, f"{app_url(stack)}/seen", headers=headers).status_code == 403, headers
        if method == "POST":
            assert owner.request(method, f"{lab_url(stack)}proxy/{PORT}/seen", headers=headers).status_code == 403
    own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Origin": app_url(stack)}
    assert owner.post(f"{app_url(stack)}/seen", headers=own).status_code == 200


async def test_a_websocket_is_for_the_apps_own_page(stack: Stack) -> None:
    cookie = enter(stack)
    async with app_socket(stack, cookie, app_url(stack)) as socket:
        await socket.write_message("hello")
        assert await socket.read_message() == "hello"
    for origin in (f"http://{BOB}.localhost:{stack.port}", lab_url(stack).removesuffix(f"/user/{ANN}/"), "null"):
        with pytest.raises(HTTPClientError, match="403"):
            async with app_socket(stack, cookie, origin):
                pass
    with pytest.raises(HTTPClientError, match="403"):
        async with app_socket(stack, "freepool-app=x", app_url(stack)):
            pass


def test_events_come_one_by_one_and_an_upload_whole(stack: Stack) -> None:
    headers = {"Cookie": enter(stack)}
    with browser_client() as browser:
        with browser.stream("GET", f"{app_url(stack)}/events?wait=1", headers=headers) as events:
            lines = events.iter_lines()
            assert next(lines) == "data: 0", "the rest is not there yet"
            assert browser.get(f"{app_url(stack)}/go", headers=headers).status_code == 200
            assert [line for line in lines if line] == ["data: 1", "data: 2"]
        body = b"x" * (5 << 20)
        assert browser.post(f"{app_url(stack)}/upload", content=body, headers=headers).text == str(len(body))
        moved = browser.get(f"{app_url(stack)}/moved", headers=headers, follow_redirects=False)
        assert moved.headers["Location"] == f"{app_url(stack)}/seen", "an absolute redirect leads back here"


def test_the_labs_origin_serves_no_app_of_a_host(stack: Stack, nobody: httpx.Client) -> None:
    """With the cookie that opens the app on its own host."""
    cookie = {"Cookie": enter(stack)}
    assert "uri" in nobody.get(f"{app_url(stack)}/seen", headers=cookie).json()
    for host in (f"{ANN}.localhost", "localhost", f"p7861--{ANN}.localhost"):
        answer = nobody.get(f"http://{host}:{stack.port}/freepool-app/{PORT}/seen", headers=cookie)
        assert "uri" not in answer.text, host
    (at,) = [instance.url for instance in stack.unended() if instance.user_name == ANN]
    for host, status in ((f"{ANN}.localhost", 404), (urlsplit(app_url(stack)).netloc, 200)):
        answer = stack.http.get(f"{at}/freepool-app/{PORT}/seen", headers={"Host": host} | cookie)
        assert answer.status_code == status, host


def test_ports_of_the_platform_and_of_nobody_are_no_apps(stack: Stack, nobody: httpx.Client) -> None:
    """The public port is forwarded into the sandbox: an app's host that led there would lead to itself."""
    cookie = {"Cookie": enter(stack)}
    for port in (stack.port, 80, 1023, 65536):
        answer = nobody.get(f"{app_url(stack, port)}/", headers=cookie)
        assert answer.status_code in (302, 404), port
        assert call(stack, "POST", "apps/shares", port=port, hours=1).status_code == 404
    found = call(stack, "GET", "apps").json()
    assert [one["port"] for one in found["ports"]] == [PORT], str(found["ports"])
    assert "app.py" in found["ports"][0]["program"]
    assert (found["off"], found["hosts"], found["share"]) == ("", True, True)
    token = {"Authorization": f"token {stack.user_token(ANN)}"}
    url = f"{stack.url}/user/{ANN}/proxy"
    assert stack.http.get(f"{url}/{stack.port}/", headers=token).status_code == 404


async def test_a_program_reaches_an_app_by_its_path_and_the_app_does_not_learn_its_token(stack: Stack) -> None:
    """By HTTP, and by a websocket, which has no `Origin` where no browser opens it."""
    token, path = stack.user_token(ANN), f"/user/{ANN}/proxy/{PORT}"
    sent = {"Authorization": f"token {token}"}
    own_host = {"Host": f"{ANN}.localhost:{stack.port}"}
    for host in ({}, own_host):
        given = sent | host | {"Cookie": "jupyterhub-user-x=1; __Host-jupyterhub-user-x=2"}
        seen = stack.http.get(f"{stack.url}{path}/seen?token={token}&a=1", headers=given).json()
        assert seen["uri"] == "/seen?a=1"
        assert not {"Authorization", "Cookie"} & seen["headers"].keys()
        for headers, query in ((sent, "?a=1"), ({}, f"?token={token}&a=1")):
            async with websocket(f"{stack.url}{path}/socket{query}", host | headers) as socket:
                await socket.write_message("address")
                assert await socket.read_message() == "/socket?a=1"
        for headers in ({}, {"Authorization": "token wrong"}, sent | {"Origin": "http://evil.example"}):
            with pytest.raises(HTTPClientError) as refused:
                async with websocket(f"{stack.url}{path}/socket", host | headers):
                    pass
            assert refused.value.code in (302, 403), headers
    for method in ("GET", "POST"):
        answer = stack.http.request(method, f"{stack.url}{path}/seen?token={token}", headers=own_host)
        assert answer.status_code in (302, 403), "a token in an address is for websockets"


async def test_a_websocket_that_a_cookie_signs_in_has_an_origin(stack: Stack, owner: httpx.Client) -> None:
    owner.get(lab_url(stack) + "lab")
    cookies = "; ".join(f"{one.name}={one.value}" for one in owner.cookies.jar if one.domain == f"{ANN}.localhost")
    url = f"{stack.url}/user/{ANN}/proxy/{PORT}/socket"
    headers = {"Host": f"{ANN}.localhost:{stack.port}", "Cookie": cookies}
    async with websocket(url, headers | {"Origin": f"http://{ANN}.localhost:{stack.port}"}):
        pass
    with pytest.raises(HTTPClientError, match="403"):
        async with websocket(url, headers):
            pass


async def test_a_link_lets_others_in_until_it_is_revoked(stack: Stack, nobody: httpx.Client) -> None:
    made = call(stack, "POST", "apps/shares", port=PORT, hours=8)
    assert made.status_code == 201, made.text
    share = made.json()
    assert 7.9 * 3600 < share["until"] - time.time() < 8.1 * 3600
    assert len(parse_qs(urlsplit(share["url"]).query)["key"][0]) >= 43, "256 bits"
    listed = call(stack, "GET", "apps").json()["shares"]
    assert share["url"] not in str(listed)
    page = nobody.get(share["url"], headers=NAVIGATION | {"Accept-Language": "zh-CN"})
    assert (page.status_code, f"{ANN} 分享给你的应用" in page.text) == (200, True)
    assert "Set-Cookie" not in page.headers, "a link is a page, and no action"
    own = {"Sec-Fetch-Site": "same-origin", "Origin": app_url(stack)} | {"Sec-Fetch-Mode": "navigate"}
    opened = nobody.post(share["url"], headers=own)
    assert (opened.status_code, opened.headers["Location"]) == (303, "/")
    cookie = {"Cookie": cookie_of(opened)}
    assert nobody.get(f"{app_url(stack)}/seen", headers=cookie).status_code == 200
    assert nobody.get(f"{app_url(stack, 7861)}/seen", headers=cookie).status_code == 403, "this port only"
    for path in ("lab", "api/contents", "freepool/apps"):
        assert nobody.get(lab_url(stack) + path, headers=cookie).status_code in (302, 403)
    wrong = share["url"][:-1] + ("a" if share["url"][-1] != "a" else "b")
    assert nobody.get(wrong).status_code == 410
    async with app_socket(stack, cookie["Cookie"], app_url(stack)) as socket:
        await socket.write_message("hello")
        assert await socket.read_message() == "hello"
        report = call(stack, "GET", "apps").json()["shares"]
        assert [one["connections"] for one in report if one["id"] == share["id"]] == [1]
        assert call(stack, "DELETE", f"apps/shares/{share['id']}").status_code == 204
        assert await asyncio.wait_for(socket.read_message(), 20) is None, "those who came by it are cut off"
    assert nobody.get(f"{app_url(stack)}/seen", headers=cookie).status_code == 403
    assert nobody.get(share["url"]).status_code == 410


def enter(stack: Stack) -> str:
    """The owner's cookie for the app's host."""
    token = {"Authorization": f"token {stack.user_token(ANN)}"}
    led = stack.http.get(f"{stack.url}/user/{ANN}/freepool/apps/open/{PORT}", headers=token)
    url = urlsplit(led.headers["Location"])
    answer = stack.http.get(f"{stack.url}{url.path}?{url.query}", headers={"Host": url.netloc})
    assert answer.status_code == 303, answer.text
    return cookie_of(answer)


def app_socket(
    stack: Stack, cookie: str, origin: str
) -> contextlib.AbstractAsyncContextManager[WebSocketClientConnection]:
    """A websocket to the app on its own host, as a page of `origin` opens it."""
    host = urlsplit(app_url(stack)).netloc
    return websocket(f"{stack.url}/socket", {"Host": host, "Origin": origin, "Cookie": cookie})
