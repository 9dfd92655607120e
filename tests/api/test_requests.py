"""The user's API: the effect of each request, and its errors."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import Any

import httpx
import pytest

from spawner.ledger.pool import tickets
from tests.api.conftest import Caller
from tests.stack import Stack


def error_of(answer: httpx.Response, status: int) -> dict[str, str]:
    """The error of an answer. It always has the same four fields."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    error: dict[str, str] = answer.json()["error"]
    assert set(error) == {"code", "message", "next", "details"}
    return error


@pytest.mark.check
def test_start_restart_stop(caller: Caller) -> None:
    answer = caller.post("api/instance", json={"flavor": "cpu-basic"})
    assert answer.status_code in (201, 202)
    first = caller.wait_running()
    assert (first["flavor"], first["image"], first["example"]) == ("cpu-basic", "light", None)
    assert first["open_url"] == f"/user/{caller.user}/lab?language=en"
    assert [step["percent"] for step in first["progress"]][-1] == 100

    assert caller.post("api/instance/restart").status_code in (201, 202)
    second = caller.wait_running()
    assert second["id"] != first["id"]
    assert (second["flavor"], second["image"]) == (first["flavor"], first["image"])

    answer = caller.post("api/instance/stop")
    assert (answer.status_code, answer.json()["instance"]) == (200, None)


def test_missing_options_are_the_defaults_and_an_example_selects_its_image(caller: Caller) -> None:
    assert caller.post("api/instance", json={"example": "ocr"}).status_code in (201, 202)
    instance = caller.wait_running()
    assert (instance["flavor"], instance["image"], instance["example"]) == ("cpu-basic", "light", "ocr")
    caller.post("api/instance/stop")
    assert caller.post("api/instance").status_code in (201, 202)
    assert caller.wait_running()["flavor"] == "cpu-basic"


def test_a_second_start_is_refused_and_changes_nothing(caller: Caller) -> None:
    caller.post("api/instance")
    before = caller.wait_running()
    error = error_of(caller.post("api/instance", json={"flavor": "cpu-large"}), 409)
    assert error == {
        "code": "busy",
        "message": "Your notebook is already starting, running, or stopping.",
        "next": "Wait a moment, then reload the page.",
        "details": "",
    }
    assert caller.wait_running() == before


def test_without_an_instance_a_stop_succeeds_and_a_restart_is_refused(caller: Caller) -> None:
    answer = caller.post("api/instance/stop", json={})
    assert (answer.status_code, answer.json()["instance"]) == (200, None)
    error = error_of(caller.post("api/instance/restart", json={}), 409)
    assert error == {
        "code": "not_running",
        "message": "There is no running notebook to restart.",
        "next": "Start a notebook.",
        "details": "",
    }
    assert caller.instance() is None


def test_a_flavor_that_this_pool_cannot_serve_is_refused_with_the_reason(caller: Caller) -> None:
    error = error_of(caller.post("api/instance", json={"flavor": "gpu-24g"}), 503)
    assert error == {
        "code": "not_offered",
        "message": "This server has no GPU.",
        "next": "Choose another machine type or image.",
        "details": "",
    }
    assert caller.instance() is None


BAD_BODIES = {
    "unknown flavor": (
        b'{"flavor": "cpu-giant"}',
        "Unknown flavor: 'cpu-giant'.",
        "Available: cpu-basic, ",
    ),
    "unknown image": (b'{"image": "windows"}', "Unknown image: 'windows'.", "Available: light, cpu."),
    "unknown example": (b'{"example": "x"}', "Unknown example: 'x'.", "Available: ocr, "),
    "example of another image": (
        b'{"image": "light", "example": "first-model"}',
        "The example first-model needs the image cpu, not light.",
        "Omit the image, or use cpu.",
    ),
    "number": (b'{"flavor": 7}', "Invalid request: 'flavor': ", "Send a JSON object"),
    "list": (b'{"flavor": ["cpu-basic"]}', "Invalid request: 'flavor': ", "Send a JSON object"),
    "extra": (b'{"flavour": "cpu-basic"}', "Unknown option: 'flavour'.", "Available options: flavor, image, example."),
    "consent": (b'{"paid": true}', "Unknown option: 'paid'.", "Available options: flavor, image, example."),
    "not an object": (b'["cpu-basic"]', "Invalid request: ", "Send a JSON object"),
    "no JSON": (b"flavor=cpu-basic", "Invalid request: ", "Send a JSON object"),
    "half a JSON": (b'{"flavor": "cpu', "Invalid request: ", "Send a JSON object"),
    "no UTF-8": (b'{"flavor": "\xff\xfe"}', "Invalid request: ", "Send a JSON object"),
    "lone surrogate": (b'{"flavor": "\\ud800"}', "", ""),
    "lone surrogate as a key": (b'{"\\udfff": 1}', "", ""),
    "line breaks": (
        b'{"flavor": "a\\nb\\u2028c"}',
        "'a\\nb\\u2028c' is not a valid flavor.",
        "Use one of these ids: ",
    ),
    "null byte": (b'{"flavor": "cpu\\u0000"}', "Unknown flavor: ", "Available: "),
    "very long": (json.dumps({"flavor": "x" * 10_000}).encode(), "", "Use one of these ids: cpu-basic, "),
    "deep": (b'{"flavor": ' + b"[" * 5000 + b"]" * 5000 + b"}", "Invalid request: ", "Send a JSON object"),
    "large": (b'{"flavor": "' + b"x" * 17_000 + b'"}', "The request is too large.", "Send only ids from the catalog"),
}


