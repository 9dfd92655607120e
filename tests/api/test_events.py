"""The event stream: the state at once, then every change; a client that disconnects causes no error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp

from spawner.desk.streams import MOST
from tests.api.conftest import Caller
from tests.stack import eventually


@contextmanager
def listening(caller: Caller, language: str = "en") -> Iterator[Iterator[dict[str, Any]]]:
    """The states that the desk sends to one client."""
    headers = {"Authorization": f"token {caller.token}", "Accept-Language": language}
    address = f"{caller.stack.url}/services/desk/api/events"
    with caller.stack.http.stream("GET", address, headers=headers, timeout=60) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/event-stream"
        yield states(answer.iter_lines())


def states(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Events without a name are states; `alive` is the keepalive."""
    name = ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data" and not name:
            yield json.loads(value)
        elif not line:
            name = ""


def test_the_current_state_comes_first_and_every_state_of_an_instance_after_it(caller: Caller) -> None:
    with listening(caller) as events:
        first = next(events)
        assert (first["user"]["name"], first["instance"]) == (caller.user, None)
        caller.post("api/instance")
        seen = [next(events)]
        while not seen[-1]["instance"] or seen[-1]["instance"]["state"] != "running":
            seen.append(next(events))
        assert seen[-1]["instance"]["usable_at"] is not None
        caller.post("api/instance/stop")
        while seen[-1]["instance"] is not None:
            seen.append(next(events))
    clocks = [state["now"] for state in seen]
    assert clocks == sorted(clocks)


def test_the_stream_has_the_fields_and_the_language_of_the_state(caller: Caller) -> None:
    with listening(caller, language="zh-CN") as events:
        sent = next(events)
    read = caller.get("api/state", headers={"Accept-Language": "zh-CN"}).json()
    assert sent.keys() == read.keys()
    assert sent["examples"] == read["examples"]
    assert sent["flavors"][0]["title"] == "CPU 基础型"


def test_another_users_instance_shows_only_in_the_capacity(caller: Caller) -> None:
    stack = caller.stack
    with listening(caller) as events:
        before = next(events)
        stack.add_user("api-somebody-else")
        stack.start("api-somebody-else", flavor="cpu-large")
        after = next(events)
        while after["flavors"][1]["available"] == before["flavors"][1]["available"]:
            after = next(events)
        stack.stop("api-somebody-else")
    assert after["instance"] is None
    assert "somebody-else" not in json.dumps(after)


def test_a_client_that_disconnects_is_not_logged_as_an_error(caller: Caller) -> None:
    before = len(caller.stack.log("desk"))
    for _ in range(3):
        with listening(caller) as events:
            next(events)
    caller.post("api/instance")  # a change that no client reads

    def ended() -> bool:
        return caller.stack.log("desk")[before:].count("GET /services/desk/api/events") >= 3

    eventually(ended, what="the end of three streams in the desk's log")
    log = caller.stack.log("desk")[before:]
    assert "Traceback" not in log
    assert "ERROR" not in log


async def waits_for_a_link(session: aiohttp.ClientSession, caller: Caller) -> int:
    """The status of a request that waits for the notebook in which a link was opened."""
    open_page = f"{caller.stack.url}/services/desk/open"
    cpu = {"example": "language", "flavor": "cpu-large"}  # without a warm slot: it starts for a while
    async with session.post(open_page, data=cpu, allow_redirects=False) as answer:
        assert answer.status == 303
        kept = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}
    wait = f"{caller.stack.url}/services/desk/api/open?wait=yes"
    async with session.post(wait, json={}, headers=kept) as answer:
        return answer.status


async def test_one_user_opens_only_so_many_streams(caller: Caller) -> None:
    """A stream is counted once as a request, and costs the desk as long as it is open."""
    address = f"{caller.stack.url}/services/desk/api/events"
    headers = {"Authorization": f"token {caller.token}"}
    connector = aiohttp.TCPConnector(limit=0, ssl=False)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        opened = await asyncio.gather(*(session.get(address) for _ in range(MOST + 5)))
        assert sorted(answer.status for answer in opened) == [200] * MOST + [429] * 5
        refused = next(answer for answer in opened if answer.status == 429)
        assert int(refused.headers["Retry-After"]) > 0
        assert await waits_for_a_link(session, caller) == 429, "a request that waits for a link's notebook counts, too"
        caller.stack.add_user("api-another-stream")
        other = caller.stack.user_token("api-another-stream")
        async with session.get(address, headers={"Authorization": f"token {other}"}) as answer:
            assert answer.status == 200
        for one in opened:
            one.close()
