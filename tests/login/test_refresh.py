"""Asking a provider again costs users a moment at most, whatever it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from spawner.hub.login import http
from spawner.hub.login.http import ProviderFailed, request
from spawner.hub.login.refresh import PAUSE, Refresher


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def failures() -> list[BaseException]:
    return []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def refresher(failures: list[BaseException], clock: Clock) -> Refresher[str]:
    return Refresher(failures.append, patience=0.02, clock=clock)


async def fine() -> str:
    return "fine"


async def away() -> str:
    raise ProviderFailed("away")


async def rubbish() -> str:
    raise KeyError("token_response")


async def test_an_answer_in_time_is_given(refresher: Refresher[str]) -> None:
    assert await refresher.ask("ann", fine) == "fine"


@pytest.mark.parametrize("question", [away, rubbish])
async def test_a_provider_that_fails_is_left_alone_for_a_while(
    refresher: Refresher[str], clock: Clock, failures: list[BaseException], question: Any
) -> None:
    assert await refresher.ask("ann", question) is None
    assert await refresher.ask("bob", fine) is None, "it is not asked"
    assert len(failures) == 1
    clock.now += PAUSE
    assert await refresher.ask("bob", fine) == "fine"
    assert await refresher.ask("ann", question) is None
    refresher.resume()
    assert await refresher.ask("ann", fine) == "fine", "somebody has just logged in by it"


async def test_an_answer_that_comes_late_counts_the_next_time(refresher: Refresher[str]) -> None:
    answered = asyncio.Event()

    async def late() -> str:
        await answered.wait()
        return "late"

    assert await refresher.ask("ann", late) is None
    answered.set()
    assert await refresher.ask("ann", fine) == "late", "its new tokens are the only ones that are good"
    assert await refresher.ask("ann", fine) == "fine"


async def test_a_refused_account_keeps_nobody_else_from_being_asked_about(refresher: Refresher[str]) -> None:
    async def refused() -> str:
        raise ProviderFailed("answered 403", status=403)

    assert await refresher.ask("ann", refused) is None
    assert await refresher.ask("bob", fine) == "fine"


async def test_a_slow_answer_keeps_nobody_else_from_being_asked_about(refresher: Refresher[str]) -> None:
    answered = asyncio.Event()

    async def slow() -> str:
        await answered.wait()
        return "slow"

    assert await refresher.ask("ann", slow) is None
    assert await refresher.ask("bob", fine) == "fine"
    answered.set()
    assert await refresher.ask("ann", fine) == "slow"


async def test_requests_of_one_user_at_once_ask_once(refresher: Refresher[str]) -> None:
    asked = []

    async def question() -> str:
        asked.append(1)
        await asyncio.sleep(0)
        return "once"

    assert set(await asyncio.gather(*(refresher.ask("ann", question) for _ in range(5)))) == {"once"}
    assert len(asked) == 1


# --- requests ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def server() -> AsyncIterator[str]:
    """Answers as the path says."""

    async def answer(asked: web.Request) -> web.StreamResponse:
        match asked.path:
            case "/large":
                response = web.StreamResponse()
                await response.prepare(asked)
                for _ in range(64):
                    await response.write(b"x" * 65536)
                return response
            case "/error":
                return web.json_response({"error": "invalid_grant", "secret": "hidden"}, status=400)
            case "/elsewhere":
                return web.Response(status=302, headers={"Location": "/fine"})
            case "/silent":
                await asyncio.sleep(0.5)
                return web.Response()
            case "/text":
                return web.Response(text="<html>")
            case _:
                return web.json_response({"proxied": asked.headers.get("Host")})

    runner = web.AppRunner(web.Application())
    runner.app.router.add_route("*", "/{path:.*}", answer)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/large?token=hidden", "answered with more than 1048576 bytes"),
        ("/error?token=hidden", r"answered 400 \(invalid_grant\)"),
        ("/elsewhere?token=hidden", "answered 302"),
    ],
)
async def test_what_is_no_answer_fails_in_words_without_secrets(server: str, path: str, said: str) -> None:
    with pytest.raises(ProviderFailed, match=said) as failed:
        await request(server + path)
    assert "hidden" not in str(failed.value)


async def test_an_answer_that_is_not_json_is_a_failure(server: str) -> None:
    answer = await request(f"{server}/text")
    with pytest.raises(ProviderFailed, match="not JSON"):
        answer.read_json(server)


async def test_nobody_there_is_a_failure(unused_tcp_port: int) -> None:
    with pytest.raises(ProviderFailed, match="cannot be reached"):
        await request(f"http://127.0.0.1:{unused_tcp_port}/")


async def test_a_provider_that_says_nothing_is_left(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "SECONDS", 0.05)
    with pytest.raises(ProviderFailed, match="did not answer within"):
        await request(f"{server}/silent")


async def test_requests_go_through_the_companys_proxy(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server)
    answer = await request("http://id.example.org/token")
    assert answer.read_json("") == {"proxied": "id.example.org"}
