"""A warm slot accepts exactly one valid claim, whatever other clients on the network send."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from spawner.instance import agent
from spawner.instance.agent import SlotConfig, open_listener, read_config, wait_for_claim
from spawner.instance.sealing import CLAIM_PATH, HEALTH_PATH, LARGEST_CLAIM, Claim, seal, slot_key
from spawner.pool.backends.local import keeper

KEY = slot_key(b"master", "slot-1")
PATIENCE = 5
RUBBISH = {
    "nothing": b"",
    "half a line": b"GET",
    "no request": b"\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "binary": bytes(range(256)) * 8 + b"\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100,
    "endless header": b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000,
    "negative length": b"POST /freepool/claim HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "no number": b"POST /freepool/claim HTTP/1.1\r\nContent-Length: many\r\n\r\n",
    "huge length": b"POST /freepool/claim HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "just too long": b"POST /freepool/claim HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (LARGEST_CLAIM + 1),
    "absurd number": b"POST /freepool/claim HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "less than said": b"POST /freepool/claim HTTP/1.1\r\nContent-Length: 100\r\n\r\nshort",
}


def claim(claim_id: str = "loan-1", *, key: bytes = KEY) -> bytes:
    return seal(Claim(claim_id, time.time() + 60, {"JUPYTERHUB_USER": "ann"}), key=key, slot_id="slot-1")


def post(body: bytes, path: str = "/user/ann" + CLAIM_PATH) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


@dataclass
class Slot:
    """An agent that waits for its claim, and its result."""

    listener: socket.socket
    waiting: asyncio.Task[Claim]

    def connect(self) -> socket.socket:
        return socket.create_connection(self.listener.getsockname(), timeout=PATIENCE)

    async def ask(self, request: bytes) -> tuple[int, str]:
        """Send a request on a connection of its own; status and text of the answer, (0, "") if it was dropped."""
        reader, writer = await asyncio.open_connection(*self.listener.getsockname())
        try:
            writer.write(request)
            if writer.can_write_eof():
                writer.write_eof()
            answer = await asyncio.wait_for(reader.read(), PATIENCE)
        except ConnectionError:
            return 0, ""
        finally:
            writer.close()
        return _parsed(answer)


def _parsed(answer: bytes) -> tuple[int, str]:
    head, _, text = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]), text.decode()) if head else (0, "")


@asynccontextmanager
async def waiting() -> AsyncIterator[Slot]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    task = asyncio.create_task(wait_for_claim(listener, slot_id="slot-1", key=KEY))
    slot = Slot(listener, task)
    try:
        await asyncio.sleep(0)  # lets the agent begin to listen
        yield slot
        if not task.done():  # the way out of waiting is a claim
            assert (await slot.ask(post(claim())))[0] == 202
        await asyncio.wait_for(task, PATIENCE)
    finally:
        listener.close()


async def test_a_waiting_slot_is_healthy() -> None:
    async with waiting() as slot:
        assert await slot.ask(get(HEALTH_PATH)) == (200, "warm")
        assert await slot.ask(get("/user/ann" + HEALTH_PATH + "?x=1")) == (200, "warm")


@pytest.mark.parametrize("request_", [get("/"), get(CLAIM_PATH), get("/user/ann/lab"), post(b"", HEALTH_PATH)])
async def test_other_requests_are_answered_that_the_slot_waits(request_: bytes) -> None:
    async with waiting() as slot:
        status, _ = await slot.ask(request_)
        assert status == 503
        assert not slot.waiting.done()


async def test_a_forged_claim_is_refused_and_a_valid_one_accepted_after_it() -> None:
    async with waiting() as slot:
        for wrong in (b"", b"x" * 100, claim(key=bytes(32)), claim()[:-1], claim() + b"x"):
            assert await slot.ask(post(wrong)) == (403, "refused")
        assert not slot.waiting.done()
        assert await slot.ask(post(claim())) == (202, "claimed")
        taken = await asyncio.wait_for(slot.waiting, PATIENCE)
        assert taken.claim_id == "loan-1"
        assert taken.environment == {"JUPYTERHUB_USER": "ann"}


async def test_of_two_claims_the_first_is_accepted_and_the_second_refused() -> None:
    async with waiting() as slot:
        await slot.ask(get(HEALTH_PATH))
        # Both are sent before the agent's loop runs again, so it reads them in one iteration.
        rivals = [slot.connect() for _ in range(2)]
        for number, rival in enumerate(rivals):
            rival.sendall(post(claim(f"loan-{number}")))
        taken = await asyncio.wait_for(slot.waiting, PATIENCE)
        answers = []
        for rival in rivals:
            with rival:
                answers.append(_parsed(rival.recv(4096)))
        assert sorted(answers) == [(202, "claimed"), (409, "already claimed")]
        assert taken.claim_id == f"loan-{answers.index((202, 'claimed'))}"


async def test_after_the_claim_the_port_still_listens_for_the_server() -> None:
    async with waiting() as slot:
        assert (await slot.ask(post(claim())))[0] == 202
        await asyncio.wait_for(slot.waiting, PATIENCE)
        early = slot.connect()
        early.sendall(get("/user/ann/lab"))
        slot.listener.settimeout(PATIENCE)
        served, _ = slot.listener.accept()
        with served, early:
            assert served.recv(100).startswith(b"GET /user/ann/lab")


@pytest.mark.parametrize("name", RUBBISH)
async def test_invalid_requests_are_dropped_and_a_valid_claim_accepted_after_them(name: str) -> None:
    async with waiting() as slot:
        status, _ = await slot.ask(RUBBISH[name])
        assert status in (0, 503)
        assert (await slot.ask(post(claim())))[0] == 202
        await asyncio.wait_for(slot.waiting, PATIENCE)


async def test_silent_connections_delay_no_claim() -> None:
    async with waiting() as slot:
        silent = [slot.connect() for _ in range(50)]
        for connection in silent[:25]:
            connection.sendall(b"POST /freepool/claim HTTP/1.1\r\nContent-Le")
        began = time.monotonic()
        assert (await slot.ask(post(claim())))[0] == 202
        await asyncio.wait_for(slot.waiting, PATIENCE)
        assert time.monotonic() - began < agent.READ_SECONDS
        for connection in silent:
            connection.close()


async def test_a_connection_that_takes_too_long_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "READ_SECONDS", 0.1)
    async with waiting() as slot:
        reader, writer = await asyncio.open_connection(*slot.listener.getsockname())
        writer.write(b"GET ")
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        writer.close()


def _orders(**changes: object) -> int:
    read, write = os.pipe()
    fields = {"slot_id": "s", "key": "00ff", "root": "/w", "arguments": ["--x"], "listener": -1, "report": -1}
    os.write(write, json.dumps(fields | changes).encode())
    os.close(write)
    return read


def test_orders_are_read_once_and_their_descriptor_is_closed() -> None:
    descriptor = _orders(examples=["ocr"])
    assert read_config([str(descriptor)], {}) == SlotConfig("s", b"\x00\xff", "/w", ("--x",), -1, -1, examples=("ocr",))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_port_that_is_handed_over_is_not_passed_on_to_kernels() -> None:
    given = socket.create_server(("127.0.0.1", 0))
    given.set_inheritable(True)
    orders = SlotConfig("s", b"", "/w", (), listener=given.detach(), report=-1)
    with open_listener(orders) as taken:
        assert taken.fileno() == orders.listener
        assert not taken.get_inheritable()


def test_without_an_inherited_port_a_port_is_opened() -> None:
    with open_listener(SlotConfig("s", b"", "/w", (), -1, -1, address="127.0.0.1", port=0)) as listener:
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


class _ShutdownHandler:
    """As Jupyter Server's: `post` raises where the request may not do it."""

    async def post(self, allowed: bool = True) -> None:
        if not allowed:
            raise PermissionError


async def test_a_shut_down_by_the_user_has_an_exit_code_of_its_own() -> None:
    class Handler(_ShutdownHandler):
        post = _ShutdownHandler.post

    was_shut_down = agent.note_shutdown(Handler)
    assert not was_shut_down()
    with pytest.raises(PermissionError):
        await Handler().post(False)
    assert not was_shut_down(), "a refused request shuts nothing down"
    await Handler().post()
    assert was_shut_down()
    assert agent.SHUT_DOWN == keeper.SHUT_DOWN not in (0, 1, agent.TOLD_TO_END)
