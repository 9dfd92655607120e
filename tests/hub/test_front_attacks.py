"""Requests that are made to mean one thing to the proxy and another to what is behind it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hub.front import Front, running_front

MIB = 1024 * 1024
SHORT = {"bodyBytes": MIB, "bodyMs": 700, "headersMs": 500}


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with running_front(**SHORT) as running:
        yield running


@pytest.fixture(scope="module")
def below() -> Iterator[Front]:
    """As on one machine: users have hosts below localhost."""
    with running_front("localhost", **SHORT) as running:
        assert running.routes("POST", "/localhost/user", target=running.gate).status_code == 201
        yield running


def exchange(front: Front, sent: bytes) -> bytes:
    """All that comes back until the proxy closes."""
    with front.connect() as client:
        client.settimeout(20)
        client.sendall(sent)
        answer = b""
        try:
            while piece := client.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass
        return answer


SMUGGLED = b"GET /hub/smuggled HTTP/1.1\r\nHost: here\r\n\r\n"
BEGIN = b"POST /user/ann/x HTTP/1.1\r\nHost: here\r\n"
CONFUSING = {
    "both lengths": BEGIN + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
    "two lengths": BEGIN + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
    "a signed length": BEGIN + b"Content-Length: +0\r\n\r\n",
    "unknown coding": BEGIN + b"Transfer-Encoding: xchunked\r\n\r\n",
    "space before the colon": BEGIN + b"Content-Length : 44\r\n\r\n",
    "a folded header": BEGIN + b"X: y\r\n Content-Length: 44\r\n\r\n",
    "a bare line feed": b"POST /user/ann/x HTTP/1.1\nHost: here\nContent-Length: 0\n\n",
}


@pytest.mark.parametrize("name", CONFUSING)
def test_a_request_whose_end_is_not_clear_is_refused_and_what_follows_it_is_not_read(name: str, front: Front) -> None:
    before = list(front.hub.began)
    answer = exchange(front, CONFUSING[name] + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert front.hub.began == before


def test_the_page_of_an_error_is_made_without_the_keys_in_the_address(front: Front) -> None:
    """Such as of an unsubscribe link, or of a login that comes back from its provider."""
    assert front.routes("POST", "/user/away", target="http://127.0.0.1:9").status_code == 201
    answer = front.get("user/away/page?key=a-secret-key&code=a-secret-code", Accept="text/html")
    assert answer.status_code == 503
    assert front.desk.began[-1] == "/services/desk/unavailable/503?url=%2Fuser%2Faway%2Fpage"
    assert "a-secret" not in front.log + answer.text


@pytest.mark.parametrize("protocol", ["websocket", "h2c", "TLS/1.0"])
@pytest.mark.parametrize("path", ["/hub/x", "/user/ann/x"])
def test_an_upgrade_that_is_refused_opens_no_way_past_the_proxy(protocol: str, path: str, front: Front) -> None:
    """Else a second request of the same connection would reach the hub without any of the proxy's limits."""
    before = list(front.hub.began)
    request = f"GET {path} HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n".encode()
    answer = exchange(front, request + SMUGGLED)
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert "/hub/smuggled" not in front.hub.began[len(before) :]
    assert b"smuggled" not in answer


@pytest.mark.parametrize("path", ["/hub/x", "/user/ann/x"])
def test_a_request_for_a_websocket_has_no_body(path: str, front: Front) -> None:
    """What is behind the proxy would wait for it, and there is no limit of time for a websocket."""
    before = list(front.hub.began)
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 9\r\n\r\n"
    assert exchange(front, f"GET {path} HTTP/1.1\r\nHost: here\r\n{upgrade}".encode()).startswith(b"HTTP/1.1 400 ")
    assert front.hub.began == before


@pytest.mark.parametrize("target", ["http://169.254.169.254/latest/", "http://127.0.0.1:1/hub/x", "//127.0.0.1:1/x"])
def test_the_proxy_goes_nowhere_but_to_its_routes(target: str, front: Front) -> None:
    answer = exchange(front, f"GET {target} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode())
    assert answer.split(b"\r\n\r\n", 1)[1].startswith(b"hub ") or answer.startswith(b"HTTP/1.1 400 "), answer


def test_the_proxy_makes_no_tunnel(front: Front) -> None:
    assert b" 200 " not in exchange(front, b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n")


@pytest.mark.parametrize(
    "path",
    [
        "/user/ann/../../hub/x",
        "/user/ann/%2e%2e/%2e%2e/hub/x",
        "/user/ann/..%2f..%2fhub/x",
        "//hub/x",
        "/hub%2fx",
        "/HUB/x",
    ],
)
def test_no_way_to_write_a_path_brings_a_large_body_to_the_hub(path: str, front: Front) -> None:
    before = len(front.hub.bodies), len(front.desk.bodies)
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {2 * MIB}\r\n\r\n"
    answer = exchange(front, head.encode() + b"x" * 2 * MIB)
    assert answer.startswith(b"HTTP/1.1 413 ") or b"notebook " in answer
    assert (len(front.hub.bodies), len(front.desk.bodies)) == before


@pytest.mark.parametrize(
    ("path", "host"),
    [
        ("/user/x", "127.0.0.1"),
        ("/user%2fx/y", "127.0.0.1"),
        ("/user//y", "127.0.0.1"),
        ("/user/x/paid-1/y", "127.0.0.1"),
        ("/services/desk/x", "localhost/user"),
        ("/user/x/../../services/desk/x", "localhost"),
    ],
)
def test_the_desk_keeps_no_large_body_for_what_it_does_not_pass_on(path: str, host: str, below: Front) -> None:
    """On the hub's host `/user/` leads to the desk, which passes bodies of any size on, but for some paths."""
    before = len(below.hub.bodies), len(below.desk.bodies)
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {2 * MIB}\r\n\r\n"
    answer = exchange(below, head.encode() + b"x" * 2 * MIB)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert (len(below.hub.bodies), len(below.desk.bodies)) == before
    passed = exchange(below, head.replace(path, "/user/x/y").replace(host, "localhost").encode() + b"x" * 2 * MIB)
    assert b"desk /user/x/y" in passed


def test_headers_have_a_size(front: Front) -> None:
    before = list(front.hub.began)
    huge = b"GET /hub/x HTTP/1.1\r\nHost: here\r\nCookie: " + b"x" * MIB + b"\r\n\r\n"
    assert exchange(front, huge)[:13] in (b"HTTP/1.1 431 ", b"")
    assert front.hub.began == before


def test_a_client_cannot_say_that_it_comes_from_elsewhere(front: Front) -> None:
    """The proxy adds the address that it sees as the last one, which is what counts."""
    assert front.get("hub/x", **{"X-Forwarded-For": "203.0.113.1"}).status_code == 200
    assert front.hub.forwarded[-1].endswith("127.0.0.1")
