"""One Freepool with the stand-in cloud beside it, for people who come by the desk's pages."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cloud.steer import Steer, steer_beside
from tests.paid_desk.forms import Browser, fresh_account
from tests.stack import Stack, running_stack, write_catalog

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    try:
        catalog = write_catalog(folder / "catalog.yaml")
        with running_stack(folder / "s", catalog=catalog, arguments=("--demo-cloud",)) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def cloud(stack: Stack) -> Iterator[Steer]:
    """The stand-in that `freepool up --demo-cloud` has started, quick enough for a test."""
    made = steer_beside(stack.state)
    yield made
    made.close()


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
