"""Users of the desk's pages, on a platform with the demo cloud."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.cloud.steer import Steer
from tests.paid_desk.forms import Browser, fresh_account
from tests.stack import Stack

NUMBERS = itertools.count()


@pytest.fixture
def stack(demo_stack: Stack) -> Stack:
    return demo_stack


@pytest.fixture
def cloud(cloud_beside: Steer) -> Steer:
    return cloud_beside


@pytest.fixture
def account(cloud: Steer) -> str:
    """A new account of the demo cloud."""
    return fresh_account(cloud, next(NUMBERS), "a user")


@pytest.fixture
def browse(stack: Stack) -> Iterator[Callable[..., Browser]]:
    """Opens a browser for the named user, or for a new one."""
    browsers: list[Browser] = []

    def make(name: str = "", **options: str) -> Browser:
        browsers.append(Browser(stack, name or f"user-{next(NUMBERS)}", **options))
        return browsers[-1]

    yield make
    for browser in browsers:
        browser.client.close()
