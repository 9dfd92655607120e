"""Open links as strangers misuse them: addresses, cookies of others, requests of other sites, redirects."""

from __future__ import annotations

import hashlib
import json
from html import unescape
from typing import Any
from urllib.parse import quote

import httpx
from tornado.web import create_signed_value

from spawner.ledger.pool import tickets
from spawner.links.target import CHECK_LINK
from tests.api.conftest import Caller
from tests.links.repositories import notebook
from tests.save.git_server import GitServer
from tests.stack import Stack, browser_client, eventually

FILE = "https://example.org/a.ipynb"
COOKIE = "freepool-open"


def cookie_of(answer: httpx.Response) -> str:
    """What the press on Start keeps, as a browser sends it."""
    return answer.headers["Set-Cookie"].partition(";")[0]


def signed(stack: Stack, person: str, fields: dict[str, str]) -> str:
    """A cookie that the desk itself could have made, before its administrator allowed less."""
    secret = hashlib.sha256(f"freepool desk cookies {stack.settings.secret('desk')}".encode()).digest()
    value = create_signed_value(secret, COOKIE, json.dumps({"person": person, "fields": fields}))
    return f"{COOKIE}={value.decode()}"


def progress(caller: Caller, cookie: str) -> dict[str, Any]:
    """What `api/open` says."""
    answer = caller.post("api/open?wait=yes", json={}, headers={"Cookie": cookie})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def when_over(caller: Caller, cookie: str) -> dict[str, Any]:
    """What it says when nothing is being done any more."""
    working = ("queued", "starting", "stopping", "fetching")

    def over() -> dict[str, Any]:
        view = progress(caller, cookie)
        return {} if view["state"] in working else view

    return eventually(over, seconds=60, what="the opened link")


def nothing_runs(caller: Caller) -> bool:
    """Neither an instance nor a place in the queue."""
    return caller.instance() is None and not caller.stack.ledger.read(
        tickets.alive, caller.stack.person_of(caller.user)
    )


REFUSED = (
    *({"url": url} for url in (
        "http://example.org/a.ipynb", "https://10.0.0.1/a.ipynb", "https://[::1]/a.ipynb", "https://hub/a.ipynb",
        "file:///etc/passwd.ipynb", "https://u:p@example.org/a.ipynb", "https://example.org:8443/a.ipynb",
        "https://example.org/a.ipynb?next=//evil.example", "https://example.org/%0d%0a.ipynb", "//example.org/a.ipynb",
        "https://2130706433/a.ipynb", "javascript:alert(1)//.ipynb", "https://example.org/a.py",
        "https://example.org/.git/a.ipynb",
    )),
    {"url": FILE, "git": "https://example.org/a/b"},
    {"url": FILE, "example": "ocr"},
    {"git": "https://127.0.0.1:8081/hub/api"},
    {"example": "../../etc"},
    {"next": "//evil.example"},
    {},
)  # fmt: skip


def test_what_no_link_may_name_is_refused_on_every_page(caller: Caller) -> None:
    """Also by the handlers of a press, whose form anybody can change. Those count as starts, so few are tried there."""
    asked = [("GET", "open", query) for query in REFUSED]
    asked += [(method, path, query) for query in REFUSED[1:20:6] for method, path in (
        ("POST", "open"), ("POST", "open/look"), ("GET", "open/sign-in"),
    )]  # fmt: skip
    for method, path, query in asked:
        sent = {"data": query} if method == "POST" else {"params": query}
        answer = caller.stack.desk(method, path, token=caller.token, **sent)
        assert answer.status_code == 400, (path, query)
        assert COOKIE not in answer.headers.get("Set-Cookie", "")
        assert CHECK_LINK in unescape(answer.text)
    assert nothing_runs(caller)


def test_the_text_of_an_address_is_never_markup(caller: Caller) -> None:
    url = "https://example.org/%3Cimg%20src=x%20onerror=alert(1)%3E.ipynb"
    page = caller.get("open", params={"url": url})
    assert page.status_code == 200
    assert "<img src=x" not in page.text
    assert "<img src=x onerror=alert(1)>.ipynb" in unescape(page.text)


def test_forty_pictures_with_a_links_address_do_nothing(caller: Caller, git_server: tuple[GitServer, Any]) -> None:
    server, _ = git_server
    begins = len(server.seen)
    target = quote(f"{server.url}/picture.git", safe="")
    headers = {"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"}
    answers = [caller.get(f"open?git={target}&path={number}.ipynb", headers=headers) for number in range(40)]
    assert {answer.status_code for answer in answers} == {200}
    assert not any("Set-Cookie" in answer.headers for answer in answers)
    assert "picture" not in "".join(server.seen[begins:])
    assert nothing_runs(caller)


