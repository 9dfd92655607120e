"""Fixtures for tests with a browser."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.visitor import PATIENCE_MS, Visitor, launch
from tests.stack import Stack

SCREENSHOTS_VARIABLE = "FREEPOOL_SCREENSHOTS"


# Not for the session: Playwright's synchronous API runs an event loop, and in another folder's asynchronous tests
# there must be none.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of this folder; each visitor has its own browser context."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


@pytest.fixture
def enter(chromium: Browser, shared_stack: Stack, request: pytest.FixtureRequest) -> Iterator[Callable[..., Visitor]]:
    """Creates visitors, by default each as a new user. Fails at the end if one of them had an unexpected problem."""
    visitors: list[Visitor] = []
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[-40:].strip("-")

    def make(user: str | None = None, **options: Any) -> Visitor:
        visitor = Visitor.enter(chromium, shared_stack, user or f"{name}-{len(visitors)}", **options)
        visitors.append(visitor)
        return visitor

    yield make
    for visitor in visitors:
        visitor.leave()
    assert [text for visitor in visitors for text in visitor.unexpected] == []


@pytest.fixture
def visitor(enter: Callable[..., Visitor]) -> Visitor:
    """A new user with an English browser."""
    return enter()


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Saves a screenshot if FREEPOOL_SCREENSHOTS names a folder; `full_page` includes what needs scrolling."""

    def take(page: Page, name: str, *, full_page: bool = False) -> None:
        folder = os.environ.get(SCREENSHOTS_VARIABLE)
        if folder:
            page.screenshot(path=Path(folder) / f"{request.node.name}-{name}.png", full_page=full_page)

    return take
