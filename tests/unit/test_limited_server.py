"""A Tornado server behind the limits: hub and desk are two of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from spawner import siblings
from spawner.rate_limits.limiter import RateLimiter
from spawner.rate_limits.rules import kind_of
from spawner.rate_limits.server import LimitedServer, log_and_note
from spawner.rate_settings import Rate, RateLimits

NEVER = 0.01
LIMITS = RateLimits(
    login_by_address=Rate(burst=4, per_minute=NEVER),
    failed_login_costs=2,
    start_by_address=Rate(burst=2, per_minute=NEVER),
    api_by_address=Rate(burst=3, per_minute=NEVER),
)
PROOF = siblings.proof("the desk's token")


class Echo(RequestHandler):
    def get(self) -> None:
        self.set_status(403 if self.request.path == "/hub/link" else 200)
        self.write(self.request.remote_ip or "")

    def post(self) -> None:
        self.write(str(len(self.request.body)))


@pytest.fixture
async def url() -> AsyncIterator[str]:
    limiter = RateLimiter(LIMITS)
    application = Application([(".*", Echo)], log_function=log_and_note(lambda _: None, limiter))
    limited = LimitedServer(
        application,
        limiter,
        trusted_proxies=0,
        is_sibling=lambda _, headers: siblings.is_proven(headers.get(siblings.HEADER), (PROOF,)),
    )
    server = HTTPServer(limited, xheaders=True)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    server.stop()


async def ask(
    session: aiohttp.ClientSession, url: str, *, body: bytes | None = None, headers: Mapping[str, str] = {}
) -> tuple[int, str]:
    async with session.request("GET" if body is None else "POST", url, data=body, headers=headers) as answer:
        return answer.status, await answer.text()


async def test_each_request_has_its_clients_address_and_no_other(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        for client in ("203.0.113.7", "203.0.113.8"):  # over one connection
            told = {"X-Forwarded-For": f"6.6.6.6, {client}", "X-Real-Ip": "7.7.7.7"}
            assert await ask(session, f"{url}/hub/home", headers=told) == (200, client)
        assert await ask(session, f"{url}/hub/home", headers={"X-Real-Ip": "7.7.7.7"}) == (200, "127.0.0.1")
        sibling = {siblings.HEADER: PROOF, "X-Forwarded-For": "203.0.113.7"}
        assert await ask(session, f"{url}/hub/home", headers=sibling) == (200, "127.0.0.1")


async def test_what_is_too_much_is_refused_after_its_body_and_the_connection_goes_on(url: str) -> None:
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=connector) as session:
        start = f"{url}/services/desk/api/instance"
        found = [await ask(session, start, body=b"x" * 300_000) for _ in range(3)]
        assert [status for status, _ in found] == [200, 200, 429]
        assert '"code": "rate_limited"' in found[-1][1]
        assert await ask(session, f"{url}/hub/home") == (200, "127.0.0.1")


async def test_a_refused_login_costs_more_and_a_page_says_so(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        found = [await ask(session, f"{url}/hub/link", headers={"Accept": "text/html"}) for _ in range(3)]
        assert [status for status, _ in found] == [403, 403, 429]
        assert "请求过于频繁" in found[-1][1]


async def test_siblings_are_not_limited_and_nobody_else_passes_for_one(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        for given, expected in ((PROOF, [200] * 5), ("a guess", [200] * 3 + [429] * 2), ("ü", [429])):
            found = [await ask(session, f"{url}/hub/api/", headers={siblings.HEADER: given}) for _ in expected]
            assert [status for status, _ in found] == expected


def test_a_rule_without_a_kind_is_never_refused() -> None:
    assert kind_of("GET", "/hub/static/style.css") is None
