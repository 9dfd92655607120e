"""The desk's page while a process is killed or stuck: it reports the outage, loses nothing and recovers by itself."""

from __future__ import annotations

import os
import signal

import httpx
from playwright.sync_api import expect

from tests.browser.visitor import IDLE, READY, Visitor, ask, button, heading
from tests.stack import Stack, eventually

SILENCE_MS = 26_000
"""Longer than the page waits for an event before it reconnects (`SILENCE_MS` in shared/live.js)."""


def is_healthy(stack: Stack, path: str) -> bool:
    try:
        return stack.http.get(stack.url + path, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_the_page_reports_a_killed_hub_and_recovers(visitor: Visitor) -> None:
    stack = visitor.stack
    desk = visitor.open_desk()
    button(desk, "Start").click()
    expect(heading(desk)).to_have_text(READY["en"])
    before = visitor.instances()
    status = f"{stack.url}/user/{visitor.user}/api/status"
    headers = {"Authorization": f"token {stack.user_token(visitor.user)}"}
    assert stack.http.get(status, headers=headers, timeout=30).status_code == 200

    visitor.expected.append("status of 503")
    dialog = ask(desk, "Stop")
    stack.kill("hub")
    away, answer = visitor.visit("/hub/token")
    assert answer.status == 503
    expect(heading(away)).to_have_text("The platform is not responding")
    expect(away.locator("#report-text")).to_contain_text(f"Request: {answer.headers['x-request-id']}")
    dialog.get_by_role("button", name="Delete and stop").click()
    expect(desk.get_by_role("alert")).to_contain_text(
        "The server is not responding. Running notebooks are not affected. Try again in a few seconds."
    )
    expect(heading(desk)).to_have_text(READY["en"])
    assert stack.http.get(status, headers=headers, timeout=30).status_code == 200

    eventually(lambda: is_healthy(stack, "/hub/health"), seconds=60, what="the hub")
    assert visitor.instances() == before
    button(desk, "Dismiss").click()
    ask(desk, "Stop").get_by_role("button", name="Delete and stop").click()
    expect(heading(desk)).to_have_text(IDLE["en"])
    assert visitor.instances() == []


def test_the_page_recovers_from_a_killed_desk(visitor: Visitor) -> None:
    stack = visitor.stack
    visitor.expected += ["status of 503", "ERR_INCOMPLETE_CHUNKED_ENCODING"]
    visitor.context.clock.install()
    desk = visitor.open_desk()
    stack.kill("desk")
    away, answer = visitor.visit("/services/desk/history")
    assert answer.status == 503
    expect(away.locator(".brand")).to_have_text("Freepool")
    expect(heading(away)).to_have_text("The platform is not responding")
    eventually(lambda: is_healthy(stack, "/services/desk/health"), seconds=60, what="the desk")
    stack.start(visitor.user)
    # The proxy keeps the page's connection to the dead desk open: the page notices only that no event arrives.
    desk.clock.fast_forward(SILENCE_MS)
    expect(heading(desk)).to_have_text(READY["en"])  # without a reload
    expect(desk.get_by_text("Reconnecting…")).to_be_hidden()


def test_the_page_reports_a_stuck_desk_and_recovers(visitor: Visitor) -> None:
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


def test_the_page_reports_a_killed_proxy_and_recovers(visitor: Visitor) -> None:
    stack = visitor.stack
    visitor.expected += ["status of 404", "status of 503", "ERR_"]
    desk = visitor.open_desk()
    button(desk, "Start").click()
    expect(heading(desk)).to_have_text(READY["en"])
    before = visitor.instances()
    stack.kill("proxy")
    expect(desk.get_by_text("Reconnecting…")).to_be_visible()
    eventually(lambda: is_healthy(stack, "/services/desk/health"), seconds=60, what="the proxy with its routes")
    expect(desk.get_by_text("Reconnecting…")).to_be_hidden()
    assert visitor.instances() == before
    stack.stop(visitor.user)
    expect(heading(desk)).to_have_text(IDLE["en"])
