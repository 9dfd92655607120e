"""Login links: they expire, are good for one user and one purpose, and bring no deleted user back."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from spawner.hub.login.link import BadLink, Link, link_token, login_link, read_token
from tests.stack import NO_TLS, Stack, eventually

SECRET = "secret"
DAY = 86400


def test_a_link_says_when_it_was_made_and_when_it_expires() -> None:
    token = link_token(SECRET, "ann", issued=1000.5, days=2)
    assert read_token(SECRET, "ann", token, now=1001) == Link(issued=1000.5, expires=1000 + 2 * DAY)
    assert read_token(SECRET, "ann", token, now=1000 + 2 * DAY - 1) != BadLink.EXPIRED
    assert read_token(SECRET, "ann", token, now=1000 + 2 * DAY) == BadLink.EXPIRED


@pytest.mark.parametrize(
    ("user", "change"),
    [
        ("bob", lambda token: token),
        ("", lambda token: token),
        ("ann", lambda token: token[:-1]),
        ("ann", lambda token: token.replace("1000.500", "2000.500")),
        ("ann", lambda token: token.replace(str(1000 + 7 * DAY), str(1000 + 9 * DAY))),
        ("ann", lambda token: ""),
        ("ann", lambda token: token.rpartition(".")[2]),
        ("ann", lambda token: "1000.5.x." + token.rpartition(".")[2]),
        ("ann", lambda token: hmac.new(b"secret", b"freepool link v1\0ann", "sha256").hexdigest()),
    ],
)
def test_a_changed_link_is_not_valid(user: str, change: object) -> None:
    token = change(link_token(SECRET, "ann", issued=1000.5))  # type: ignore[operator]
    assert read_token(SECRET, user, token, now=1001) == BadLink.NOT_VALID


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    """Keeps cookies, as a browser does."""
    with httpx.Client(verify=NO_TLS, timeout=60, headers={"Sec-Fetch-Mode": "navigate"}) as client:
        yield client


def test_a_link_brings_no_deleted_user_back_and_a_new_one_does(shared_stack: Stack, browser: httpx.Client) -> None:
    stack, user = shared_stack, "link-deleted"
    old = stack.link_for(user)
    desk = f"{stack.url}/services/desk/"
    assert browser.get(old, follow_redirects=True).url.path == "/services/desk/"
    assert browser.get(f"{desk}api/state").status_code == 200
    assert stack.api("DELETE", f"/users/{user}").status_code == 204
    eventually(lambda: browser.get(f"{desk}api/state").status_code == 403, seconds=5, what="the desk's refusal")
    browser.cookies.clear()
    refused = browser.get(old)
    assert refused.status_code == 403
    assert "This link was made for a user who has been deleted since." in refused.text
    assert "此链接所属的用户已被删除" in refused.text
    assert stack.api("GET", f"/users/{user}").status_code == 404
    assert browser.get(stack.link_for(user)).status_code == 302
    assert stack.api("GET", f"/users/{user}").status_code == 200


def test_a_link_that_has_expired_says_so(shared_stack: Stack, browser: httpx.Client) -> None:
    settings = shared_stack.settings
    old = login_link(settings.public_url, settings.secret("link"), "link-expired", issued=1000, days=1)
    answer = browser.get(old)
    assert answer.status_code == 403
    assert "This link has expired." in answer.text
    assert "此链接已过期" in answer.text
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_a_refused_links_token_is_in_no_log(shared_stack: Stack, browser: httpx.Client) -> None:
    stack = shared_stack
    forged = stack.link_for("link-logged").replace("user=link-logged", "user=link-other")
    (token,) = parse_qs(urlsplit(forged).query)["token"]
    assert browser.get(forged).status_code == 403
    logs = {name: stack.log(name) for name in ("hub", "proxy", "desk", "steward")}
    assert re.search("a login link was refused: not valid", logs["hub"])
    assert [name for name, text in logs.items() if token in text or token.rpartition(".")[2] in text] == []


@pytest.mark.parametrize(
    ("kept", "leads_to"),
    [
        ("/services/desk/?flavor=cpu&image=a%20b", "/services/desk/?flavor=cpu&image=a%20b"),
        ("/services/desk/open/wait", "/services/desk/open/wait"),
        ("/services/desk/open/wait/../../../hub/token", "/services/desk/"),
        ("/services/desk/../../user/somebody/lab", "/services/desk/"),
        ("/services/desk/%2e%2e/%2E%2E/hub/token", "/services/desk/"),
        ("/services/desk/admin", "/services/desk/"),
        ("/services/desk/?a=1\r\nSet-Cookie: a=b", "/services/desk/"),
        ("//elsewhere.example/services/desk/", "/services/desk/"),
    ],
)
def test_a_login_leads_to_the_desk_whatever_page_was_asked_for(
    shared_stack: Stack, browser: httpx.Client, kept: str, leads_to: str
) -> None:
    """A notebook's host may set the cookie for the domain above it."""
    cookie = {"Cookie": f"freepool-next={kept.encode().hex()}"}
    answer = browser.get(shared_stack.link_for("link-next"), headers=cookie)
    assert (answer.status_code, answer.headers["Location"]) == (302, leads_to)


@pytest.mark.parametrize("was_known", [False, True])
@pytest.mark.parametrize(
    ("address", "page"),
    [
        (
            "/hub/user-redirect/git-pull?repo=https%3A//git.example.org/ada/work.git&urlpath=lab/tree/work/a.ipynb&depth=1",
            "/services/desk/open?git=https%3A//git.example.org/ada/work.git&path=a.ipynb",
        ),
        ("/open?example=ocr", "/services/desk/open?example=ocr"),
        ("/services/desk/open/wait", "/services/desk/open/wait"),
    ],
)
def test_a_login_by_link_leads_to_what_was_asked_for_before(
    shared_stack: Stack, browser: httpx.Client, address: str, page: str, *, was_known: bool
) -> None:
    """`was_known`: the browser has the mark of a login that the hub does not know any more."""
    if was_known:
        browser.cookies.set("freepool-signed-in", "1", domain="localhost.local", path="/")
    shown = browser.get(f"{shared_stack.url}{address}", follow_redirects=True)
    assert shown.status_code == 200
    answer = browser.get(shared_stack.link_for("link-target"))
    assert (answer.status_code, answer.headers["Location"]) == (302, page)
    if "wait" not in address:
        assert browser.get(f"{shared_stack.url}{page}").url.path == "/services/desk/open"


def test_a_link_is_no_token_of_the_api(shared_stack: Stack) -> None:
    (token,) = parse_qs(urlsplit(shared_stack.link_for("link-api")).query)["token"]
    assert shared_stack.api("GET", "/user", token=token).status_code == 403


def test_up_states_until_when_its_link_is_good(shared_stack: Stack) -> None:
    ready = next(line for line in shared_stack.output if "Freepool is ready" in line)
    assert re.search(r"Open: \S+/hub/link\?\S+ \(until \d{4}-\d\d-\d\d \d\d:\d\d UTC\)", ready)
