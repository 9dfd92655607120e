"""The proxy refuses what comes too often from one address, before it reaches the hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.client import HTTPResponse
from urllib.parse import quote

import httpx
import pytest

from spawner.rate_settings import Rate, RateLimits
from tests.hub.front import Front, running_front

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
NEVER = 0.01
"""Tokens in a minute: none comes back while a test runs."""
LIMITS = RateLimits(
    login_by_address=Rate(burst=6, per_minute=NEVER),
    failed_login_costs=3,
    start_by_address=Rate(burst=2, per_minute=NEVER),
    api_by_address=Rate(burst=4, per_minute=NEVER),
)


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with running_front(rates=LIMITS) as running:
        yield running


@pytest.fixture(scope="module")
def behind() -> Iterator[Front]:
    with running_front(rates=LIMITS, trusted_proxies=1) as running:
        yield running


def client_at(source: str) -> httpx.Client:
    """All of 127.0.0.0/8 can be the source of a connection on Linux."""
    return httpx.Client(transport=httpx.HTTPTransport(local_address=source), timeout=20)


def statuses(front: Front, client: httpx.Client, path: str, times: int, **headers: str) -> list[int]:
    return [client.get(front.url + path, headers=headers).status_code for _ in range(times)]


def test_one_address_is_refused_with_a_reason_and_others_are_not(front: Front) -> None:
    with client_at("127.0.1.1") as one, client_at("127.0.1.2") as other:
        before = len(front.hub.began)
        assert statuses(front, one, "hub/link?user=ann", 8) == [200] * 6 + [429] * 2
        assert len(front.hub.began) == before + 6, "what is refused reaches no hub"
        refused = one.get(f"{front.url}hub/link", headers=BROWSER)
        assert int(refused.headers["Retry-After"]) > 1000
        assert refused.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "Too many sign-in attempts" in refused.text
        assert re.search(r'lang="zh-CN".*登录尝试过多。请等待 \d+ 秒', refused.text, re.DOTALL)
        assert statuses(front, one, "hub/home", 1) == [200], "pages are counted apart from logins"
        assert statuses(front, other, "hub/link", 1) == [200]


def test_a_refused_login_counts_more(front: Front) -> None:
    with client_at("127.0.1.3") as one:
        front.hub.status = 403
        try:
            assert statuses(front, one, "hub/oauth_callback", 3) == [403, 403, 429]
        finally:
            front.hub.status = 200


def test_programs_get_json_as_hub_and_desk_write_it(front: Front) -> None:
    with client_at("127.0.1.4") as one:
        assert statuses(front, one, "hub/api/users", 4) == [200] * 4
        hub = one.get(f"{front.url}hub/api/users").json()
        assert (hub["status"], "Too many requests came from your network" in hub["message"]) == (429, True)
        desk = one.get(f"{front.url}services/desk/api/state", headers=BROWSER).json()["error"]
        assert desk["code"] == "rate_limited"
        assert re.fullmatch(r"Wait \d+ seconds, and try again\.", desk["next"])


def test_a_start_is_counted_with_its_body_and_the_answer_arrives(front: Front) -> None:
    with client_at("127.0.1.5") as one:
        body = b"x" * 600_000
        answers = [one.post(f"{front.url}services/desk/api/instance", content=body) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[-1].headers["Connection"] == "close"


def test_notebooks_and_static_files_are_not_counted(front: Front) -> None:
    with client_at("127.0.1.6") as one:
        assert statuses(front, one, "user/ann/api/kernels", 20) == [200] * 20
        assert statuses(front, one, "services/desk/static/shared/page.css", 20) == [200] * 20


@pytest.mark.parametrize(
    "target",
    [
        "/hub/./link",
        "/hub/x/../link",
        "/hub/%2e/link",
        "/user/ann/../../hub/link",
        "/user/%2E%2e/hub/link",
        "/hub\\link",
        "http://elsewhere.example/hub/link",
    ],
)
def test_a_login_is_one_however_its_address_is_written(target: str, front: Front) -> None:
    def ask() -> int:
        with front.connect(source=f"127.0.3.{len(target)}") as client:
            client.sendall(f"GET {target} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode())
            answer = HTTPResponse(client)
            answer.begin()
            assert answer.status == 429 or answer.read() == b"hub /hub/link 0"
            assert answer.getheader("Connection") == "close"
            return answer.status

    assert [ask() for _ in range(7)] == [200] * 6 + [429]
    assert front.hub.connection[-6:] == ["keep-alive"] * 6, "the client's connection ends, not the hub's"


def test_what_hub_or_desk_answer_for_a_notebook_is_counted(front: Front) -> None:
    """Else whoever asks for notebooks that do not run, or by way of the desk, would be refused by nobody."""
    desk = f"http+unix://{quote(str(front.folder / 'desk.sock'), safe='')}"
    assert front.routes("POST", "/user/relayed", target=desk).status_code == 201
    with client_at("127.0.1.8") as one, client_at("127.0.1.9") as other:
        assert statuses(front, one, "user/nobody/api/kernels", 5) == [200] * 4 + [429]
        assert statuses(front, other, "user/relayed/api/kernels", 5) == [200] * 4 + [429]
        assert statuses(front, one, "user/ann/api/kernels", 5) == [200] * 5


def test_a_request_for_a_websocket_is_counted_as_any_other(front: Front) -> None:
    def ask() -> int:
        with front.connect(source="127.0.1.7") as client:
            client.sendall(
                b"GET /hub/link HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            answer = HTTPResponse(client)
            answer.begin()
            return answer.status

    assert [ask() for _ in range(7)] == [200] * 6 + [429]


@pytest.mark.parametrize("header", ["6.6.6.{}", "6.6.6.{}, 10.0.0.1", "2001:db8:{}::1", "rubbish {}", "127.128.0.{}"])
def test_a_stranger_does_not_choose_its_address(header: str, front: Front) -> None:
    with client_at(f"127.0.2.{len(header)}") as one:
        found = [
            one.get(f"{front.url}hub/link", headers={"X-Forwarded-For": header.format(number), "X-Real-Ip": "7.7.7.7"})
            for number in range(7)
        ]
        assert [answer.status_code for answer in found] == [200] * 6 + [429]


def test_behind_a_trusted_proxy_each_of_its_clients_counts_alone(behind: Front) -> None:
    with client_at("127.0.1.1") as proxy:
        for client in ("203.0.113.1", "203.0.113.2"):
            told = {"X-Forwarded-For": f"6.6.6.6, {client}"}
            assert statuses(behind, proxy, "hub/link", 7, **told) == [200] * 6 + [429]
        invented = [
            statuses(behind, proxy, "hub/link", 1, **{"X-Forwarded-For": f"6.6.6.{number}, 203.0.113.2"})
            for number in range(3)
        ]
        assert invented == [[429]] * 3, "what the client itself sent comes before what the proxy has added"
        one_network = {"X-Forwarded-For": "2001:db8:1:2::1"}, {"X-Forwarded-For": "2001:db8:1:2:ffff::2"}
        assert statuses(behind, proxy, "hub/link", 6, **one_network[0]) == [200] * 6
        assert statuses(behind, proxy, "hub/link", 1, **one_network[1]) == [429]


def test_a_sandbox_is_behind_no_proxy(behind: Front) -> None:
    with client_at("127.128.0.9") as keeper:
        found = [
            statuses(behind, keeper, "hub/link", 1, **{"X-Forwarded-For": f"6.6.6.{number}"}) for number in range(7)
        ]
        assert found == [[200]] * 6 + [[429]]
