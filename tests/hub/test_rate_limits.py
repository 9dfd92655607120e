"""Hub and desk refuse by themselves what comes too often: asked at their sockets, as a proxy asks that counts nothing.

Each test has addresses and people of its own, so the limits are the defaults and the stack is everybody's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from spawner.rate_settings import Rate, RateLimits
from tests.stack import Stack, eventually

LIMITS = RateLimits()
BROWSER = {"Accept": "text/html,*/*;q=0.8"}


def until_refused(send: Callable[[], httpx.Response], status: int, rate: Rate, *, costs: int = 1) -> httpx.Response:
    """Send as many as a burst allows, and those that the time on a busy machine adds; return the refusal."""
    began, let_in = time.monotonic(), 0
    while (answer := send()).status_code == status:
        let_in += 1
        added = (time.monotonic() - began) * rate.per_minute / 60
        assert let_in * costs <= rate.burst + added + costs, "not refused"
    assert answer.status_code == 429, answer.text
    assert let_in >= rate.burst // costs, "refused too soon"
    assert int(answer.headers["Retry-After"]) > 0
    return answer


def proxied(stack: Stack, name: str) -> httpx.Client:
    """A client at the socket of `hub` or `desk`, in the place of the proxy."""
    transport = httpx.HTTPTransport(uds=str(getattr(stack.settings, f"{name}_socket")))
    host = stack.settings.public_url.removeprefix("http://").rstrip("/")
    return httpx.Client(transport=transport, base_url=f"http://{host}", timeout=60)


@pytest.fixture
def hub(shared_stack: Stack) -> Iterator[httpx.Client]:
    with proxied(shared_stack, "hub") as client:
        yield client


@pytest.fixture
def desk(shared_stack: Stack) -> Iterator[httpx.Client]:
    with proxied(shared_stack, "desk") as client:
        yield client


def bad_login(hub: httpx.Client, address: str, **headers: str) -> httpx.Response:
    """By a link that is not valid."""
    return hub.get("/hub/link?user=ann&token=x", headers={"X-Forwarded-For": address, **headers})


def test_the_hub_refuses_bad_logins_of_one_address_and_of_no_other(hub: httpx.Client) -> None:
    rate, costs = LIMITS.login_by_address, LIMITS.failed_login_costs
    refused = until_refused(lambda: bad_login(hub, "198.51.100.1", **BROWSER), 403, rate, costs=costs)
    assert "Too many sign-in attempts came from your network" in refused.text
    assert re.search(r"请等待 \d+ 秒后重试", refused.text)
    assert bad_login(hub, "198.51.100.1").json()["status"] == 429
    assert bad_login(hub, "198.51.100.2").status_code == 403
    assert hub.get("/hub/login", headers={"X-Forwarded-For": "198.51.100.1"}).status_code == 200


def test_no_header_of_a_client_hides_where_it_comes_from(hub: httpx.Client, shared_stack: Stack) -> None:
    numbers = iter(range(1000))

    def send() -> httpx.Response:
        number = next(numbers)
        return bad_login(hub, f"6.6.6.6, 2001:db8:7:7::{number}", **{"X-Real-Ip": "7.7.7.7"})

    until_refused(send, 403, LIMITS.login_by_address, costs=LIMITS.failed_login_costs)
    eventually(lambda: "(2001:db8:7:7::3)" in shared_stack.log("hub"), what="the address in the log")
    log = shared_stack.log("hub")
    assert "6.6.6.6" not in log
    assert "7.7.7.7" not in log


def test_the_desk_knows_the_address_too(desk: httpx.Client, shared_stack: Stack) -> None:
    """What it refuses by it is in tests/unit/test_limited_server.py: here one address may ask for much."""
    told = {"X-Forwarded-For": "6.6.6.6, 198.51.100.5", "X-Real-Ip": "7.7.7.7"}
    assert desk.post("/services/desk/api/instance", headers=told).status_code == 403
    line = "403 POST /services/desk/api/instance .* 198.51.100.5"
    eventually(lambda: re.search(line, shared_stack.log("desk")), what="the line, which is written after the answer")
    log = shared_stack.log("desk")
    assert "6.6.6.6" not in log
    assert "7.7.7.7" not in log


def test_a_person_starts_only_so_often_on_the_desk(shared_stack: Stack) -> None:
    stack, user = shared_stack, "rates-desk"
    stack.add_user(user)
    token = stack.user_token(user)
    chinese = {"Accept-Language": "zh-CN"}

    def start() -> httpx.Response:
        return stack.desk("POST", "api/instance", token=token, json={"flavor": "none"}, headers=chinese)

    refused = until_refused(start, 400, LIMITS.start_by_person)
    error: dict[str, Any] = refused.json()["error"]
    assert (error["code"], error["message"]) == ("rate_limited", "你在短时间内请求启动的 Notebook 过多。")
    assert error["next"] == f"请等待 {refused.headers['Retry-After']} 秒后重试。"
    assert stack.desk("GET", "api/state", token=token).status_code == 200
    assert stack.desk("POST", "api/instance/stop", token=token, json={}).status_code == 200


def test_a_person_starts_only_so_often_at_the_hub(shared_stack: Stack) -> None:
    stack, user = shared_stack, "rates-hub"
    stack.add_user(user)
    token = stack.user_token(user)

    def start() -> httpx.Response:
        return stack.api("POST", f"/users/{user}/server", token=token, json={"flavor": "none"})

    refused = until_refused(start, 400, LIMITS.start_by_person)
    assert "You have requested too many notebooks" in refused.json()["message"]
    assert stack.api("GET", f"/users/{user}", token=token).status_code == 200
    assert stack.start(user, flavor="none").status_code == 400, "a program of the operator's is not the user"


def test_a_person_logs_in_only_so_often_from_wherever(hub: httpx.Client, shared_stack: Stack) -> None:
    path = shared_stack.link_for("rates-login").removeprefix(shared_stack.url)
    numbers = iter(range(1000))

    def log_in() -> httpx.Response:
        hub.cookies.clear()
        return hub.get(path, headers={"X-Forwarded-For": f"2001:db8:8:{next(numbers)}::1", **BROWSER})

    refused = until_refused(log_in, 302, LIMITS.login_by_person)
    assert "You have signed in too often" in refused.text
    assert "你在短时间内登录过于频繁" in refused.text
