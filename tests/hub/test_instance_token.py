"""What code in a notebook can do with its server's own token: read and extend its session, and report activity."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from spawner.desk.admin import routes as admin
from spawner.desk.paid import routes as paid
from spawner.desk.user import routes as user
from tests.backends.notebook import Notebook
from tests.stack import Stack, eventually

OWNER, OTHER, NAMED = "owner-of-a-token", "other-of-a-token", "owner-of-none"
OF_SESSIONS = {
    "api/session", "api/session/events", "api/session/extend", "api/session/notices", "api/session/answer",
    "api/allowance",
}  # fmt: skip
"""What it may do: tests/hub/test_sessions.py."""
VALUES = ("0" * 32, "0" * 16, "1", "cn-hangzhou")
"""One of them fits each parameter of a path."""


@pytest.fixture(scope="module")
def stack(demo_stack: Stack) -> Iterator[Stack]:
    """Two users' notebooks run."""
    for name in (OWNER, OTHER):
        demo_stack.add_user(name)
        assert demo_stack.start(name).status_code in (201, 202)
    for name in (OWNER, OTHER):
        eventually(lambda name=name: server(demo_stack, name).get("ready"), seconds=60, what="notebook")  # type: ignore[misc]
    yield demo_stack
    for name in (OWNER, OTHER):
        demo_stack.stop(name)


def server(stack: Stack, name: str) -> dict[str, Any]:
    return dict(stack.api("GET", f"/users/{name}").json()["servers"].get("", {}))


async def own_token(stack: Stack) -> str:
    """As any cell of the notebook reads it."""
    async with aiohttp.ClientSession() as session:
        notebook = Notebook(session, f"{stack.url}/user/{OWNER}/", stack.user_token(OWNER), "")
        return (await notebook.run("import os; print(os.environ['JUPYTERHUB_API_TOKEN'])")).strip()


async def test_the_desk_tells_it_about_its_own_session_and_nothing_else(stack: Stack) -> None:
    token = await own_token(stack)
    answer = stack.desk("GET", "api/session", token=token)
    assert answer.status_code == 200, answer.text
    session = answer.json()
    (instance,) = (one for one in stack.unended() if one.user_name == OWNER)
    assert (session["id"], session["user"], session["server"]) == (instance.id, OWNER, "")
    assert session["ends_at"] > session["usable_at"]

    tried = 0
    for route in (*user.ROUTES, *admin.ROUTES, *paid.PAGES, *paid.API):
        path = route.path
        for one in route.parameters:
            value = next(value for value in VALUES if re.fullmatch(one.pattern, value))
            path = path.replace(f"{{{one.name}}}", value)
        if path in OF_SESSIONS or route.is_pattern or not route.handler.needs_user:
            continue
        for method in ("GET", "POST"):
            if getattr(route.handler, method.lower(), None) is None:
                continue
            refused = stack.desk(method, path, token=token, json={})
            assert refused.status_code == 403, (method, path, refused.status_code)
            if path.startswith("api/"):
                assert "is only for its own session" in refused.json()["error"]["message"], path
            tried += 1
    assert tried > 50
    assert {one.user_name for one in stack.unended()} >= {OWNER, OTHER}, "nothing was stopped"
    assert stack.desk("POST", "api/session", token=token, json={}).status_code == 405
    extended = stack.desk("POST", "api/session/extend", token=token, json={})
    assert extended.json()["ends_at"] > session["ends_at"]


async def test_the_hub_lets_it_name_its_user_and_report_activity(stack: Stack) -> None:
    token = await own_token(stack)
    now = datetime.now(UTC).isoformat()
    me = stack.api("GET", "/user", token=token)
    assert me.status_code == 200
    assert set(me.json()["scopes"]) == {
        f"access:servers!server={OWNER}/",
        f"read:users:activity!user={OWNER}",
        f"read:users:groups!user={OWNER}",
        f"read:users:name!user={OWNER}",
        f"users:activity!user={OWNER}",
    }
    activity = {"servers": {"": {"last_activity": now}}}
    assert stack.api("POST", f"/users/{OWNER}/activity", token=token, json=activity).status_code == 200
    for method, path in (
        ("POST", f"/users/{OTHER}/activity"),
        ("POST", f"/users/{OWNER}/tokens"),
        ("GET", f"/users/{OWNER}/tokens"),
        ("POST", f"/users/{OWNER}/server"),
        ("DELETE", f"/users/{OWNER}/server"),
        ("POST", f"/users/{OWNER}/servers/paid-1"),
        ("DELETE", f"/users/{OTHER}/server"),
        ("GET", f"/users/{OTHER}"),
        ("PATCH", f"/users/{OWNER}"),
        ("DELETE", f"/users/{OWNER}"),
        ("GET", "/users"),
        ("GET", "/groups"),
        ("GET", "/services"),
        ("GET", "/proxy"),
        ("POST", "/shutdown"),
        ("POST", f"/shares/{OWNER}/"),
    ):
        answer = stack.api(method, path, token=token, json=activity if method != "GET" else None)
        assert answer.status_code in (403, 404), (method, path, answer.status_code, answer.text)
    opened = stack.http.get(f"{stack.url}/user/{OTHER}/api/status", headers={"Authorization": f"token {token}"})
    assert opened.status_code == 403


def test_a_user_reads_about_their_own_default_server_only(stack: Stack) -> None:
    stack.add_user(NAMED)
    none = stack.desk("GET", "api/session", token=stack.user_token(NAMED))
    assert (none.status_code, none.json()["error"]["code"]) == (409, "not_running")
    mine = stack.desk("GET", "api/session", token=stack.user_token(OTHER)).json()
    assert mine["user"] == OTHER
    narrow = stack.api("POST", f"/users/{OTHER}/tokens", json={"scopes": [f"access:servers!server={OWNER}/"]})
    assert narrow.status_code in (201, 400), narrow.text
    if narrow.status_code == 201:  # JupyterHub gives it none of what its user has not
        assert stack.desk("GET", "api/session", token=narrow.json()["token"]).status_code == 403
