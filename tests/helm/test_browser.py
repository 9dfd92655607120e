"""A user's first session on an installed chart: an example runs in a pod, and a restart wipes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from spawner.pool.backends.kubernetes.manifest import is_assigned
from tests.browser import lab
from tests.browser.visitor import IDLE, PATIENCE_MS, READY, ask, button, card, heading, launch
from tests.helm.release import Release
from tests.stack import eventually

FIRST_SECONDS = 120
"""Seconds for the first pod after an installation, and for the end of a pod."""


@pytest.fixture
def picture() -> Callable[[Page, str], None]:
    """Keeps a picture of a page where FREEPOOL_SCREENSHOTS names a folder."""

    def take(page: Page, name: str) -> None:
        if folder := os.environ.get("FREEPOOL_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"cluster-{name}.png")

    return take


@pytest.fixture
def page(release: Release) -> Iterator[Page]:
    """A user's browser at the desk."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.goto(release.link_for("newcomer"))
        try:
            yield page
        finally:
            browser.close()
            release.stop("newcomer")


def assigned_pods(release: Release) -> set[str]:
    """Uids of the assigned pods."""
    return {pod["metadata"]["uid"] for pod in release.pods("instance") if is_assigned(pod["metadata"]["labels"])}


def test_from_the_link_to_a_result_in_a_pod_and_back_to_nothing(
    release: Release, page: Page, picture: Callable[[Page, str], None]
) -> None:
    desk = f"{release.url.removesuffix(':80')}/services/desk/"
    assert page.url == desk, "the token is no longer in the URL"
    picture(page, "desk")
    button(page, "Start").click()
    expect(heading(page)).to_have_text(READY["en"], timeout=FIRST_SECONDS * 1000)
    picture(page, "running")
    (before,) = assigned_pods(release)

    card(page, "Which language is this?").get_by_role("link", name="Open").click()
    page.wait_for_url("**/lab/tree/examples/language/language.ipynb")
    expect(lab.run_all(page).get_by_role("row", name="Vietnamese")).to_contain_text("vi")
    picture(page, "example")
    note = {"type": "file", "format": "text", "content": "remember me"}
    assert lab.contents(page, "PUT", "note.txt", note)[0] == 201

    page.goto(desk)
    ask(page, "Restart (deletes all files)").get_by_role("button", name="Delete and restart").click()
    eventually(lambda: assigned_pods(release) - {before}, seconds=FIRST_SECONDS, what="another pod")
    expect(heading(page)).to_have_text(READY["en"], timeout=FIRST_SECONDS * 1000)
    page.goto(f"{release.url}/user/newcomer/lab")
    expect(page.locator("#jp-main-dock-panel")).to_be_visible()
    status, workspace = lab.contents(page, "GET", "")
    assert (status, [entry["name"] for entry in workspace["content"]]) == (200, ["examples"])

    page.goto(desk)
    ask(page, "Stop").get_by_role("button", name="Delete and stop").click()
    expect(heading(page)).to_have_text(IDLE["en"], timeout=FIRST_SECONDS * 1000)
    eventually(lambda: not assigned_pods(release), seconds=FIRST_SECONDS, what="the end of the pod")
