"""The proxy's limits of size, time and number: for hub and desk, which hold bodies in memory, and not for uploads."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

from spawner.local import preflight
from spawner.local.front import STARTER
from spawner.settings import LOOPBACK
from tests.hub.front import Front, running_front
from tests.stack import eventually

MIB = 1024 * 1024
SHORT = {"bodyBytes": MIB, "bodyMs": 700, "headersMs": 500, "uploadIdleMs": 900, "bodiesBytes": 2 * MIB}


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with running_front(**SHORT) as running:
        yield running


def pieces(size: int) -> Iterator[bytes]:
    for _ in range(size // 65536):
        yield b"x" * 65536


def head(path: str, length: int) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Length: {length}\r\n\r\n".encode()


@pytest.mark.parametrize("way", ["declared", "chunked"])
@pytest.mark.parametrize("path", ["hub/api/users", "services/desk/api/start", "somewhere"])
def test_a_body_that_is_too_large_for_hub_and_desk_is_413_and_reaches_neither(
    way: str, path: str, front: Front
) -> None:
    before = len(front.hub.bodies), len(front.desk.bodies)
    body = b"x" * (2 * MIB) if way == "declared" else pieces(2 * MIB)
    answer = httpx.post(front.url + path, content=body, timeout=20)
    assert (answer.status_code, answer.text) == (
        413,
        f"The request is too large: at most {MIB} bytes are accepted here.\n",
    )
    assert (len(front.hub.bodies), len(front.desk.bodies)) == before


@pytest.mark.parametrize("way", ["declared", "chunked"])
def test_a_body_within_the_limit_arrives_whole(way: str, front: Front) -> None:
    body = b"x" * MIB if way == "declared" else pieces(MIB)
    assert httpx.post(f"{front.url}hub/api/users", content=body).text == f"hub /hub/api/users {MIB}"
    body = b"x" * MIB if way == "declared" else pieces(MIB)
    assert httpx.post(f"{front.url}services/desk/x", content=body).text == f"desk /services/desk/x {MIB}"


@pytest.mark.parametrize("way", ["declared", "chunked"])
def test_an_upload_to_a_notebook_has_no_limit_of_size(way: str, front: Front) -> None:
    body = b"x" * (8 * MIB) if way == "declared" else pieces(8 * MIB)
    answer = httpx.put(f"{front.url}user/ann/api/contents/a", content=body, timeout=20)
    assert answer.text == f"notebook /user/ann/api/contents/a {8 * MIB}"


def test_what_the_desk_passes_on_has_no_limit_of_size_and_what_its_gate_takes_has(front: Front) -> None:
    desk = f"http+unix://{quote(str(front.folder / 'desk.sock'), safe='')}"
    assert front.routes("POST", "/user/relayed", target=desk).status_code == 201
    assert front.routes("POST", "/user/ann/paid-1", target=front.gate).status_code == 201
    relayed = httpx.put(f"{front.url}user/relayed/a", content=b"x" * 8 * MIB, timeout=20)
    assert relayed.text == f"desk /user/relayed/a {8 * MIB}"
    assert httpx.put(f"{front.url}user/ann/paid-1/a", content=b"x" * 2 * MIB, timeout=20).status_code == 413


def test_a_body_that_waits_for_100_continue_is_limited_too(front: Front) -> None:
    with front.connect() as client:
        client.sendall(
            b"POST /hub/x HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
        )
        assert client.recv(65536).startswith(b"HTTP/1.1 100 ")
        for _ in range(20):
            client.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_bodies_for_hub_and_desk_have_a_common_limit(front: Front) -> None:
    with front.connect() as one, front.connect() as two:
        for client in (one, two):
            client.sendall(head("/hub/login", MIB) + b"x")
        refused = eventually(
            lambda: (answer := httpx.post(f"{front.url}hub/login", content=b"x" * 1000)).status_code == 503 and answer,
            seconds=1,
            what="the refusal",
        )
        assert refused.headers["Retry-After"] == "5"
        assert front.get("hub/login").status_code == 200, "a request without a body is not refused"
    eventually(lambda: httpx.post(f"{front.url}hub/login", content=b"x" * 1000).status_code == 200, what="room again")


def test_a_slow_body_for_the_hub_is_408_and_one_for_a_notebook_may_go_on(front: Front) -> None:
    with front.connect() as slow, front.connect() as upload:
        slow.sendall(head("/hub/login", 10))
        upload.sendall(head("/user/ann/upload", 10))
        began = time.monotonic()
        for _ in range(10):
            upload.sendall(b"x")
            time.sleep(0.2)  # it is slower than the hub's limit allows, and never still as long as its own
        assert slow.recv(65536).startswith(b"HTTP/1.1 408 ")
        assert slow.recv(65536) == b"", "closed"
        assert b"notebook /user/ann/upload 10" in upload.recv(65536)
        assert time.monotonic() - began > 2 * SHORT["bodyMs"] / 1000


def test_an_upload_that_stands_still_is_408(front: Front) -> None:
    with front.connect() as upload:
        upload.sendall(head("/user/ann/upload", 10) + b"x")
        assert upload.recv(65536).startswith(b"HTTP/1.1 408 ")
    eventually(lambda: front.get("user/ann/x").status_code == 200, what="the notebook")


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: here\r\nX-Slow: "])
def test_a_connection_that_does_not_say_what_it_wants_is_closed(sent: bytes, front: Front) -> None:
    with front.connect() as client:
        client.sendall(sent)
        answer = client.recv(65536)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


def test_nodes_own_limit_of_a_whole_request_is_off() -> None:
    """It would end an upload of more than 300 s with 408. No test waits so long, so this one asks the server."""
    node, _ = preflight.proxy_command()
    module = STARTER.parent / "connections.js"
    code = f"const m = await import('{module}'); console.log(m.makeServer({{headersMs: 1, checkMs: 1}}).requestTimeout)"
    said = subprocess.run([node, "--input-type=module", "-e", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "0"


def test_an_idle_connection_outlives_those_of_load_balancers(front: Front) -> None:
    """Node.js keeps it one second longer than it says."""
    assert front.get("_chp_healthz").headers["Keep-Alive"] == "timeout=620"


def test_an_invalid_address_is_400(front: Front) -> None:
    assert front.get("%ff%").status_code == 400


def test_one_address_never_has_all_connections() -> None:
    with running_front(connections=8) as front:
        held = [front.connect() for _ in range(4)]
        eventually(lambda: is_closed(front), seconds=5, what="the limit")
        with socket.create_connection((LOOPBACK, front.port), source_address=("127.0.0.7", 0), timeout=20) as other:
            other.sendall(b"GET /hub/login HTTP/1.1\r\nHost: here\r\n\r\n")
            assert b"hub /hub/login 0" in other.recv(65536)
        for connection in held:
            connection.close()
        eventually(lambda: not is_closed(front), seconds=5, what="room again")


def is_closed(front: Front) -> bool:
    """Whether a new connection is closed at once."""
    try:
        return front.get("_chp_healthz").status_code != 200
    except httpx.TransportError:
        return True
