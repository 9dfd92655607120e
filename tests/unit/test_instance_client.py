"""The desk asks an instance, whose user may have replaced the server: what it may answer, and what it is sent."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from spawner.desk.user.instance_client import LARGEST_ANSWER, InstanceRefused, read_changes, unpack
from spawner.instance.desk_key import HEADER, desk_key, is_desk
from spawner.instance.save.paths import DESK_CHANGES, UNPACK
from tests.unit import make

SECRET = "the desk's"
ANSWER = {"count": 200, "files": [{"path": "x" * 100, "bytes": number} for number in range(200)]}


@asynccontextmanager
async def serving(answer: Callable[[web.Request], Any]) -> AsyncIterator[Any]:
    """An instance with a server of its user's own."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield replace(make.instance("one"), url=f"http://127.0.0.1:{runner.addresses[0][1]}")
    await runner.cleanup()


async def test_an_answer_in_many_pieces_is_read_whole() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.path == DESK_CHANGES
        response = web.StreamResponse()
        await response.prepare(request)
        text = json.dumps(ANSWER).encode()
        for at in range(0, len(text), 5000):
            await response.write(text[at : at + 5000])
            await asyncio.sleep(0.01)
        return response

    async with serving(answer) as instance:
        assert await read_changes(instance, SECRET) == ANSWER


async def test_what_is_put_back_is_sent_with_the_key_of_the_instance_and_no_token() -> None:
    seen: dict[str, Any] = {}

    async def answer(request: web.Request) -> web.Response:
        seen.update(path=request.path, body=await request.read(), headers=dict(request.headers))
        return web.json_response({"files": 1})

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    async with serving(answer) as instance:
        assert await unpack(instance, SECRET, pieces()) == {"files": 1}
    assert (seen["path"], seen["body"]) == (UNPACK, b"onetwo")
    assert seen["headers"][HEADER] == desk_key(SECRET, instance.id)
    assert not {"Authorization", "Cookie"} & seen["headers"].keys()


async def _too_long(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(10_000):
        await response.write(bytes(64 * 1024))
    return response


async def _bomb(_: web.Request) -> web.Response:
    return web.Response(body=gzip.compress(bytes(200 * LARGEST_ANSWER)), headers={"Content-Encoding": "gzip"})


@pytest.mark.parametrize(
    "answer",
    [
        _too_long,
        _bomb,
        lambda _: web.Response(body=b"[" * 400_000),
        lambda _: web.Response(body=b"9" * 400_000),
        lambda _: web.json_response([]),
        lambda _: web.Response(status=302, headers={"Location": "http://127.0.0.1:9/"}),
    ],
)
async def test_an_answer_that_is_none_harms_nobody(answer: Any) -> None:
    async def answered(request: web.Request) -> web.StreamResponse:
        found = answer(request)
        return await found if asyncio.iscoroutine(found) else found  # type: ignore[no-any-return]

    async with serving(answered) as instance:
        with pytest.raises(InstanceRefused):
            await read_changes(instance, SECRET)


def test_a_key_is_of_one_instance_and_none_opens_nothing() -> None:
    key = desk_key(SECRET, "one")
    assert is_desk({HEADER: key}, key)
    assert key != desk_key(SECRET, "other")
    assert key != desk_key("another secret", "one")
    for given in ("", key[:-1], key.upper(), "é"):
        assert not is_desk({HEADER: given}, key)
    assert not is_desk({HEADER: ""}, "")
