"""User options: valid ones, invalid ones, and the messages for these."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.stack import Stack

INVALID: list[tuple[Any, str]] = [
    ({"flavor": "no-such"}, "cpu-basic, cpu-large, gpu-24g"),
    ({"image": "no-such"}, "light, cpu"),
    ({"example": "no-such"}, "ocr"),
    ({"colour": "red"}, "flavor, image, example"),
    ({"flavor": 7}, "is not a valid flavor"),
    ({"flavor": ["cpu-basic"]}, "is not a valid flavor"),
    ({"flavor": {"id": "cpu-basic"}}, "is not a valid flavor"),
    ({"flavor": True}, "is not a valid flavor"),
    ({"flavor": "x" * 100_000}, "is not a valid flavor"),
    ({"flavor": "😀"}, "is not a valid flavor"),
    ({"flavor": "\ud800"}, "is not a valid flavor"),
    ({"flavor": "cpu-basic\x00"}, "Unknown flavor"),
    ({"\ud800": "x"}, "Unknown option"),
    ({"example": "ocr", "image": "torch"}, "needs the image light"),
]


@pytest.mark.parametrize(("options", "hint"), INVALID, ids=lambda value: ascii(value)[:40])
def test_invalid_options_are_refused_with_a_message(shared_stack: Stack, options: Any, hint: str) -> None:
    shared_stack.add_user("typist")
    answer = shared_stack.api("POST", "/users/typist/server", content=json.dumps({"user_options": options}))
    assert answer.status_code == 400
    assert hint in answer.json()["message"]
    assert len(answer.json()["message"]) < 400
    assert shared_stack.api("GET", "/users/typist").json()["servers"] == {}
    assert not [instance for instance in shared_stack.unended() if instance.user_name == "typist"]


def test_a_refused_option_is_not_remembered(shared_stack: Stack) -> None:
    shared_stack.add_user("typist")
    assert shared_stack.start("typist", flavor="no-such").status_code == 400
    shared_stack.run("typist")
    shared_stack.stop("typist")


def test_options_that_this_machine_cannot_serve_are_refused_with_the_reason(shared_stack: Stack) -> None:
    shared_stack.add_user("gamer")
    answer = shared_stack.start("gamer", flavor="gpu-24g")
    assert answer.status_code == 503
    assert "no GPU" in answer.json()["message"]
    torch = shared_stack.start("gamer", image="torch")
    if (shared_stack.settings.images / "torch" / ".ready").exists():
        assert torch.status_code in (201, 202)
        shared_stack.stop("gamer")
    else:
        assert "not installed" in torch.json()["message"]
    assert not [instance for instance in shared_stack.unended() if instance.user_name == "gamer"]


def test_a_refusal_is_shown_on_jupyterhubs_own_progress_page(shared_stack: Stack) -> None:
    shared_stack.add_user("reader")
    shared_stack.start("reader", flavor="gpu-24g")
    events = shared_stack.api("GET", "/users/reader/server/progress").text
    event = json.loads(next(line for line in events.splitlines() if line.startswith("data:")).removeprefix("data:"))
    assert event["failed"]
    assert event["message"] == "Spawn failed: This server has no GPU. Choose another machine type or image."
    assert event["html_message"] == "<p>This server has no GPU.</p><p>Choose another machine type or image.</p>"
