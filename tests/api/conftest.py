"""Callers of the desk's API, each with a token."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from spawner.ledger.pool.tables import controls
from tests.stack import Stack, eventually


@dataclass(frozen=True)
class Caller:
    """A user who calls the desk's API with a token."""

    stack: Stack
    user: str
    token: str

    def get(self, path: str, **kwargs: Any) -> httpx.Response:
        """GET below /services/desk/."""
        return self.stack.desk("GET", path, token=self.token, **kwargs)

    def post(self, path: str, **kwargs: Any) -> httpx.Response:
        """POST below /services/desk/."""
        return self.stack.desk("POST", path, token=self.token, **kwargs)

    def instance(self) -> dict[str, Any] | None:
        """The user's instance, as the desk shows it."""
        instance: dict[str, Any] | None = self.get("api/state").json()["instance"]
        return instance

    def wait_running(self) -> dict[str, Any]:
        """Wait until the user's instance runs."""

        def running() -> dict[str, Any] | None:
            instance = self.instance()
            return instance if instance and instance["state"] == "running" else None

        return eventually(running, seconds=60, what=f"{self.user}'s instance") or {}


@pytest.fixture
def caller(shared_stack: Stack, request: pytest.FixtureRequest) -> Iterator[Caller]:
    """A new user without an instance. Their instance is stopped after the test."""
    user = "api-" + re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[-30:].strip("-")
    shared_stack.add_user(user)
    yield Caller(shared_stack, user, shared_stack.user_token(user))
    shared_stack.stop(user)
    eventually(
        lambda: not [instance for instance in shared_stack.unended() if instance.user_name == user],
        seconds=60,
        what=f"the end of {user}'s instance",
    )


def clear(stack: Stack) -> None:
    """Remove all settings of administrators."""
    stack.ledger.write(lambda connection: connection.execute(controls.delete()))


@pytest.fixture
def admin(shared_stack: Stack) -> Iterator[Caller]:
    """An administrator. Their settings are removed after the test, and the warm slots restored."""
    name = f"admin-{secrets.token_hex(3)}"
    assert shared_stack.api("POST", f"/users/{name}", json={"admin": True}).status_code == 201
    yield Caller(shared_stack, name, shared_stack.user_token(name))
    clear(shared_stack)
    shared_stack.wait_warm()
