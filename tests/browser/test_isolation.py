"""A user neither sees nor changes another user's instance, and only requests with an XSRF token change anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from spawner.ledger.pool import instances
from tests.browser.visitor import IDLE, READY, Visitor, button, heading

Enter = Callable[..., Visitor]


def post(page: Page, path: str, headers: dict[str, str]) -> tuple[int, Any]:
    """POST to the desk from its page, with its cookies. Returns the status and the body."""
    return tuple(
        page.evaluate(
            """async ([path, headers]) => {
              const answer = await fetch(`/services/desk/api/${path}`, {
                method: "POST", body: "{}", headers: { "Content-Type": "application/json", ...headers },
              });
              return [answer.status, await answer.json()];
            }""",
            [path, headers],
        )
    )


def all_instances(visitor: Visitor) -> list[str]:
    """The ids of all instances of this user, ended ones included."""
    return [
        instance.id for instance in visitor.stack.ledger.read(instances.history, visitor.stack.person_of(visitor.user))
    ]


def test_a_user_cannot_open_another_users_instance_or_see_its_state(enter: Enter) -> None:
    owner, stranger = enter(), enter()
    desk = owner.open_desk()
    button(desk, "Start").click()
    expect(heading(desk)).to_have_text(READY["en"])

    other = stranger.open_desk()
    expect(heading(other)).to_have_text(IDLE["en"])
    page, _ = stranger.visit("/services/desk/api/state")
    state = json.loads(page.locator("body").inner_text())
    assert (state["user"]["name"], state["instance"]) == (stranger.user, None)
    assert owner.user not in page.content()

    stranger.expected.append("status of 403")
    page, answer = stranger.visit(f"/user/{owner.user}/lab")
    assert answer.status == 403
    expect(page.get_by_role("heading", name="You do not have access to this")).to_be_visible()
    token = owner.stack.user_token(stranger.user)
    for path in ("api/contents", "api/kernels", "files/examples/ocr/street-sign.jpg"):
        answer = owner.stack.http.get(
            f"{owner.stack.url}/user/{owner.user}/{path}", headers={"Authorization": f"token {token}"}, timeout=30
        )
        assert answer.status_code in (302, 403), path  # JupyterHub sends files to its login page
        assert "street-sign" not in answer.text.replace(path, "")
    refused = owner.stack.api("DELETE", f"/users/{owner.user}/server", token=token)
    assert refused.status_code == 404  # JupyterHub does not reveal that it exists
    expect(heading(desk)).to_have_text(READY["en"])


def refusals(page: Page, *paths: str) -> list[tuple[int, Any]]:
    """The responses to POSTs with the page's cookies and no XSRF token, or a wrong one."""
    return [post(page, path, headers) for path in paths for headers in ({}, {"X-XSRFToken": "made up"})]


def test_a_post_without_a_valid_xsrf_token_changes_nothing(visitor: Visitor) -> None:
    visitor.expected.append("status of 403")
    desk = visitor.open_desk()
    answers = refusals(desk, "instance")
    assert all_instances(visitor) == []
    button(desk, "Start").click()
    expect(heading(desk)).to_have_text(READY["en"])
    before = visitor.instances()
    answers += refusals(desk, "instance", "instance/stop", "instance/restart")
    assert visitor.instances() == before
    assert all_instances(visitor) == [instance.id for instance in before]
    error = {
        "code": "signed_out",
        "message": "You are not signed in.",
        "next": "Sign in, or send a valid token and XSRF token.",
        "details": "",
    }
    assert answers == [(403, {"error": error})] * 8


def test_a_get_request_starts_nothing(visitor: Visitor) -> None:
    visitor.expected.append("status of 40[35]")
    desk = visitor.open_desk()
    for path in (
        "?flavor=cpu-basic&image=light&example=ocr&start=1",
        "api/instance?flavor=cpu-basic",
        "api/instance/restart",
        "api/instance/stop",
    ):
        desk.goto(f"{visitor.stack.url}/services/desk/{path}")
    desk.goto(f"{visitor.stack.url}/services/desk/?flavor=cpu-large#start")
    expect(heading(desk)).to_have_text(IDLE["en"])
    assert all_instances(visitor) == []
