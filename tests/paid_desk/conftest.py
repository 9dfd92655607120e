"""People who come by the desk's pages, to the Freepool that has the stand-in cloud beside it."""

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
    """A customer of the cloud, new."""
    return fresh_account(cloud, next(NUMBERS), "somebody")


@pytest.fixture
def browse(stack: Stack) -> Iterator[Callable[..., Browser]]:
    """Makes people at the desk, each new unless named."""
    made: list[Browser] = []

    def make(name: str = "", **options: str) -> Browser:
        made.append(Browser(stack, name or f"person-{next(NUMBERS)}", **options))
        return made[-1]

    yield make
    for one in made:
        one.client.close()
