"""What strangers, users and their pages try at the public port of one Freepool. docs/attacks.md lists all attacks."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import aiohttp
import httpx
import pytest

from tests.stack import Stack, browser_client

VICTIM, MALLORY = "attacks-victim", "attacks-mallory"
EVIL = "evil.example"


@pytest.fixture(scope="module")
def stack(shared_stack: Stack) -> Stack:
    for name in (VICTIM, MALLORY):
        shared_stack.add_user(name)
    return shared_stack


@pytest.fixture
def victim(stack: Stack) -> Iterator[httpx.Client]:
    """The victim's browser, logged in at hub and desk."""
    with browser_client() as client:
        client.headers["Sec-Fetch-Mode"] = "navigate"
        assert client.get(stack.link_for(VICTIM)).url.path == "/services/desk/"
        yield client


def name_of(client: httpx.Client, stack: Stack) -> str:
    """Whom the hub takes this browser for: its pages tell their scripts."""
    said = re.search(r'data-user="([^"]*)"', client.get(f"{stack.url}/hub/token").text)
    return said[1] if said else ""


# Another's login


@pytest.mark.parametrize("dest", ["image", "iframe", "empty", "script"])
def test_no_page_loads_a_login_link_unseen(dest: str, stack: Stack) -> None:
    with browser_client(follow_redirects=False) as client:
        answer = client.get(stack.link_for(MALLORY), headers={"Sec-Fetch-Dest": dest, "Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403
        assert "Open this link in a tab of its own." in answer.text
        assert not [name for name in client.cookies if "login" in name or "hub" in name]


@pytest.mark.parametrize("purpose", ["prefetch", "prefetch;prerender"])
def test_no_page_has_a_login_link_loaded_ahead(purpose: str, stack: Stack) -> None:
    """By speculation rules a page names documents that the browser loads before anybody follows a link to them."""
    with browser_client(follow_redirects=False) as client:
        ahead = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "same-site", "Sec-Purpose": purpose}
        answer = client.get(stack.link_for(MALLORY), headers=ahead)
        assert answer.status_code == 403
        assert not [name for name in client.cookies if "login" in name or "hub" in name]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_that_opens_its_owners_link_does_not_change_who_is_logged_in(
    site: str, stack: Stack, victim: httpx.Client
) -> None:
    answer = victim.get(stack.link_for(MALLORY), headers={"Sec-Fetch-Dest": "document", "Sec-Fetch-Site": site})
    assert answer.status_code == 403
    assert f"You are signed in as {VICTIM}" in answer.text
    assert f"你当前登录的用户是 {VICTIM}" in answer.text
    assert name_of(victim, stack) == VICTIM
    own = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Site": site}
    assert victim.get(stack.link_for(VICTIM), headers=own).url.path == "/services/desk/"
    typed = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "none"}
    assert victim.get(stack.link_for(MALLORY), headers=typed).url.path == "/services/desk/"
    assert name_of(victim, stack) == MALLORY


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example/", "/\\evil.example/", "http:evil.example", "\thttps://evil.example"],
)
def test_no_login_leads_to_another_site(target: str, stack: Stack, victim: httpx.Client) -> None:
    for page in ("/hub/login", "/hub/logout", "/services/desk/", "/services/desk/sign-in"):
        answer = victim.get(f"{stack.url}{page}", params={"next": target}, follow_redirects=False)
        while answer.is_redirect:
            assert answer.next_request is not None
            assert answer.next_request.url.host.endswith("localhost"), answer.headers["Location"]
            answer = victim.send(answer.next_request, follow_redirects=False)
        assert answer.status_code < 500


# Another's pages


@pytest.mark.parametrize("page", ["/hub/login", "/hub/home", "/hub/token", "/services/desk/", "/services/desk/queue"])
def test_no_page_can_be_framed(page: str, stack: Stack, victim: httpx.Client) -> None:
    policy = victim.get(f"{stack.url}{page}").headers["Content-Security-Policy"]
    found = re.search(r"frame-ancestors ([^;]+)", policy)
    assert found is not None
    assert found[1].strip() in ("'none'", "'self'")


