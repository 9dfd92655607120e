"""The end of a session in a real stack: its notices in every open page, its extension, and what nobody was told of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import pytest

from spawner.ledger import EndReason, Instance
from spawner.ledger.pool import instances
from spawner.pool.build import utc_now
from tests.api.test_events import states
from tests.backends.notebook import Notebook
from tests.hub.deadlines import reach_end, set_end
from tests.stack import PATIENCE, Stack, eventually

USERS = ("session-ann", "session-bob")
SLOW_CELL = """
import os, time
while not os.path.exists("go"):
    time.sleep(0.05)
print("finished")
"""
EXTEND_SECONDS = 0.3
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def stack(shared_stack: Stack) -> Iterator[Stack]:
    """Two users' notebooks run."""
    for name in USERS:
        shared_stack.add_user(name)
        shared_stack.run(name)
    yield shared_stack
    for name in USERS:
        shared_stack.stop(name)


def instance_of(stack: Stack, name: str) -> Instance:
    return next(one for one in stack.unended() if one.user_name == name)


def token_of_server(stack: Stack, user: str, server: str = "") -> str:
    """A token with the scope of a notebook server's own."""
    answer = stack.api("POST", f"/users/{user}/tokens", json={"scopes": [f"access:servers!server={user}/{server}"]})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


@contextmanager
def listening(stack: Stack, token: str, language: str = "en") -> Iterator[Iterator[dict[str, Any]]]:
    headers = {"Authorization": f"token {token}"}
    url = f"{stack.url}/services/desk/api/session/events?language={language}"
    with stack.http.stream("GET", url, headers=headers, timeout=60) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        yield states(answer.iter_lines())


def next_with(events: Iterator[dict[str, Any]], minutes: int) -> dict[str, Any]:
    """The next session that shows a notice of so many minutes."""
    return next(one for one in events if [notice["params"]["minutes"] for notice in one["notices"]] == [minutes])


def test_a_notice_reaches_lab_and_desk_at_once_and_a_click_moves_the_end(stack: Stack) -> None:
    ann, bob = (instance_of(stack, name) for name in USERS)
    own, user = token_of_server(stack, USERS[0]), stack.user_token(USERS[0])
    with listening(stack, own) as events, listening(stack, user, "zh-CN") as chinese:
        first = next(events)
        assert (first["id"], first["user"], first["server"], first["state"]) == (ann.id, USERS[0], "", "running")
        assert (first["flavor_title"], first["notices"], first["allowance"], first["idle"]) == (
            "CPU",
            [],
            None,
            None,
        )
        assert first["extension"] == {
            "possible": True, "seconds": 3600, "left": 2, "number": 1, "reason": None, "text": "Extend by 1 hour",
        }  # fmt: skip
        set_end(stack.ledger, ann.id, utc_now() + 10 * MINUTE)
        began = time.monotonic()
        seen = next_with(events, 10)
        assert time.monotonic() - began < 8, "one round of the steward, and the stream"
        (notice,) = seen["notices"]
        assert (notice["kind"], notice["title"]) == ("deadline", "Your notebook ends in 10 minutes")
        assert notice["actions"] == ["extend", "open_desk"]
        assert next_with(chinese, 10)["notices"][0]["title"] == "Notebook 将在 10\u00a0分钟后结束"
        page = stack.desk("GET", "api/state", token=user).json()["instance"]["session"]
        assert [one["id"] for one in page["notices"]] == [notice["id"]]

        shown = stack.desk("POST", "api/session/notices", token=own, json={"seen": [notice["id"]], "where": "lab"})
        assert shown.json()["notices"][0]["seen_at"] is not None
        began = time.monotonic()
        extended = stack.desk("POST", "api/session/extend", token=own, json={"number": 1})
        took = time.monotonic() - began
        assert extended.status_code == 200, extended.text
        assert took < EXTEND_SECONDS * PATIENCE
        session = extended.json()
        assert time_of(session["ends_at"]) - time_of(seen["ends_at"]) == 60 * MINUTE
        assert (session["notices"], session["extension"]["number"], session["extension"]["left"]) == ([], 2, 1)
        assert next(one for one in events if one["extension"]["left"] == 1)["notices"] == []
    again = stack.desk("POST", "api/session/extend", token=user, json={"number": 1})
    assert again.json()["ends_at"] == session["ends_at"], "the click of another tab"
    assert instance_of(stack, USERS[1]).ends_at == bob.ends_at


