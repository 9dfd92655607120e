"""Free instances by JupyterHub's REST API, used as its documentation describes."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import httpx
import pytest

from spawner.ledger import EndReason
from spawner.ledger.pool import instances
from tests.stack import Stack, eventually

NAMES = [
    pytest.param("walker", marks=pytest.mark.check),
    "first.last+plus_under-dash@example.org",
    "名字",
    "ünï sp ace",
    "a" * 60,
]


def contents(stack: Stack, user: str, token: str, method: str, path: str, **kwargs: object) -> httpx.Response:
    """The contents API of a user's Jupyter server."""
    return stack.http.request(
        method,
        f"{stack.url}/user/{quote(user, safe='@')}/api/contents/{path}",
        headers={"Authorization": f"token {token}"},
        timeout=30,
        **kwargs,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_user_starts_uses_and_stops_an_instance(shared_stack: Stack, name: str) -> None:
    stack = shared_stack
    stack.add_user(name)
    stack.wait_warm()
    stack.run(name, flavor="cpu-basic")
    token = stack.user_token(name)
    listing = contents(stack, name, token, "GET", "")
    assert listing.status_code == 200
    assert [entry["name"] for entry in listing.json()["content"]] == ["examples"]
    assert stack.stop(name).status_code in (202, 204)
    assert not [instance for instance in stack.unended() if instance.user_name == name]


def test_a_new_start_gives_a_new_slot_keeps_no_files_and_no_options(shared_stack: Stack) -> None:
    """A running server is listed with its options, a stopped one is not. A start without options has the defaults."""
    stack = shared_stack
    stack.add_user("wiped")
    before = stack.run("wiped", flavor="cpu-large", image="light")
    model = stack.api("GET", "/users/wiped").json()["servers"][""]
    assert model["ready"]
    assert model["user_options"] == {"flavor": "cpu-large", "image": "light"}
    token = stack.user_token("wiped")
    assert contents(stack, "wiped", token, "PUT", "canary.txt", json={
        "type": "file", "format": "text", "content": "still here?"
    }).status_code == 201  # fmt: skip
    assert contents(stack, "wiped", token, "GET", "canary.txt").status_code == 200
    stack.stop("wiped")
    assert stack.api("GET", "/users/wiped").json()["servers"] == {}
    after = stack.run("wiped")
    assert (after.flavor, after.image) == ("cpu-basic", "light")
    assert after.slot_id != before.slot_id
    assert contents(stack, "wiped", token, "GET", "canary.txt").status_code == 404
    assert before.slot_id not in stack.slot_folders()
    stack.stop("wiped")


def test_requests_that_stop_one_start_at_once_are_answered_and_end_no_later_start(shared_stack: Stack) -> None:
    stack, path = shared_stack, "/users/hasty/server"
    stack.add_user("hasty")
    with ThreadPoolExecutor() as clients:
        first = clients.submit(stack.start, "hasty", flavor="cpu-large")
        eventually(lambda: [one for one in stack.unended() if one.user_name == "hasty"], what="the row")
        stops = [clients.submit(stack.api, "DELETE", path) for _ in range(2)]
        cancelled = first.result()
        meanwhile = stack.start("hasty", flavor="cpu-large")  # JupyterHub's stop waits a second, then ends what runs
        assert (cancelled.status_code, cancelled.json()["message"]) == (409, "Start cancelled. Start a notebook.")
        assert (meanwhile.status_code, meanwhile.json()["message"]) == (400, "hasty is pending stop")
        assert {stop.result().status_code for stop in stops} <= {202, 204}
    assert stack.run("hasty").state == "running"
    stack.stop("hasty")


def test_progress_can_be_read_during_a_start(shared_stack: Stack) -> None:
    stack = shared_stack
    stack.add_user("watched")
    starting = threading.Thread(target=lambda: stack.start("watched", flavor="cpu-large"))
    starting.start()
    eventually(lambda: [instance for instance in stack.unended() if instance.user_name == "watched"], what="the row")

    def read() -> list[str]:
        with stack.http.stream(
            "GET",
            f"{stack.url}/hub/api/users/watched/server/progress",
            headers={"Authorization": f"token {stack.token}"},
            timeout=60,
        ) as answer:
            return [line for line in answer.iter_lines() if line.startswith("data:")]

    with ThreadPoolExecutor() as tabs:
        lines = list(tabs.map(lambda _: read(), range(2)))
    starting.join()
    for tab in lines:
        assert any("Request received" in line for line in tab)
        assert '"ready": true' in tab[-1]
    stack.stop("watched")


def test_the_hub_notices_at_once_that_an_instance_ended(shared_stack: Stack) -> None:
    stack = shared_stack
    stack.add_user("leaver")
    stack.run("leaver")
    token = stack.user_token("leaver")
    began = time.monotonic()
    stack.http.post(f"{stack.url}/user/leaver/api/shutdown", headers={"Authorization": f"token {token}"}, timeout=20)
    eventually(lambda: stack.api("GET", "/users/leaver").json()["servers"] == {}, what="the hub's notice")
    assert time.monotonic() - began < 8
    last = eventually(
        lambda: stack.ledger.read(instances.last_ended, stack.person_of("leaver")), what="the end in the ledger"
    )
    assert last.reason is EndReason.SHUT_DOWN