async def test_a_page_of_another_site_opens_no_websocket_of_a_notebook(stack: Stack, victim: httpx.Client) -> None:
    stack.run(VICTIM)
    try:
        host = f"{VICTIM}.localhost:{stack.port}"
        assert victim.get(f"http://{host}/user/{VICTIM}/lab").status_code == 200
        cookies = "; ".join(
            f"{cookie.name}={cookie.value}" for cookie in victim.cookies.jar if cookie.domain.startswith(VICTIM)
        )
        assert cookies
        address = f"http://127.0.0.1:{stack.port}/user/{VICTIM}/api/events/subscribe"

        async def status(session: aiohttp.ClientSession, origin: str) -> int:
            headers = {"Host": host, "Cookie": cookies, "Origin": origin}
            try:
                async with session.ws_connect(address, headers=headers):
                    return 101
            except aiohttp.WSServerHandshakeError as error:
                return error.status

        async with aiohttp.ClientSession() as session:
            assert await status(session, f"http://{host}") == 101
            for origin in (f"https://{EVIL}", f"http://{MALLORY}.localhost:{stack.port}", stack.url, "null"):
                assert await status(session, origin) == 403, origin
    finally:
        stack.stop(VICTIM)


# Another's things


def test_a_user_with_all_their_rights_changes_nothing_of_another(stack: Stack) -> None:
    token = stack.user_token(MALLORY)
    for method, path in (
        ("GET", f"/users/{VICTIM}"),
        ("PATCH", f"/users/{VICTIM}"),
        ("DELETE", f"/users/{VICTIM}"),
        ("POST", f"/users/{VICTIM}/server"),
        ("DELETE", f"/users/{VICTIM}/server"),
        ("GET", f"/users/{VICTIM}/server/progress"),
        ("POST", f"/users/{VICTIM}/servers/paid-1"),
        ("POST", f"/users/{VICTIM}/tokens"),
        ("GET", f"/users/{VICTIM}/tokens"),
        ("POST", f"/users/{VICTIM}/activity"),
        ("POST", f"/users/{MALLORY}-new"),
        ("GET", "/users"),
        ("GET", "/groups"),
        ("POST", "/groups/staff"),
        ("POST", "/groups/staff/users"),
        ("GET", "/services"),
        ("GET", "/proxy"),
        ("POST", "/proxy"),
        ("POST", "/shutdown"),
        ("GET", "/tokens"),
    ):
        answer = stack.api(method, path, token=token, json=None if method == "GET" else {})
        assert answer.status_code in (403, 404, 405), (method, path, answer.status_code, answer.text)
    widened = stack.api("POST", f"/users/{MALLORY}/tokens", token=token, json={"scopes": ["admin:users"]})
    assert widened.status_code == 400
    assert stack.api("PATCH", f"/users/{MALLORY}", token=token, json={"admin": True}).status_code in (403, 404)
    assert not stack.api("GET", f"/users/{MALLORY}").json()["admin"]


def test_the_desk_starts_nothing_in_anothers_name(stack: Stack) -> None:
    token = stack.user_token(MALLORY)
    for body in ({"user": VICTIM}, {"user_name": VICTIM}, {"flavor": "cpu-basic", "server": "paid-1"}):
        answer = stack.desk("POST", "api/instance", token=token, json=body)
        assert answer.status_code == 400, answer.text
    assert not [one for one in stack.unended() if one.user_name in (VICTIM, MALLORY)]


# The platform's own


@pytest.mark.parametrize(
    "path",
    [
        "/services/desk/static/../../settings.json",
        "/services/desk/static/%2e%2e/%2e%2e/__init__.py",
        "/services/desk/static/..%2f..%2f__init__.py",
        "/services/desk/static//etc/passwd",
        "/services/desk/static/shared/..%5c..%5capp.py",
        "/hub/static/%2e%2e/%2e%2e/jupyterhub/app.py",
    ],
)
def test_no_file_beside_the_static_ones_is_served(path: str, stack: Stack) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost:{stack.port}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", stack.port), timeout=30) as client:
        client.sendall(request.encode())
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert int(answer.split(b" ")[1]) in (301, 302, 400, 403, 404)
    assert b"root:" not in answer
    assert b"import annotations" not in answer


@pytest.mark.parametrize("page", ["/hub/metrics", "/hub/admin", "/hub/api/users", "/services/desk/metrics"])
def test_whoever_is_not_logged_in_reads_nothing(page: str, stack: Stack) -> None:
    answer = stack.http.get(f"{stack.url}{page}", headers={"X-Forwarded-User": "root", "Remote-User": "root"})
    assert answer.status_code in (302, 401, 403)


def test_a_token_in_an_address_is_in_no_log(stack: Stack) -> None:
    token = stack.user_token(MALLORY)
    for path in ("/hub/api/user", "/services/desk/api/state", "/hub/login", f"/user/{MALLORY}/api/status"):
        stack.http.get(f"{stack.url}{path}", params={"token": token})
        stack.http.get(f"{stack.url}{path}", params={"token": token + "x"})
    assert [name for name in ("hub", "proxy", "desk", "steward") if token in stack.log(name)] == []
