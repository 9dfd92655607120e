"""Token buckets in Python and in the proxy's JavaScript, and what counts as what."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from spawner.errors import RateLimited
from spawner.local.front import STARTER
from spawner.rate_limits import texts
from spawner.rate_limits.buckets import Buckets
from spawner.rate_limits.limiter import RateLimiter
from spawner.rate_limits.proxy import proxy_options
from spawner.rate_limits.rules import Kind, kind_of
from spawner.rate_settings import Rate, RateLimits
from tests.unit.test_client_address import in_node

SLOW = Rate(burst=3, per_minute=60)
STEPS: list[tuple[str, tuple[Any, ...], float]] = [
    # a method, its arguments (key, seconds, …), and what `take` returns
    *[("take", ("ann", 0.0), 0.0)] * 3,
    ("take", ("ann", 0.0), 1.0),
    ("take", ("ben", 0.0), 0.0),
    ("take", ("ann", 0.5), 0.5),  # a refused request does not prolong the wait
    ("take", ("ann", 1.0), 0.0),
    ("take", ("ann", 100.0), 0.0),
    *[("take", ("ann", 100.0), 0.0)] * 2,  # it holds no more than a burst
    ("take", ("ann", 100.0), 1.0),
    ("charge", ("cid", 200.0, 2.0, False), 0.0),
    ("take", ("cid", 200.0), 0.0),
    ("take", ("cid", 200.0), 1.0),
    ("charge", ("cid", 200.0, 1000.0, False), 0.0),
    ("take", ("cid", 200.0), 4.0),  # what is owed is at most one burst
    ("charge", ("dan", 300.0, 1.0, True), 0.0),
    ("take", ("dan", 300.0), 2.0),
    ("take", ("dan", 299.0), 2.0),  # a clock that goes back gives nothing
]


def test_a_bucket_gives_its_burst_and_fills_up_again() -> None:
    buckets = Buckets(SLOW)
    for number, (name, given, expected) in enumerate(STEPS):
        found = run(buckets, name, given)
        assert found == pytest.approx(expected), (number, name, given)


def run(buckets: Buckets, name: str, given: tuple[Any, ...]) -> float:
    if name == "take":
        return buckets.take(*given)
    key, now, tokens, drain = given
    buckets.charge(key, now, tokens, drain=drain)
    return 0.0


def test_the_proxys_buckets_do_the_same() -> None:
    code = (
        f"const {{Buckets}} = await import({json.dumps(str(STARTER.parent / 'buckets.js'))});"
        f"const buckets = new Buckets({SLOW.model_dump_json()}, 100);"
        f"console.log(JSON.stringify({json.dumps(STEPS)}.map(([name, given]) => buckets[name](...given) ?? 0)))"
    )
    assert in_node(code) == pytest.approx([expected for _, _, expected in STEPS])


def test_a_hundred_thousand_addresses_leave_no_more_than_so_many_behind() -> None:
    buckets = Buckets(SLOW, most=1000)
    let_in = 0
    for number in range(100_000):
        buckets.take(str(number), 0.0)
        let_in += buckets.take("busy", 0.0) == 0
    assert len(buckets) == 1000
    assert let_in == SLOW.burst, "whoever goes on is not forgotten"
    code = (
        f"const {{Buckets}} = await import({json.dumps(str(STARTER.parent / 'buckets.js'))});"
        f"const buckets = new Buckets({SLOW.model_dump_json()}, 1000);"
        "let letIn = 0;"
        "for (let number = 0; number < 100000; number += 1) {"
        "  buckets.take(`${number}`, 0);"
        "  if (buckets.take('busy', 0) === 0) letIn += 1;"
        "}"
        "console.log(JSON.stringify([buckets.size, letIn]))"
    )
    assert in_node(code) == [1000, SLOW.burst]


REQUESTS = [
    ("GET", "/hub/link", Kind.LOGIN),
    ("GET", "/hub/oauth_login", Kind.LOGIN),
    ("GET", "/hub/oauth_callback", Kind.LOGIN),
    ("POST", "/hub/login", Kind.LOGIN),
    ("GET", "/hub/login", Kind.API),
    ("GET", "/hub/link/", Kind.API),
    ("GET", "/hub/%6cink", Kind.API),
    ("GET", "/hub//link", Kind.API),
    ("POST", "/services/desk/api/instance", Kind.START),
    ("POST", "/services/desk/api/instance/restart", Kind.START),
    ("POST", "/services/desk/api/ticket", Kind.START),
    ("GET", "/services/desk/api/ticket", Kind.API),
    ("POST", "/services/desk/api/instance/stop", Kind.API),
    ("POST", "/hub/api/users/ann/server", Kind.START),
    ("POST", "/hub/api/users/ann/servers/", Kind.START),
    ("POST", "/hub/api/users/ann/servers/paid-1", Kind.START),
    ("DELETE", "/hub/api/users/ann/server", Kind.API),
    ("GET", "/hub/spawn", Kind.START),
    ("GET", "/hub/spawn/ann", Kind.START),
    ("GET", "/hub/spawn-pending/ann", Kind.API),
    ("GET", "/hub/api/", Kind.API),
    ("GET", "/services/desk/", Kind.API),
    ("GET", "/", Kind.API),
    ("GET", "/hub/user/ann/", Kind.API),
    ("GET", "/user/ann/api/kernels", Kind.API),  # of a notebook that is gone: else it would not come here
    ("GET", "/hub/static/css/style.css", None),
    ("GET", "/services/desk/static/user/desk.js", None),
    ("GET", "/hub/health", None),
    ("GET", "/_chp_healthz", None),
]


def test_each_request_counts_as_what_it_is() -> None:
    assert [kind_of(method, path) for method, path, _ in REQUESTS] == [kind for *_, kind in REQUESTS]
    code = (
        f"const {{Rates}} = await import({json.dumps(str(STARTER.parent / 'rates.js'))});"
        f"const rates = new Rates({json.dumps(proxy_options(RateLimits(), 0))});"
        f"console.log(JSON.stringify({json.dumps(REQUESTS)}.map(([method, path]) => rates.kindOf(method, path))))"
    )
    assert in_node(code) == [kind for *_, kind in REQUESTS]


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_classroom_logs_in_and_starts_within_a_minute() -> None:
    """Forty people behind one address: a provider's two requests each, four mistakes, the desk's pages, one start."""
    clock = Clock()
    limiter = RateLimiter(RateLimits(), now=clock)
    for person in range(40):
        clock.now = person * 1.5
        for _ in range(2):
            assert limiter.seconds_for_address(Kind.LOGIN, "203.0.113.7") == 0
        if person % 10 == 0:
            assert limiter.seconds_for_address(Kind.LOGIN, "203.0.113.7") == 0
            limiter.note_status(Kind.LOGIN, "203.0.113.7", 403)
        for _ in range(30):
            assert limiter.seconds_for_address(Kind.API, "203.0.113.7") == 0
            limiter.require(Kind.API, f"person-{person}")
        assert limiter.seconds_for_address(Kind.START, "203.0.113.7") == 0
        limiter.require(Kind.START, f"person-{person}")


def test_all_of_a_classroom_at_the_same_second_too() -> None:
    limiter = RateLimiter(RateLimits(), now=Clock())
    assert not any(limiter.seconds_for_address(Kind.LOGIN, "203.0.113.7") for _ in range(80))
    assert not any(limiter.seconds_for_address(Kind.START, "203.0.113.7") for _ in range(40))
    assert not any(limiter.seconds_for_address(Kind.API, "203.0.113.7") for _ in range(40 * 30))


def tries(limiter: RateLimiter, addresses: list[str], clock: Clock, *, seconds: int, per_second: int) -> int:
    """Bad logins, spread over the addresses. Returns how many were let in to be checked."""
    let_in = 0
    for number in range(seconds * per_second):
        clock.now += 1 / per_second
        address = addresses[number % len(addresses)]
        if limiter.seconds_for_address(Kind.LOGIN, address) == 0:
            let_in += 1
            limiter.note_status(Kind.LOGIN, address, 403)
    return let_in


def test_bad_logins_of_one_address_are_soon_refused() -> None:
    clock = Clock()
    limiter = RateLimiter(RateLimits(), now=clock)
    assert tries(limiter, ["203.0.113.7"], clock, seconds=60, per_second=167) < 25
    assert limiter.seconds_for_address(Kind.LOGIN, "203.0.113.8") == 0
    assert limiter.seconds_for_address(Kind.LOGIN, "203.0.113.7") > 0
    clock.now += 600
    assert limiter.seconds_for_address(Kind.LOGIN, "203.0.113.7") == 0


def test_bad_logins_of_many_addresses_are_refused_sooner_and_others_lose_nothing() -> None:
    clock = Clock()
    limiter = RateLimiter(RateLimits(), now=clock)
    botnet = [f"198.51.100.{number}" for number in range(100)]
    assert tries(limiter, botnet, clock, seconds=60, per_second=167) < 1000, "of 10,000"
    assert not any(limiter.seconds_for_address(Kind.LOGIN, "203.0.113.7") for _ in range(80))


@pytest.mark.parametrize("status", [200, 302, 404, 500, 503])
def test_a_login_that_did_not_fail_costs_one(status: int) -> None:
    limiter = RateLimiter(RateLimits(login_by_address=Rate(burst=4, per_minute=1)), now=Clock())
    for _ in range(4):
        assert limiter.seconds_for_address(Kind.LOGIN, "203.0.113.7") == 0
        limiter.note_status(Kind.LOGIN, "203.0.113.7", status)
    assert limiter.seconds_for_address(Kind.LOGIN, "203.0.113.7") == 60


def test_a_person_is_told_when_to_come_again() -> None:
    limiter = RateLimiter(RateLimits(start_by_person=Rate(burst=1, per_minute=6)), now=Clock())
    limiter.require(Kind.START, "ann")
    limiter.require(Kind.START, "ben")
    limiter.require(Kind.API, "ann")
    with pytest.raises(RateLimited, match=r"too many notebooks .* Wait 10 seconds") as refused:
        limiter.require(Kind.START, "ann")
    assert (refused.value.status, refused.value.seconds) == (429, 10)


def test_limits_can_be_off() -> None:
    once = Rate(burst=1, per_minute=1)
    limiter = RateLimiter(RateLimits(enabled=False, login_by_address=once, start_by_person=once), now=Clock())
    for _ in range(3):
        assert limiter.seconds_for_address(Kind.LOGIN, "203.0.113.7") == 0
        limiter.note_status(Kind.LOGIN, "203.0.113.7", 403)
        limiter.require(Kind.START, "ann")
    off = proxy_options(RateLimits(enabled=False), 0)
    assert (off["rules"], off["byAddress"]) == ([], {})


def test_one_second_is_not_seconds_in_any_of_the_three() -> None:
    second = Rate(burst=1, per_minute=60)
    limits = RateLimits(api_by_address=second, api_by_person=second)
    limiter = RateLimiter(limits, now=Clock())
    limiter.require(Kind.API, "ann")
    with pytest.raises(RateLimited, match="Wait 1 second, and try again") as refused:
        limiter.require(Kind.API, "ann")
    assert refused.value.seconds == 1
    for path, accept in (("/hub/home", "text/html"), ("/hub/api/users", "*/*"), ("/services/desk/api/state", "*/*")):
        said = texts.answer(Kind.API, path, accept, 1)[1]
        assert "Wait 1 second, and" in said
        code = (
            f"const {{Rates}} = await import({json.dumps(str(STARTER.parent / 'rates.js'))});"
            f"const rates = new Rates({json.dumps(proxy_options(limits, 0))});"
            f"const req = {{method: 'GET', url: {json.dumps(path)}, headers: {{accept: {json.dumps(accept)}}}, "
            "socket: {remoteAddress: '203.0.113.7'}};"
            "rates.refusal(req, 0); console.log(JSON.stringify(rates.refusal(req, 0).body))"
        )
        assert in_node(code) == said, "the proxy says the same"


def test_an_answer_is_for_whoever_asks() -> None:
    page = texts.answer(Kind.LOGIN, "/hub/link", "text/html,*/*", 7)
    assert page[0].startswith("text/html")
    assert "Too many sign-in attempts" in page[1]
    assert "Wait 7 seconds" in page[1]
    assert "请等待 7 秒" in page[1]
    kind, desk = texts.answer(Kind.API, "/services/desk/api/state", "text/html", 7)
    assert kind == "application/json"
    assert json.loads(desk)["error"]["code"] == RateLimited.code == texts.CODE
    assert json.loads(texts.answer(Kind.API, "/hub/api/users", "*/*", 7)[1])["status"] == 429
