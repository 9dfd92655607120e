"""Users who start and stop at random, and one whose notebook runs all the time."""

from __future__ import annotations

import contextlib
import random
import threading

import httpx

from tests.stack import Stack, eventually

WITNESS = "jupyterlab"
"""The image with a real notebook; the others are only started and stopped."""


class RandomUser(threading.Thread):
    """A user who starts and stops at random and accepts any answer of the platform."""

    def __init__(self, stack: Stack, name: str, dice: random.Random, over: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self.stack, self.dice, self.over = stack, dice, over
        self.answers: list[int | str] = []

    def run(self) -> None:
        while not self.over.is_set():
            act = self.dice.choice((self.stack.start, self.stack.start, self.stack.stop))
            try:
                self.answers.append(act(self.name).status_code)
            except httpx.HTTPError as error:
                self.answers.append(type(error).__name__)
            self.over.wait(self.dice.uniform(0.05, 0.8))


def successes(users: list[RandomUser]) -> int:
    """Starts that were answered with a running notebook."""
    return sum(user.answers.count(201) for user in users)


def start_witness(stack: Stack) -> str:
    """Start a notebook that runs through all kills, with a file in it. Returns its instance's id."""
    stack.add_user("witness")
    assert stack.start("witness", image=WITNESS).status_code in (201, 202)
    eventually(lambda: stack.api("GET", "/users?state=ready").json(), what="the witness")
    headers = {"Authorization": f"token {stack.user_token('witness')}"}
    body = {"type": "file", "format": "text", "content": "untouched"}
    url = f"{stack.url}/user/witness/api/contents/witness.txt"
    assert stack.http.put(url, json=body, headers=headers, timeout=20).status_code == 201
    return next(instance.id for instance in stack.unended() if instance.user_name == "witness")


def read_witness(stack: Stack) -> str:
    """Read its file. Returns its instance's id."""
    token = stack.user_token("witness")
    path = "user/witness/api/contents/witness.txt"
    eventually(lambda: answers(stack, path, token), seconds=60, what="the witness' route")
    answer = stack.http.get(f"{stack.url}/{path}", headers={"Authorization": f"token {token}"}, timeout=20)
    assert answer.json()["content"] == "untouched"
    return next(instance.id for instance in stack.unended() if instance.user_name == "witness")


def answers(stack: Stack, path: str, token: str | None = None) -> bool:
    """Whether a path answers 200."""
    headers = {"Authorization": f"token {token}"} if token else {}
    with contextlib.suppress(httpx.HTTPError):
        return stack.http.get(f"{stack.url}/{path}", headers=headers, timeout=5).status_code == 200
    return False
