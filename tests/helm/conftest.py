"""One installation for all tests that need one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helm.release import Release, installed_release
from tests.kubernetes.admin import Admin, NoCluster, script
from tests.kubernetes.conftest import build

NAMESPACE = "freepool-chart"


@pytest.fixture(scope="session")
def release() -> Iterator[Release]:
    """The chart with its defaults, on a real cluster."""
    try:
        admin = Admin(Path(script("ensure").strip().splitlines()[-1]))
    except NoCluster as why:
        pytest.skip(str(why))
    build("hub", "postgres", "light")
    with installed_release(admin, NAMESPACE) as installed:
        yield installed
