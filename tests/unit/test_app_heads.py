"""What is passed on between a browser and an app: which requests, and what of their heads."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.websocket import WebSocketHandler

from spawner.instance.apps.heads import answer_head, request_head
from spawner.instance.apps.path import may_ask, own_origin, without_sign_in, without_token
from spawner.instance.apps.rules import Rules
from spawner.instance.apps.same_origin import may_pass
from spawner.instance.handshake_tokens import take_handshake_tokens
from tests.unit.test_apps import ORIGIN, PAGE

CROSS = {"Sec-Fetch-Site": "same-site"}
SOCKET = {"Upgrade": "websocket"}


@pytest.mark.parametrize(
    ("method", "headers", "passes"),
    [
        ("GET", {}, True),
        ("POST", {}, True),  # no browser
        ("POST", {"Origin": ORIGIN}, True),
        ("POST", {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}, True),
        ("POST", {"Origin": "https://bob.lab.example.org"}, False),
        ("POST", {"Origin": "null"}, False),
        ("POST", CROSS | PAGE, False),
        ("GET", CROSS, False),
        ("GET", CROSS | PAGE, True),
        ("GET", CROSS | PAGE | {"Sec-Fetch-Dest": "iframe"}, False),
        ("GET", {"Sec-Fetch-Site": "none"} | PAGE, True),
        ("GET", SOCKET, False),
        ("GET", SOCKET | {"Origin": ORIGIN}, True),
        ("GET", SOCKET | {"Origin": "https://ann.lab.example.org"}, False),
    ],
)
def test_only_an_apps_own_pages_act_on_it(method: str, headers: dict[str, str], passes: bool) -> None:
    assert may_pass(method, headers, ORIGIN) is passes


def asked(headers: dict[str, str], **options: Any) -> list[str]:
    """The lines of the request for the app, without what it is told about its own origin."""
    given: dict[str, Any] = {"origin": ORIGIN, "without": ("own",), "is_upgrade": False} | options
    lines = request_head("GET", "/x?y", HTTPHeaders(headers), **given).decode().split("\r\n")
    assert lines[-2:] == ["", ""]
    return [line for line in lines[:-2] if not line.startswith("X-Forwarded-")]


def test_an_app_gets_neither_the_cookie_that_lets_in_nor_its_visitors_address() -> None:
    lines = asked(
        {"Host": "h", "Cookie": "a=1; own=x; jupyterhub-session-id=2"} | dict.fromkeys(ADDRESSES, "192.0.2.1")
    )
    assert lines == ["GET /x?y HTTP/1.1", "Host: h", "Connection: close", "Cookie: a=1"]
    sent = {"Upgrade": "websocket", "Connection": "keep-alive, Upgrade", "Transfer-Encoding": "chunked"}
    lines = asked(sent, is_upgrade=True)
    assert lines[1:] == ["Transfer-Encoding: chunked", "Connection: Upgrade", "Upgrade: websocket"]


ADDRESSES = (
    "X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "X-Original-Forwarded-For", "True-Client-IP",
    "CF-Connecting-IP", "X-Cluster-Client-IP",
)  # fmt: skip


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        (ORIGIN, ["https", "p7860--ann.lab.example.org", "443"]),
        ("http://p7860--ann.localhost:8000", ["http", "p7860--ann.localhost:8000", "8000"]),
        ("http://p7860--ann.lab", ["http", "p7860--ann.lab", "80"]),
    ],
)
def test_an_app_is_told_the_origin_that_its_visitors_browser_sees(origin: str, told: list[str]) -> None:
    """Behind TLS the proxies' own headers are `https,http`, of which each framework takes another part, or none."""
    given = {
        "X-Forwarded-Proto": "https,http",
        "X-Forwarded-Port": "443,8000",
        "X-Forwarded-Host": "x",
        "X-Scheme": "http",
    }
    head = request_head("GET", "/", HTTPHeaders(given), origin=origin, without=(), is_upgrade=False)
    headers = HTTPHeaders.parse(head.decode().partition("\r\n")[2])
    assert [headers[f"X-Forwarded-{name}"] for name in ("Proto", "Host", "Port")] == told
    assert "X-Scheme" not in headers


def test_on_a_path_an_app_gets_nothing_that_signs_in_at_the_platform() -> None:
    """With TLS the cookies have a prefix."""
    cookies = "jupyterhub-user-ann=1; _xsrf=2; a=3; __Host-jupyterhub-user-ann=4; __Secure-_xsrf=5; __Host-b=6"
    given = {"Authorization": "token x", "Cookie": cookies, "Accept": "*/*"}
    assert without_sign_in(given, by_token=True) == {"Accept": "*/*", "Cookie": "a=3; __Host-b=6"}
    assert without_sign_in({"Authorization": "Bearer key"}, by_token=False) == {"Authorization": "Bearer key"}
    assert without_token("token=secret") == ""
    assert without_token("a=1&token=secret&b=%2F&t%6Fken=secret&tokens=2&&c") == "a=1&b=%2F&tokens=2&&c"


def request(method: str = "GET", path: str = "/", **headers: str) -> Any:
    """As the server gets it from a proxy that speaks plain HTTP."""
    given = {"Host": "lab.example.org"} | {name.replace("_", "-"): value for name, value in headers.items()}
    line = RequestStartLine(method, path, "HTTP/1.1")
    return HTTPServerRequest(start_line=line, headers=HTTPHeaders(given))


def test_on_a_path_the_origin_is_the_one_that_the_browser_sees() -> None:
    behind = request("POST", X_Forwarded_Proto="https,http", Origin="https://lab.example.org")
    assert own_origin(Rules(), behind) == "https://lab.example.org"
    assert may_ask(behind, own_origin(Rules(), behind))
    assert own_origin(Rules(), request()) == "http://lab.example.org"
    assert own_origin(Rules(hosts="https://p{port}--ann.lab"), request()) == "https://ann.lab"


def test_a_websocket_without_an_origin_is_a_programs_and_a_service_worker_is_refused() -> None:
    assert may_ask(request(Upgrade="websocket"), ORIGIN)
    assert not may_ask(request(Upgrade="websocket", Origin="https://evil.example"), ORIGIN)
    assert not may_ask(request(Service_Worker="script"), ORIGIN)


def test_a_token_in_an_address_signs_in_websockets_only() -> None:
    """jupyter-server-proxy's class is one for websockets, and answers all requests."""
    auth = SimpleNamespace(_get_token_url=lambda _: "")
    take_handshake_tokens(auth)

    def found(**headers: str) -> str:
        handler = WebSocketHandler.__new__(WebSocketHandler)
        handler.request = request(path="/?token=secret", **headers)
        return str(auth._get_token_url(handler))

    assert found(Upgrade="WebSocket") == "secret"
    assert found() == ""


def test_an_app_decides_nothing_for_other_hosts() -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Domain=lab.example.org; Path=/\r\nSet-Cookie: own=2\r\nAlt-Svc: x\r\n"
        b"Strict-Transport-Security: max-age=1; includeSubDomains\r\nKeep-Alive: 5\r\n"
        b"Clear-Site-Data: \"cookies\"\r\nContent-Security-Policy: default-src 'self'\r\n\r\n"
    )
    assert answer_head(answer, without=("own",)).decode().split("\r\n") == [
        "HTTP/1.1 200 OK",
        "Content-Security-Policy: default-src 'self'",
        "Connection: close",
        "Set-Cookie: a=1; Path=/",
        "Content-Security-Policy: frame-ancestors 'self'",
        "X-Robots-Tag: noindex",
        "",
        "",
    ]
