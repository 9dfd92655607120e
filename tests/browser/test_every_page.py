"""No page of another product: all routes of desk and hub as stranger, user and administrator, without a browser."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from typing import cast
from urllib.parse import quote, urlsplit

import httpx
import pytest
from jupyterhub.handlers import default_handlers

from spawner.desk.app import BASE, all_routes, make_parts
from spawner.hub import invitations
from spawner.hub_client import HubClient
from tests.stack import Stack, browser_client

SAMPLES = ("", "/", "/x", "1", "a", "503", "someone", "paid-1", "0" * 16, "0" * 32)
"""What stands for a parameter: the first that its pattern takes."""
MORE = (
    "/",
    "/nothing",
    "/user/someone/lab",
    "/hub/api/oauth2/authorize?client_id=nobody&response_type=code",
    "/hub/accept-share?code=nothing",
    f"{BASE}nothing",
    f"{BASE}oauth_callback?error=denied",
    f"{BASE}oauth_callback?code=x&state=y",
    f"{BASE}static/nothing",
    "/hub/freepool/nothing.css",
)
LAST = ("/hub/logout", "/hub/spawn", f"{BASE}language/en")
"""What changes who asks, what they have, or their language."""
WITHOUT_ACCOUNT = ("/hub/logout", *(f"{BASE}{name}" for name in ("icons/", "oauth_callback", "unavailable/")))
"""After a logout, in place of a picture, amid a sign-in; and what the proxy asks for without the visitor's cookie."""
NOT_RUNNING = 424
HTML = {
    "Accept": "text/html,*/*;q=0.8",
    "Accept-Language": "zh-CN",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}


def sample_of(pattern: str) -> str:
    """A path that a route's regular expression takes."""

    def one(group: re.Match[str]) -> str:
        inside = re.sub(r"^\?(P<\w+>|:)", "", group[1])
        found = next((text for text in (*SAMPLES, *inside.split("|")) if re.fullmatch(inside, text)), None)
        assert found is not None, f"SAMPLES has nothing for {pattern}"
        return found

    path = pattern
    while "(" in path:
        path = re.sub(r"\(((?:[^()\\]|\\.)*)\)\??", one, path, count=1)
    return re.sub(r"\\(.)", r"\1", path.removesuffix("$"))


def paths(stack: Stack) -> list[str]:
    """Of all routes that show pages."""
    parts = make_parts(stack.settings, cast("HubClient", None))
    try:
        desk = [route[0] for route in all_routes(parts) if route[0].startswith(re.escape(BASE))]
    finally:
        parts.desk.ledger.close()
    hub = [f"/hub{pattern}" for pattern, *_ in (*default_handlers, *invitations.handlers())]
    found = {sample_of(pattern) for pattern in (*desk, *hub)}
    api = (f"{BASE}api/", "/hub/api/")
    return sorted(path for path in found | set(MORE) if not path.startswith(api) or path in MORE)


def problems(client: httpx.Client, url: str, path: str, *, signed_in: bool) -> Iterator[str]:
    """What is wrong with the page at the end of a path's redirects."""
    answer = client.get(url + path, headers=HTML)
    end = urlsplit(str(answer.url)).path
    name = f"{path} ({answer.status_code} at {end})"
    if end.startswith("/user/") and answer.is_success:
        return  # JupyterLab
    if "X-Request-ID" not in answer.headers:
        yield f"{name}: no X-Request-ID"
    if not answer.content or "html" not in answer.headers.get("Content-Type", ""):
        return
    if 'class="brand"' not in answer.text:
        yield f"{name}: not our header: {answer.text[:200]}"
    elif '<html lang="zh-CN">' not in answer.text:
        yield f"{name}: not in Chinese"
    elif signed_in and not end.startswith(WITHOUT_ACCOUNT) and 'class="account-name"' not in answer.text:
        yield f"{name}: no account in the header"
    is_error = answer.status_code >= 400 and answer.status_code != NOT_RUNNING
    if is_error and answer.headers["X-Request-ID"] not in answer.text:
        yield f"{name}: no way to report it"


@pytest.fixture(scope="module")
def routes(demo_stack: Stack) -> list[str]:
    found = paths(demo_stack)
    assert len(found) > 60
    assert {"/hub/token", f"{BASE}admin", f"{BASE}paid", f"{BASE}status", "/hub/spawn"} <= set(found)
    return found


@pytest.mark.parametrize("role", ["stranger", "user", "administrator"])
def test_every_page_has_our_header(demo_stack: Stack, routes: list[str], role: str) -> None:
    name = f"page-{role}-{secrets.token_hex(3)}"
    with browser_client() as client:
        if role != "stranger":
            made = demo_stack.api("POST", f"/users/{quote(name)}", json={"admin": role == "administrator"})
            assert made.status_code == 201
            assert client.get(demo_stack.link_for(name)).status_code == 200
        order = [path for path in routes if path not in LAST]
        order += ["/hub/spawn", "/hub/logout"] if role == "user" else ["/hub/logout"]
        found = [
            problem
            for path in order
            for problem in problems(client, demo_stack.url, path, signed_in=role != "stranger")
        ]
    if role == "user":
        demo_stack.stop(name)
    assert found == []


def test_the_way_from_a_pattern_to_a_path() -> None:
    assert sample_of(r"/user/(?P<user_name>[^/]+)(?P<user_path>/.*)?") == "/user/1/"
    assert sample_of(r"paid/instances/([0-9a-f]{1,32})/(stop|delete)") == "paid/instances/1/stop"
    assert sample_of(r"/a\.b") == "/a.b"
