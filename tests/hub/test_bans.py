"""A ban ends what is free of a person within seconds, and each of their tokens is refused, at the hub and the desk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import aiohttp
import httpx
import pytest

from spawner.ledger.people import bans
from spawner.ledger.people.rows import Ban, BanCode
from spawner.ledger.pool import instances, tickets
from spawner.pool.admin.people import BanChange, ban, unban
from spawner.pool.build import new_id, utc_now
from spawner.user_hosts import host_of_user
from tests.backends.notebook import Notebook
from tests.hub.queue_users import Person
from tests.stack import PATIENCE, Stack, browser_client, eventually

NUMBERS = count(1)
SECONDS = 5
READS_TOKEN = "import os; print(os.environ['JUPYTERHUB_API_TOKEN'])"
CHINESE = "你的账号已被封禁：曾用于挖矿。"


@pytest.fixture
def ann(shared_stack: Stack) -> Iterator[Person]:
    person = make_user(shared_stack)
    yield person
    lift(person)


def make_user(stack: Stack) -> Person:
    """A user whom the ledger knows, with an API token."""
    name = f"banned-{next(NUMBERS)}"
    stack.add_user(name)
    person = Person(stack, name, stack.user_token(name))
    assert stack.api("POST", "/freepool/person", token=person.token).status_code == 200
    return person


def id_of(person: Person) -> str:
    return person.stack.person_of(person.name)


def put(person: Person, **change: Any) -> Ban:
    """As the command and the page do it."""
    made = BanChange(**{"code": BanCode.MINING, "days": 2.0, "appeal": "mail appeals@example.org"} | change)
    keys: dict[str, Any] = {"by": "root", "now": utc_now(), "new_id": new_id}
    return person.stack.ledger.write(ban, id_of(person), made, **keys)


def lift(person: Person) -> None:
    if person.stack.ledger.read(bans.of_person, id_of(person), now=utc_now()):
        person.stack.ledger.write(unban, id_of(person), by="root", now=utc_now())


def hub(person: Person, path: str = "/user", method: str = "GET") -> httpx.Response:
    return person.stack.api(method, path, token=person.token)


def wait_refused(person: Person) -> None:
    """The hub reads the bans once a second."""
    eventually(lambda: hub(person).status_code == 403, seconds=SECONDS, what="the refusal at the hub")


async def notebook_token(person: Person) -> str:
    """As any cell of the notebook reads it."""
    async with aiohttp.ClientSession() as session:
        notebook = Notebook(session, f"{person.stack.url}/user/{person.name}/", person.token, "")
        return (await notebook.run(READS_TOKEN)).strip()


async def test_what_is_free_ends_within_seconds_and_each_token_is_refused(ann: Person) -> None:
    stack, bob = ann.stack, make_user(ann.stack)
    stack.wait_warm()
    stack.run(ann.name)
    assert stack.desk("POST", "api/ticket", token=ann.token, json={"flavor": "cpu-large"}).status_code == 202
    own = await notebook_token(ann)
    shared = stack.api("POST", f"/shares/{ann.name}/", json={"user": bob.name})
    assert shared.status_code == 200, shared.text
    notebook = f"/user/{ann.name}/api/status"
    by_bob = {"Authorization": f"token {bob.token}"}
    with browser_client(follow_redirects=False) as browser:
        browser.follow_redirects = True
        assert browser.get(stack.link_for(ann.name)).status_code == 200
        assert browser.get(f"{stack.url}/hub/home").status_code == 200
        browser.follow_redirects = False
        assert hub(ann).status_code == hub(Person(stack, ann.name, own)).status_code == 200
        assert stack.http.get(f"{stack.url}{notebook}", headers=by_bob, follow_redirects=True).status_code == 200

        put(ann)
        began = time.monotonic()
        eventually(lambda: not stack.ledger.read(instances.unended, id_of(ann)), seconds=SECONDS, what="the end")
        assert time.monotonic() - began < SECONDS * PATIENCE
        assert stack.ledger.read(tickets.alive, id_of(ann)) == []
        wait_refused(ann)
        eventually(lambda: stack.api("GET", f"/users/{ann.name}").json()["servers"] == {}, what="the hub's cleanup")
        tokens = {
            f"{kind} {path}": stack.api("GET", path, token=token).status_code
            for kind, token in (("API token", ann.token), ("notebook's token", own))
            for path in ("/user", f"/users/{ann.name}", f"/users/{ann.name}/tokens")
        }
        assert set(tokens.values()) <= {401, 403}, tokens
        desks = {
            f"{kind} {path}": stack.desk("GET", path, token=token).status_code
            for kind, token in (("API token", ann.token), ("notebook's token", own))
            for path in ("", "api/state", "api/events", "api/session")
        }
        assert set(desks.values()) <= {401, 403}, desks
        host = f"http://{host_of_user(ann.name, 'localhost')}:{stack.port}"
        pages = {
            url: browser.get(url).status_code
            for url in (
                *(f"{stack.url}/hub/{path}" for path in ("home", "token", f"spawn/{ann.name}", f"user/{ann.name}/lab")),
                *(f"{stack.url}/services/desk/{path}" for path in ("", "api/state", "api/session", "admin")),
            )
        }
        assert set(pages.values()) == {403}, pages
        browser.follow_redirects = True
        assert browser.get(f"{host}/user/{ann.name}/lab").status_code == 403
        home = browser.get(f"{stack.url}/hub/home").text
        assert "Your account is banned: it was used for cryptocurrency mining." in home
        assert CHINESE in home
        assert "mail appeals@example.org" in home
        visit = stack.http.get(f"{stack.url}{notebook}", headers=by_bob, follow_redirects=True)
        assert visit.status_code == 403, "a share of a banned person's opens nothing"
        assert hub(bob).status_code == 200, "nobody else is refused"

        lift(ann)
        eventually(lambda: hub(ann).status_code == 200, seconds=SECONDS, what="the hub, after the ban")
        eventually(  # the desk keeps the hub's answer about a token for three seconds
            lambda: stack.desk("GET", "api/state", token=ann.token).status_code == 200,
            seconds=SECONDS,
            what="the desk, after the ban",
        )


def test_a_banned_person_can_log_in_and_out_and_reads_why_in_both_languages(ann: Person) -> None:
    stack = ann.stack
    put(ann)
    wait_refused(ann)
    with browser_client() as browser:
        for language, title, why in (
            ("en", "Account banned", "it was used for cryptocurrency mining"),
            ("zh-CN", "账号已被封禁", CHINESE),
        ):
            page = browser.get(stack.link_for(ann.name), headers={"Accept-Language": language})
            assert (page.status_code, page.url.path) == (403, "/services/desk/")
            assert title in page.text
            assert why in page.text
            assert "mail appeals@example.org" in page.text
        assert 'action="/services/desk/language"' in page.text
        assert browser.get(f"{stack.url}/hub/logout").status_code == 200


def test_a_start_that_waits_ends_and_a_ban_ends_by_itself(ann: Person) -> None:
    stack = ann.stack
    assert stack.desk("POST", "api/instance", token=ann.token, json={"flavor": "cpu-large"}).status_code in (201, 202)
    end = utc_now() + timedelta(seconds=4 * PATIENCE)
    stack.ledger.write(bans.put, Ban(new_id(), id_of(ann), BanCode.OTHER, "", "", "", "root", utc_now(), end))
    eventually(lambda: not stack.ledger.read(instances.unended, id_of(ann)), seconds=SECONDS, what="the end")
    wait_refused(ann)
    answer = stack.desk("GET", "api/state", token=ann.token)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "banned")
    assert "contact an administrator of this platform" in answer.json()["error"]["next"]
    eventually(lambda: hub(ann).status_code == 200, seconds=10, what="the end of the ban")
    assert utc_now() >= end
    assert stack.desk("GET", "api/state", token=ann.token).status_code == 200
    assert stack.slot_folders() >= set(), "the pool goes on"


def test_a_banned_administrator_administrates_nothing_and_nobody_bans_themselves(ann: Person) -> None:
    stack, bob = ann.stack, make_user(ann.stack)
    assert stack.api("PATCH", f"/users/{ann.name}", json={"admin": True}).status_code == 200

    def desk(method: str, path: str, body: object = None) -> httpx.Response:
        return stack.desk(method, f"api/admin{path}", token=ann.token, json=body)

    def of(person: Person) -> str:
        return f"/people/{id_of(person)}"

    mine = desk("POST", f"{of(ann)}/ban", {"days": 1})
    assert (mine.status_code, "cannot ban yourself" in mine.text) == (403, True)
    banned = desk("POST", f"{of(bob)}/ban", {"days": 1, "code": "spam", "evidence": "x"})
    assert banned.status_code == 200, banned.text
    assert (banned.json()["banned"], banned.json()["bans"][0]["by"]) == (True, ann.name)
    assert desk("GET", f"/people?q={bob.name}").json()["people"][0]["banned"] is True
    assert desk("POST", f"{of(bob)}/unban").json()["banned"] is False
    assert desk("POST", f"{of(bob)}/unban").status_code == 409
    assert desk("POST", f"{of(bob)}/ban", {"days": -1}).status_code == 400
    assert desk("GET", "/people/nobody").status_code == 404
    page = stack.desk("GET", f"admin{of(bob)}", token=ann.token)
    assert (page.status_code, "From JupyterHub" in page.text) == (200, True)
    assert stack.desk("POST", "admin/people/nobody/ban", token=ann.token, data={"ends": "1"}).status_code == 404
    assert desk("GET", f"{of(bob)}/export").json()["tables"]["people"][0]["hub_name"] == bob.name
    refused = desk("POST", f"{of(bob)}/forget")
    assert (refused.status_code, "JupyterHub still has the user" in refused.text) == (409, True)
    assert stack.api("DELETE", f"/users/{bob.name}").status_code == 204
    person_id = of(bob)
    eventually(lambda: desk("GET", f"{person_id}/forget").json()["refusals"] == [], what="the deletion in the ledger")
    assert desk("POST", f"{person_id}/forget").status_code == 200
    assert desk("GET", person_id).status_code == 404

    put(ann)
    wait_refused(ann)
    assert hub(ann, "/users").status_code == 403
    assert desk("GET", "").status_code == desk("GET", "/people").status_code == 403
    with browser_client() as browser:  # the desk's own sign-in is open to them, as to all banned people
        assert browser.get(stack.link_for(ann.name)).status_code == 403
        assert browser.get(f"{stack.url}/services/desk/metrics").status_code == 403
    assert desk("POST", f"{of(ann)}/unban").status_code == 403, "they cannot lift it"


def test_a_ban_that_is_put_while_nothing_runs_holds_as_soon_as_it_is_back(ann: Person) -> None:
    stack = ann.stack
    stack.run(ann.name)
    parts = ("steward", "desk", "hub")
    before = {name: stack.pids(name) for name in parts}
    for name in parts:
        stack.kill(name)
    put(ann)
    eventually(lambda: all(set(stack.pids(name)) - set(before[name]) for name in parts), what="their return")

    def answers(path: str) -> int:
        try:
            return stack.http.get(f"{stack.url}/{path}", headers={"Authorization": f"token {ann.token}"}).status_code
        except httpx.HTTPError:
            return 503

    seen: set[int] = set()
    for path in ("hub/api/user", "services/desk/api/state"):
        eventually(lambda path=path: seen.add(answers(path)) or answers(path) == 403, seconds=60, what=path)  # type: ignore[misc,func-returns-value]
    assert seen <= {403, 404, 502, 503}, "no answer of a process that does not know of the ban yet"
    eventually(lambda: not stack.ledger.read(instances.unended, id_of(ann)), seconds=20, what="the end")
