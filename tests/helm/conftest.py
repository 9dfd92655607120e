"""One installation for all tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helm.release import NoCluster, Release, installed_release

NAMESPACE = "freepool-chart"


@pytest.fixture(scope="session")
def release() -> Iterator[Release]:
    """The chart with its defaults, on a real cluster."""
    try:
        with installed_release(NAMESPACE) as installed:
            yield installed
    except NoCluster as why:
        pytest.skip(str(why))