def test_no_page_of_another_site_presses_start(shared_stack: Stack) -> None:
    """A browser sends the cookies of a login, and no XSRF token."""
    stack, user = shared_stack, "open-forged"
    with browser_client() as browser:
        assert browser.get(stack.link_for(user)).status_code == 200
        desk = f"{stack.url}/services/desk"
        for path, sent in (
            ("open", {"data": {"example": "ocr", "flavor": "cpu-basic"}}),
            ("open/look", {"data": {"git": "https://example.org/a/b"}}),
            ("api/open", {"json": {}}),
        ):
            assert browser.post(f"{desk}/{path}", **sent).status_code == 403
        assert browser.get(f"{desk}/api/open").status_code == 405
    assert not any(instance.user_name == user for instance in stack.unended())


def test_what_one_person_keeps_opens_nothing_for_another(caller: Caller) -> None:
    stack = caller.stack
    stack.add_user("open-mallory")
    mallory = Caller(stack, "open-mallory", stack.user_token("open-mallory"))
    mallory.get("api/state")
    person = stack.person_of(mallory.user)
    own = {"example": "language"}
    assert progress(mallory, signed(stack, person, own))["state"] == "idle", "this is how the desk signs"
    none = {"state": "none", "text": "There is no link to open.", "next": "", "details": "", "url": "/services/desk/"}
    genuine = signed(stack, person, own)
    for cookie in (
        signed(stack, "somebody-else", own),
        genuine[:-1] + ("1" if genuine.endswith("0") else "0"),
        signed(stack, person, {"url": "https://10.0.0.1/a.ipynb"}),
        signed(stack, person, {"git": "file:///etc"}),
        signed(stack, person, {"git": "https://example.org/a", "url": FILE}),
        signed(stack, person, {}),
        f"{COOKIE}=nothing",
        "",
    ):
        assert progress(mallory, cookie) == none
        waiting = mallory.get("open/wait", headers={"Cookie": cookie})
        assert (waiting.status_code, waiting.headers["Location"]) == (302, "/services/desk/")
    assert nothing_runs(mallory)


def test_a_token_without_a_right_over_servers_opens_nothing(caller: Caller) -> None:
    scopes = ["access:services!service=desk", f"read:users!user={caller.user}"]
    made = caller.stack.api("POST", f"/users/{caller.user}/tokens", json={"scopes": scopes})
    reader = Caller(caller.stack, caller.user, made.json()["token"])
    assert reader.post("open", data={"example": "language"}).status_code == 403
    assert reader.post("api/open", json={}).status_code == 403
    assert caller.post("api/open", json={"git": "https://example.org/a"}).status_code == 400, "the cookie alone counts"
    assert nothing_runs(caller)


def test_a_notebook_file_by_its_address_is_opened_and_a_redirect_is_not_followed(
    caller: Caller, git_server: tuple[GitServer, Any]
) -> None:
    """The target stays across a stop: the next notebook opens it again."""
    server, _ = git_server
    server.answers |= {
        "/open/plain.ipynb": (200, {}, notebook("1").encode()),
        "/open/moved.ipynb": (302, {"Location": f"{server.url}/open-secret.ipynb"}, b""),
        "/open-secret.ipynb": (200, {}, notebook("secret").encode()),
    }

    def press(name: str) -> str:
        answer = caller.post("open", data={"url": f"{server.url}/open/{name}.ipynb", "flavor": "cpu-basic"})
        assert (answer.status_code, answer.headers["Location"]) == (303, "/services/desk/open/wait")
        return cookie_of(answer)

    plain = press("plain")
    opened = when_over(caller, plain)
    assert (opened["state"], opened["url"]) == ("ready", f"/user/{caller.user}/lab/tree/plain.ipynb?language=en")
    before = caller.wait_running()
    failed = when_over(caller, press("moved"))
    assert (failed["state"], failed["text"]) == (
        "failed",
        "The address redirects to another address, which is not allowed.",
    )
    assert not any("secret" in path for path in server.seen)
    assert caller.wait_running() == before, "a notebook that runs is used"
    caller.post("api/instance/stop", json={})
    stopped = progress(caller, plain)
    assert (stopped["state"], stopped["text"]) == ("idle", "No notebook is running.")
    assert stopped["url"] == f"/services/desk/open?url={quote(server.url)}/open/plain.ipynb"
    assert caller.post("api/instance", json={"flavor": "cpu-basic"}).status_code in (201, 202)
    assert when_over(caller, plain)["url"] == opened["url"]