@pytest.mark.parametrize("what", BAD_BODIES)
def test_an_invalid_body_is_refused_and_starts_nothing(caller: Caller, what: str) -> None:
    body, message, following = BAD_BODIES[what]
    error = error_of(caller.post("api/instance", content=body), 400)
    assert error["code"] == "bad_option"
    assert error["message"].startswith(message)
    assert error["next"].startswith(following)
    assert "\n" not in error["message"]
    assert len(error["message"]) < 300
    assert caller.instance() is None


@pytest.mark.parametrize("path", ["api/instance/stop", "api/instance/restart"])
def test_stop_and_restart_take_no_options(caller: Caller, path: str) -> None:
    caller.post("api/instance")
    before = caller.wait_running()
    assert error_of(caller.post(path, json={"flavor": "cpu-large"}), 400)["message"] == "Unknown option: 'flavor'."
    assert caller.wait_running() == before


def test_a_huge_body_is_413_before_it_has_come(caller: Caller) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", caller.stack.port, timeout=30)) as connection:
        connection.putrequest("POST", "/services/desk/api/instance")
        connection.putheader("Authorization", f"token {caller.token}")
        connection.putheader("Content-Length", str(10**9))
        connection.endheaders(b" " * 65_536)  # and no more: the answer must not wait for the rest
        assert connection.getresponse().status == 413
    assert caller.instance() is None


WRONG_METHODS = [
    ("GET", "api/instance"),
    ("DELETE", "api/instance"),
    ("PUT", "api/instance/stop"),
    ("GET", "api/instance/restart"),
    ("POST", "api/state"),
    ("POST", "api/events"),
]


@pytest.mark.parametrize(("method", "path"), WRONG_METHODS)
def test_a_wrong_method_is_405(caller: Caller, method: str, path: str) -> None:
    answer = caller.stack.desk(method, path, token=caller.token)
    assert error_of(answer, 405)["message"] == "This address does not accept this kind of request."


def test_an_unknown_path_is_404_as_json(caller: Caller) -> None:
    error_of(caller.get("api/nothing"), 404)
    error_of(caller.get("api/"), 404)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "token made-up"}], ids=["none", "made up"])
@pytest.mark.parametrize(("method", "path"), [("GET", "state"), ("GET", "events"), ("POST", "instance")])
def test_a_request_without_a_valid_token_is_refused(
    shared_stack: Stack, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = shared_stack.http.request(
        method, f"{shared_stack.url}/services/desk/api/{path}", headers=headers, timeout=30
    )
    assert error_of(answer, 403)["code"] == "signed_out"


def test_a_token_without_a_right_over_servers_changes_no_ticket(caller: Caller, shared_stack: Stack) -> None:
    """The desk writes tickets by itself: the hub would refuse only the start that follows."""
    scopes = ["access:services!service=desk", f"read:users!user={caller.user}"]
    made = shared_stack.api("POST", f"/users/{caller.user}/tokens", json={"scopes": scopes})
    token = made.json()["token"]
    assert shared_stack.desk("GET", "api/state", token=token).status_code == 200
    for path in ("ticket", "ticket/cancel", "ticket/take", "instance", "instance/stop", "instance/restart"):
        answer = shared_stack.desk("POST", f"api/{path}", token=token, json={})
        assert error_of(answer, 403)["message"] == "This token may not start or stop notebooks."
    assert shared_stack.ledger.read(tickets.alive, shared_stack.person_of(caller.user)) == []


def test_a_service_is_not_a_user(shared_stack: Stack) -> None:
    assert error_of(shared_stack.desk("GET", "api/state", token=shared_stack.token), 403)["code"] == "signed_out"


CHINESE: list[tuple[str, dict[str, Any], int, str, str]] = [
    ("api/instance", {"flavor": "gpu-24g"}, 503, "本服务器没有 GPU。", "请选择其他机器规格或镜像。"),
    ("api/instance", {"paid": 1}, 400, "未知的选项：'paid'。", "可用的选项：flavor, image, example。"),
    ("api/instance/restart", {}, 409, "没有可以重启的 Notebook。", "请启动一个 Notebook。"),
]


@pytest.mark.parametrize(("path", "body", "status", "message", "following"), CHINESE, ids=["GPU", "option", "restart"])
def test_refusals_are_in_the_language_of_the_request(
    caller: Caller, path: str, body: dict[str, Any], status: int, message: str, following: str
) -> None:
    answer = caller.post(path, json=body, headers={"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"})
    error = error_of(answer, status)
    assert (error["message"], error["next"]) == (message, following)


def test_the_state_is_in_the_language_of_the_request(caller: Caller) -> None:
    state = caller.get("api/state", headers={"Accept-Language": "zh-CN"}).json()
    assert {flavor["id"]: flavor["reason"] for flavor in state["flavors"]}["gpu-24g"] == "本服务器没有 GPU。"
    assert state["examples"][0]["title"] == "识别图片中的文字"
    stranger = caller.stack.desk("GET", "api/state", token="made-up", headers={"Accept-Language": "zh-CN"})
    assert error_of(stranger, 403)["message"] == "你尚未登录。"


def test_a_report_names_the_page_whose_link_led_to_it(shared_stack: Stack) -> None:
    def reported(referer: str) -> str:
        text = shared_stack.http.get(f"{shared_stack.url}/services/desk/report", headers={"Referer": referer}).text
        (line,) = (line for line in text.splitlines() if "Page: " in line)
        return line.rpartition("Page: ")[2]

    assert reported(f"{shared_stack.url}/services/desk/history?cursor=1") == "/services/desk/history"
    assert reported("https://other.example/services/desk/history") == "/services/desk/report"
    assert reported("") == "/services/desk/report"
