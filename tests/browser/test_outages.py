"""A process dies with kill -9 while somebody looks at the desk: calm words, nothing lost, and it mends itself."""

from __future__ import annotations

import os
import signal

import httpx
from playwright.sync_api import expect

from tests.browser.visitor import IDLE, READY, Visitor, ask, button, heading
from tests.stack import Stack, eventually

SILENCE_MS = 26_000
"""Longer than the page believes in a connection that says nothing (`SILENCE_MS` in live.js)."""


def is_healthy(stack: Stack, path: str) -> bool:
    try:
        return stack.http.get(stack.url + path, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_hub_killed(visitor: Visitor) -> None:
    stack = visitor.stack
    desk = visitor.open_desk()
    button(desk, "Start").click()
    expect(heading(desk)).to_have_text(READY["en"])
    before = visitor.loans()
    status = f"{stack.url}/user/{visitor.user}/api/status"
    headers = {"Authorization": f"token {stack.user_token(visitor.user)}"}
    assert stack.http.get(status, headers=headers, timeout=30).status_code == 200

    visitor.expected.append("status of 503")
    dialog = ask(desk, "Stop")
    stack.kill("hub")
    dialog.get_by_role("button", name="Wipe and stop").click()
    expect(desk.get_by_role("alert")).to_contain_text(
        "The hub does not answer just now. What runs goes on running. Try again in a few seconds."
    )
    expect(heading(desk)).to_have_text(READY["en"])
    assert stack.http.get(status, headers=headers, timeout=30).status_code == 200

    eventually(lambda: is_healthy(stack, "/hub/health"), seconds=60, what="the hub")
    assert visitor.loans() == before
    button(desk, "Dismiss").click()
    ask(desk, "Stop").get_by_role("button", name="Wipe and stop").click()
    expect(heading(desk)).to_have_text(IDLE["en"])
    assert visitor.loans() == []


def test_desk_killed(visitor: Visitor) -> None:
    stack = visitor.stack
    visitor.expected += ["status of 503", "ERR_INCOMPLETE_CHUNKED_ENCODING"]
    visitor.context.clock.install()
    desk = visitor.open_desk()
    stack.kill("desk")
    eventually(lambda: is_healthy(stack, "/services/desk/health"), seconds=60, what="the desk")
    stack.start(visitor.user)
    # The proxy keeps the page's connection to the dead desk open: only its silence tells.
    desk.clock.fast_forward(SILENCE_MS)
    expect(heading(desk)).to_have_text(READY["en"])  # by itself: the page was not loaded again
    expect(desk.get_by_text("Reconnecting…")).to_be_hidden()


def test_desk_stuck(visitor: Visitor) -> None:
    stack = visitor.stack
    visitor.context.clock.install()
    desk = visitor.open_desk()
    [process] = stack.pids("desk")
    os.kill(process, signal.SIGSTOP)
    try:
        desk.clock.fast_forward(SILENCE_MS)
        expect(desk.get_by_text("Reconnecting…")).to_be_visible()
    finally:
        os.kill(process, signal.SIGCONT)
    expect(desk.get_by_text("Reconnecting…")).to_be_hidden()
    stack.start(visitor.user)
    expect(heading(desk)).to_have_text(READY["en"])


def test_proxy_killed(visitor: Visitor) -> None:
    stack = visitor.stack
    visitor.expected += ["status of 404", "status of 503", "ERR_"]
    desk = visitor.open_desk()
    button(desk, "Start").click()
    expect(heading(desk)).to_have_text(READY["en"])
    before = visitor.loans()
    stack.kill("proxy")
    expect(desk.get_by_text("Reconnecting…")).to_be_visible()
    eventually(lambda: is_healthy(stack, "/services/desk/health"), seconds=60, what="the proxy with its routes")
    expect(desk.get_by_text("Reconnecting…")).to_be_hidden()
    assert visitor.loans() == before
    stack.stop(visitor.user)
    expect(heading(desk)).to_have_text(IDLE["en"])