def test_an_answer_takes_the_notice_from_all_pages(stack: Stack) -> None:
    bob, own = instance_of(stack, USERS[1]), token_of_server(stack, USERS[1])
    with listening(stack, own) as events:
        next(events)
        set_end(stack.ledger, bob.id, utc_now() + 30 * MINUTE)
        (notice,) = next_with(events, 30)["notices"]
        of_ann = stack.desk("POST", "api/session/answer", token=token_of_server(stack, USERS[0]), json=answer(notice))
        assert (of_ann.status_code, of_ann.json()["error"]["code"]) == (400, "bad_option")
        given = stack.desk("POST", "api/session/answer", token=own, json=answer(notice))
        assert given.json()["notices"][0]["answered_at"] is not None
        assert next(one for one in events if one["notices"][0]["answered_at"])["id"] == bob.id


def answer(notice: dict[str, Any]) -> dict[str, str]:
    return {"id": notice["id"], "answer": "dismissed"}


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_an_end_that_passed_while_no_steward_looked_moves_and_is_announced(stack: Stack) -> None:
    bob = instance_of(stack, USERS[1])
    set_end(stack.ledger, bob.id, utc_now() - timedelta(hours=2))
    own = token_of_server(stack, USERS[1])

    def moved() -> dict[str, Any] | None:
        session: dict[str, Any] = stack.desk("GET", "api/session", token=own).json()
        return session if time_of(session["ends_at"]) > utc_now() else None

    session = eventually(moved, what="a later end") or {}
    assert 4 * MINUTE < time_of(session["ends_at"]) - utc_now() <= 5 * MINUTE
    assert session["notices"][0]["title"] == "Your notebook ends in 5 minutes"
    assert instance_of(stack, USERS[1]).id == bob.id, "it runs on"
    assert stack.api("GET", f"/users/{USERS[1]}").json()["servers"][""]["ready"]


def test_a_token_of_another_server_reaches_no_session(stack: Stack) -> None:
    before = {one.id: one.ends_at for one in stack.unended()}
    paid = token_of_server(stack, USERS[0], "paid-1")
    for method, path in (
        ("GET", "api/session"), ("GET", "api/session/events"), ("POST", "api/session/extend"),
        ("POST", "api/session/notices"),
    ):  # fmt: skip
        refused = stack.desk(method, path, token=paid)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_running"), path
    narrow = stack.api("POST", f"/users/{USERS[0]}/tokens", json={"scopes": ["access:services!service=desk"]})
    read_only = narrow.json()["token"]
    assert stack.desk("GET", "api/session", token=read_only).status_code == 200
    refused = stack.desk("POST", "api/session/extend", token=read_only, json={})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_allowed")
    assert {one.id: one.ends_at for one in stack.unended()} == before


async def test_a_running_cell_gets_grace_once_and_nothing_is_wiped_before_it_is_over(stack: Stack) -> None:
    """The kernel is a real one: what the steward hears of it decides."""
    name = "session-cid"
    stack.add_user(name)
    instance, token = stack.run(name), stack.user_token(name)
    async with aiohttp.ClientSession() as session:
        notebook = Notebook(session, f"{stack.url}/user/{name}/", token, instance.slot_id or "")
        await notebook.open_kernel()
        cell = asyncio.create_task(notebook.run(SLOW_CELL))
        await notebook.wait_busy()
        reach_end(stack.ledger, instance.id, instance.person_id)
        end = instance_of(stack, name).ends_at
        assert end is not None

        def told() -> list[dict[str, Any]]:
            said: list[dict[str, Any]] = stack.desk("GET", "api/session", token=token).json()["notices"]
            return [one for one in said if one["kind"] == "grace"]

        (grace,) = await asyncio.to_thread(eventually, told, what="grace")
        assert time_of(grace["due_at"]) == end + 10 * MINUTE == instance_of(stack, name).ends_at
        status, _ = await notebook.call("PUT", "contents/go", json={"type": "file", "format": "text", "content": ""})
        assert status == 201, "the user can still save"
        assert await cell == "finished\n"

        endless = asyncio.create_task(notebook.run("import time; time.sleep(600)"))
        await notebook.wait_busy()
        reach_end(stack.ledger, instance.id, instance.person_id)
        await asyncio.to_thread(eventually, lambda: instance.slot_id not in stack.slot_folders(), what="the wipe")
        endless.cancel()
    ended = stack.ledger.read(instances.get, instance.id)
    assert ended.reason is EndReason.DEADLINE, "grace is given once"
